#!/usr/bin/env bash
# Stands in for Google's edgetpu_compiler in tests: the options that https://coral.ai/docs/edgetpu/compiler/ names, and the
# words of version 16 as its users have shown them (google-coral/edgetpu issues 157, 490, 686, 728, 829). MODE says what
# happens to it, COMPILED is the file that it "makes".
set -u
out=. limit=180 model=
while [ $# -gt 0 ]; do
  case $1 in
    --show_operations) shift ;;
    --timeout_sec) limit=$2 && shift 2 ;;
    --out_dir) out=$2 && shift 2 ;;
    -*) echo "unknown option $1" >&2 && exit 2 ;;
    *) model=$1 && shift ;;
  esac
done
stem=$(basename "$model" .tflite)
echo "Edge TPU Compiler version 16.0.384591198"
echo "Started a compilation timeout timer of $limit seconds."
[ -s "$model" ] || { echo "Invalid model: $model"; exit 1; }

failed() {
  echo "Compilation child process completed within timeout period."
  echo "Compilation failed! "
  exit 1
}

row() { printf '%-30s %-10s %s\n' "$@"; }

table() {
  row Operator Count Status
  echo
  row CONV_2D 24 "Mapped to Edge TPU"
  row DEPTHWISE_CONV_2D 13 "Mapped to Edge TPU"
  row RESHAPE 12 "Mapped to Edge TPU"
  [ "$MODE" = cut ] && return
  row RESHAPE 1 "More than one subgraph is not supported"
  row DEQUANTIZE 2 "Operation is working on an unsupported data type"
  row CUSTOM 1 "Operation is working on an unsupported data type"
}

case $MODE in
  unknown-op)
    echo "ERROR: Encountered unresolved custom op: Atan."
    echo "ERROR: Node number 1 (Atan) failed to prepare."
    echo
    echo "Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in Tflite interpreter."
    failed
    ;;
  silent) failed ;;
  internal) echo && echo "Internal compiler error. Aborting! " && exit 1 ;;
  slow)
    echo "Compilation timeout. This is usually caused by large activations."
    echo "Compilation failed! "
    exit 1
    ;;
  hangs)
    sleep 600 &
    echo $! >"$CHILD"
    wait
    ;;
  crashes) kill -SEGV $$ ;;
  nothing) exit 0 ;;
esac

cp "$COMPILED" "$out/${stem}_edgetpu.tflite"
table >"$out/${stem}_edgetpu.log"
cat <<SAID

Model compiled successfully in 1524 ms.

Input model: $model
Input size: 4.24MiB
Output model: ${stem}_edgetpu.tflite
Output size: 5.57MiB
On-chip memory used for caching model parameters: 4.21MiB
On-chip memory remaining for caching model parameters: 3.29MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 53
Operation log: ${stem}_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will instead run on the CPU, which is slower. If possible, consider updating your model to use only operations supported by the Edge TPU. For details, visit g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 49
Number of operations that will run on CPU: 4

SAID
table
echo "Compilation child process completed within timeout period."
echo "Compilation succeeded! "
