/* An external delegate that claims no operation and does what the option "do" says, for tests.
 *
 * The two exported functions and the struct are those of tensorflow/lite/delegates/external/
 * external_delegate_interface.h and tensorflow/lite/core/c/common.h. With -DNO_DESTROY it lacks one of the two.
 * The option "mark" names a file that each step is written to.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Delegate {
  void* data;
  int (*prepare)(void* context, struct Delegate* self);
  void* copy_from_buffer;
  void* copy_to_buffer;
  void* free_buffer;
  int64_t flags;
  void* opaque_builder;
} Delegate;

static const char* order = "";
static char mark_path[4096];

static void mark(const char* step) {
  FILE* file = mark_path[0] ? fopen(mark_path, "a") : NULL;
  if (file == NULL) return;
  fprintf(file, "%s\n", step);
  fclose(file);
}

static int is(const char* word) { return strcmp(order, word) == 0; }

static int prepare(void* context, Delegate* self) {
  (void)context, (void)self;
  mark("prepare");
  return is("fail-prepare") ? 1 : 0;
}

Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  for (size_t i = 0; i < (size_t)(int)count; ++i) {
    if (strcmp(keys[i], "do") == 0) order = strdup(values[i]);
    if (strcmp(keys[i], "mark") == 0) snprintf(mark_path, sizeof mark_path, "%s", values[i]);
  }
  mark("create");
  if (is("crash")) *(volatile int*)0 = 1;
  if (is("abort")) abort();
  if (is("kill")) raise(SIGKILL);
  if (is("exit")) _exit(3);
  if (is("hang")) sleep(600);
  if (is("print")) printf("{\"error\": \"ConfigError\"}\nthe delegate says hello\n");
  if (is("refuse")) {
    report("no device\n  of mine is plugged in");
    return NULL;
  }
  if (is("refuse-silently")) return NULL;
  Delegate* made = calloc(1, sizeof *made);
  made->prepare = prepare;
  return made;
}

#ifndef NO_DESTROY
void tflite_plugin_destroy_delegate(Delegate* made) {
  if (made != NULL) mark("destroy");
  free(made);
}
#endif
