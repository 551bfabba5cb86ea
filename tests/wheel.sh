#!/usr/bin/env bash
# The built wheel, installed into an empty environment from the locked requirements, shows itself, shows the live demo
# with its extra, and finds what is on a picture.
# usage: tests/wheel.sh DIST_FOLDER PYTHON
set -euo pipefail

dist=$1 python=$2
assets=$(realpath -m "${EDGE_ASSETS:-../shared/assets}")
model=$assets/models/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv"
pip=("$work/venv/bin/python" -m pip install --disable-pip-version-check --quiet)
"${pip[@]}" --require-hashes -r requirements/agent.txt
"${pip[@]}" --no-deps "$dist"/*.whl
"$work/venv/bin/python" -m pip check
wheel=$(realpath "$dist"/*.whl)
sed -n 's/^\([a-z0-9._-]*==.*\) \\$/\1/p' requirements/dev.txt >"$work/pins"

cd "$work" # so that the checkout cannot be what is imported
seen=$("$work/venv/bin/edge-agent" run --frames 30)
echo "$seen"
grep -q '^demo-parts .*' <<<"$seen"
refused=0
"$work/venv/bin/edge-tools" demo 2>"$work/said" || refused=$?
[ "$refused" -eq 75 ] && grep -q "pip install 'edge-agent\[demo\]'" "$work/said"
"${pip[@]}" --constraint "$work/pins" "${wheel}[demo]"
"$work/venv/bin/edge-tools" demo --no-open --seconds 6
[ -z "$(find "$work" -name 'edge-demo-*')" ]

if [ ! -f "$model" ]; then
  [ -z "${CI:-}" ] || { echo "no model at $model" >&2; exit 1; }
  echo "skipped: no model at $model; set EDGE_ASSETS" >&2
  exit 0
fi
found=$("$work/venv/bin/edge-agent" detect "$assets/images/misc/cats_and_dogs.jpg" \
  --model "$model" --annotate "$work/boxes.jpg")
echo "$found"
grep -q '"label": "cat"' <<<"$found"
grep -q '"label": "dog"' <<<"$found"
[ -s "$work/boxes.jpg" ]
"$work/venv/bin/python" -m agent --version
"$work/venv/bin/edge-tools" --version
echo "the wheel works in an empty environment"
