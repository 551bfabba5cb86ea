# edge-agent. `make demo` shows the whole thing; `make test` proves it. Both set everything up themselves.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
TFLITE := .venv-tflite
BOTH := .venv-both
TRAIN := .venv-train
OUT ?= build/demo-model
# A file of tests stays on one core: what its tests share is made once.
PYTEST := pytest -q -n auto --dist loadfile
BIN := $(VENV)/bin
PIP := -m pip install --disable-pip-version-check --quiet
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --universal
SHELL_FILES := $(shell git ls-files '*.sh' .ci/run)

.PHONY: help setup packages test test-unit test-tflite test-both test-wheel test-system lint format bench demo demo-model docs lock wheel clean

help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.done  ## the virtual environment for all else

$(VENV)/.done: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes -r requirements/dev.txt
	$(BIN)/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(TFLITE)/.done: requirements/tflite-runtime.txt requirements/test.txt pyproject.toml
	$(PYTHON) -m venv $(TFLITE)
	$(TFLITE)/bin/python $(PIP) --require-hashes -r requirements/tflite-runtime.txt -r requirements/test.txt
	@touch $@

$(BOTH)/.done: requirements/both.txt requirements/test.txt pyproject.toml
	$(PYTHON) -m venv $(BOTH)
	$(BOTH)/bin/python $(PIP) --require-hashes -r requirements/both.txt -r requirements/test.txt
	@touch $@

packages:  ## system packages that the tests need (root or sudo)
	@bash tests/packages.sh

test: setup lint test-unit test-tflite test-both test-wheel  ## everything but the long lanes

test-unit: setup packages  ## every test of the default runtime, real broker and cameras included
	$(BIN)/python -m $(PYTEST) -m "not system and not slow"

test-tflite: packages $(TFLITE)/.done  ## the model's street on tflite-runtime, in its own environment
	$(TFLITE)/bin/python -m $(PYTEST) -m "not system and not broker and not slow" $(RUNTIME_TESTS)

test-both: packages $(BOTH)/.done  ## both runtimes side by side: parity
	$(BOTH)/bin/python -m $(PYTEST) tests/test_parity.py tests/test_infer_backend.py tests/test_coco_map.py tests/test_model_golden.py tests/test_recalibrate_probe.py

RUNTIME_TESTS := $(wildcard tests/test_infer*.py tests/test_model*.py tests/test_pre*.py tests/test_post*.py tests/test_coco*.py tests/test_cli*.py tests/test_service*.py tests/test_embedded.py \
  tests/test_demo_bundle.py)

test-wheel: setup wheel  ## the wheel in an empty environment looks at a picture
	bash tests/wheel.sh dist $(PYTHON)

test-system: setup packages $(BOTH)/.done  ## the long lanes: a browser, ten thousand commands, kills at random, a VM with a kernel camera, arm64
	$(BIN)/python -m $(PYTEST) -m slow --timeout 600 tests
	$(BIN)/python -m pytest -q -m system --timeout 1800 tests/system

lint: setup  ## ruff, mypy --strict, shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck $(SHELL_FILES)

format: setup  ## rewrite the code in its style
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: setup  ## speed, memory and start, side by side with the bare runtime
	$(BIN)/python -m bench

demo: setup  ## everything at once: rendered camera, detector, broker, live page; ARGS="--seconds 60" ends it
	@$(BIN)/edge-tools demo $(ARGS)

demo-model:  ## train the demo model anew, about an hour; OUT=folder
	$(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python $(PIP) -e '.[demo-model]'
	TF_USE_LEGACY_KERAS=1 $(TRAIN)/bin/python -m tools.demo_model --out $(OUT)

docs: setup  ## generated pages
	$(BIN)/python -m tools.reference

wheel: setup  ## dist/*.whl
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null

lock:  ## new locked requirements from pyproject.toml
	$(LOCK) --python-version 3.11 pyproject.toml -o requirements/agent.txt
	$(LOCK) --python-version 3.11 pyproject.toml --group dev -o requirements/dev.txt -c requirements/agent.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --extra tflite-runtime \
	  pyproject.toml -o requirements/both.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --extra tflite-runtime \
	  --no-emit-package ai-edge-litert --no-emit-package ml-dtypes pyproject.toml -o requirements/tflite-runtime.txt
	$(LOCK) --python-version 3.11 --group test -o requirements/test.txt -c requirements/both.txt

clean:  ## remove what was made
	rm -rf $(VENV) $(TFLITE) $(BOTH) $(TRAIN) .cache dist build
