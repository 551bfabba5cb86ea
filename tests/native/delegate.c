/* An external delegate that claims no operation and does what the option "do" says, for tests.
 *
 * The two exported functions and the struct are those of tensorflow/lite/delegates/external/
 * external_delegate_interface.h and tensorflow/lite/core/c/common.h. With -DNO_DESTROY it lacks one of the two.
 * "crash-invoke", "hang-invoke" and "noise" claim the whole graph and do it in their kernel: the first dies, the second
 * sleeps, the third answers with zeros. Leading fields of TfLiteContext and TfLiteRegistration are those of the same
 * header; the registration is passed by value on the stack, so that a longer one than the callee knows does no harm.
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

typedef struct { int size; int data[]; } IntArray;

typedef struct {
  void* (*init)(void* context, const char* buffer, size_t length);
  void (*free)(void* context, void* buffer);
  int (*prepare)(void* context, void* node);
  int (*invoke)(void* context, void* node);
  const char* (*profiling_string)(void* context, void* node);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* more[4];
} Registration;

typedef struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(struct Context*, IntArray**);
  void *tensors, *impl, *resize_tensor, *report_error, *add_tensors, *get_node;
  int (*replace)(struct Context*, Registration, const IntArray*, Delegate*);
} Context;

static int kernel_prepare(void* context, void* node) {
  (void)context, (void)node;
  return 0;
}

static int kernel_invoke(void* context, void* node) {
  (void)context, (void)node;
  mark("invoke");
  if (is("crash-invoke")) *(volatile int*)0 = 1;
  if (is("hang-invoke")) sleep(600);
  return 0;
}

static int claim(Context* context, Delegate* self) {
  IntArray* plan = NULL;
  Registration kernel;
  memset(&kernel, 0, sizeof kernel);
  kernel.prepare = kernel_prepare, kernel.invoke = kernel_invoke, kernel.custom_name = "told", kernel.version = 1;
  if (context->get_execution_plan(context, &plan) != 0) return 1;
  IntArray* all = malloc(sizeof(int) * (size_t)(plan->size + 1));
  memcpy(all, plan, sizeof(int) * (size_t)(plan->size + 1));
  int status = context->replace(context, kernel, all, self);
  free(all);
  return status;
}

static int prepare(void* context, Delegate* self) {
  mark("prepare");
  if (is("crash-invoke") || is("hang-invoke") || is("noise")) return claim(context, self);
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
