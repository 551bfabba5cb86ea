#!/usr/bin/env bash
# Makes one environment for each peer under .cache/peers; does nothing where they are as they should be.
# PYTHON names the interpreter: neither package has wheels for all versions, 3.11 is known to work.
# The lock files come from:  uv pip compile --generate-hashes --no-header --python-version 3.11 PEER.in -o PEER.txt
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target="$here/../../.cache/peers"
python=${PYTHON:-python3.11}

command -v "$python" >/dev/null || {
  echo "setup.sh: $python is not there; set PYTHON to a Python 3.11" >&2
  exit 1
}

install_peer() {
  local name=$1 import=$2 packages=$3
  local home="$target/$name"
  if cmp --silent "$here/$name.txt" "$home/installed.txt"; then
    echo "$name: ready"
    return
  fi
  echo "$name: installing"
  rm -rf "$home"
  "$python" -m venv "$home"
  "$home/bin/python" -m pip install --disable-pip-version-check --quiet --require-hashes -r "$here/$name.txt"
  "$home/bin/python" -c "$import" || {
    echo "setup.sh: $name is installed and cannot be imported; system packages that it wants: $packages" >&2
    exit 1
  }
  cp "$here/$name.txt" "$home/installed.txt"
}

mkdir -p "$target"
install_peer mediapipe 'import cv2, mediapipe; from mediapipe.tasks.python import vision' 'libgl1 libegl1 libgles2'
install_peer tflite-support 'import cv2; from tflite_support.task import core, processor, vision' 'libusb-1.0-0'
