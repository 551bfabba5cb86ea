"""``python -m bench recalibrate-cost [--runs 5]``: what a wide probe of 16 frames takes, beside plain invokes of them.

Each figure comes from a child process of its own, in which everything is imported and the input tensors lie ready
before the clock starts: ``plain`` makes an interpreter and invokes it on each frame, ``probe`` measures the ranges,
chooses the scales and makes the patched file. Memory is what the peak (``VmHWM``, reset before) rose by over what the
process held before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from agent import config as settings
from agent.camera import read_picture
from agent.camera.rendered import DAY
from agent.config import Config, RuntimeConfig
from agent.infer import Detector, choose_backend
from agent.model import make, mapped
from agent.pipeline import Model, load_model
from agent.recalibrate.application import choose_scales
from agent.recalibrate.probe import wide_probe
from agent.records import Pixels, Tensor
from bench.common import ASSETS, MODEL, ROOT, machine, need
from bench.recalibrate.demo import deployed_file
from tools.demo_model.scenes import still

FRAMES = 16
WAYS = ("plain", "probe")
MOST_S, MOST_MB = 1.0, 120.0
_PICTURES = ASSETS / "images" / "coco_train2017"


def main(arguments: list[str]) -> None:
    """Print the table; with ``--child`` the figures of one run as JSON."""
    parser = argparse.ArgumentParser(prog="bench recalibrate-cost", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="child processes for each row")
    parser.add_argument("--backend", default="auto", help="litert or tflite-runtime")
    parser.add_argument("--models", nargs="+", choices=("demo", "coco"), default=("demo", "coco"))
    parser.add_argument("--child", nargs=2, metavar=("MODEL", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(measured(*options.child, options.backend)))
        return
    name = choose_backend(options.backend).name
    print(f"recalibrate-cost: {FRAMES} frames, {name}, one thread, {options.runs} processes each; {machine()}")
    print(f"targets of the probe: {MOST_S:g} s and {MOST_MB:g} MB\n")
    print("| model | way | seconds, median (min to max) | added peak memory, MB, median (max) |\n|---|---|---|---|")
    for model in options.models:
        for way in WAYS:
            runs = [_child(model, way, options.backend) for _ in range(options.runs)]
            took, added = [run["seconds"] for run in runs], [run["added_mb"] for run in runs]
            seconds = f"{median(took):.3f} ({min(took):.3f} to {max(took):.3f})"
            print(f"| {model} | {way} | {seconds} | {median(added):.1f} ({max(added):.1f}) |", flush=True)


def measured(name: str, way: str, backend: str) -> dict[str, float]:
    """Seconds and added peak memory of one way in this process."""
    runtime = RuntimeConfig(backend=backend)
    model, pictures = _coco(runtime) if name == "coco" else _demo(runtime)
    tensors = [model.preprocess(pixels) for pixels in pictures]
    work = _plain(model, tensors, runtime) if way == "plain" else _probe(model, tensors, runtime)
    # The peak of what went before - pictures decoded, scenes rendered - is forgotten (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    before_mb, began_s = _peak_mb(), time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - began_s, "added_mb": _peak_mb() - before_mb}


def _child(model: str, way: str, backend: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench", "recalibrate-cost", "--backend", backend, "--child", model, way]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _plain(model: Model, tensors: list[Tensor], runtime: RuntimeConfig) -> Callable[[], None]:
    def work() -> None:
        detector = Detector(model.path, model.card, choose_backend(runtime.backend), runtime)
        for tensor in tensors:
            detector.invoke(tensor)

    return work


def _probe(model: Model, tensors: list[Tensor], runtime: RuntimeConfig) -> Callable[[], None]:
    def work() -> None:
        data = mapped(model.path)
        make(data, choose_scales(data, wide_probe(data, tensors, choose_backend(runtime.backend)), "mse"))

    return work


def _demo(runtime: RuntimeConfig) -> tuple[Model, list[Pixels]]:
    path = deployed_file()
    changes = {"model.path": str(path), "model.labels": str(path.parent / "labels.txt")}
    frames = [pixels for pixels, _ in still(72, FRAMES, DAY)]
    return load_model(settings.override(Config(runtime=runtime), changes)), frames


def _coco(runtime: RuntimeConfig) -> tuple[Model, list[Pixels]]:
    need(MODEL, _PICTURES)
    model = load_model(settings.override(Config(runtime=runtime), {"model.path": str(MODEL)}))
    return model, [read_picture(path) for path in sorted(_PICTURES.glob("*.jpg"))[:FRAMES]]


def _peak_mb() -> float:
    """Highest resident memory since it was last forgotten, MB of 10^6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    sys.exit("bench: /proc/self/status names no VmHWM; this needs Linux")
