"""``python -m bench recalibrate-cost [--runs 5]``: what a wide probe of 16 frames takes, beside plain invokes of them.

Each figure comes from a child process of its own, in which everything is imported and the input tensors, made by the
parent, lie ready before the clock starts: ``plain`` makes an interpreter and invokes it on each frame, ``probe``
measures the ranges, chooses the scales and makes the patched file. Memory is what the peak (``VmHWM``, reset before)
rose by over what the process held before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from agent import config as settings
from agent.camera import read_picture
from agent.camera.rendered import DAY
from agent.config import Config, RuntimeConfig
from agent.infer import Detector, choose_backend
from agent.model import describe, make, mapped
from agent.pipeline import plan_model
from agent.recalibrate.application import choose_scales
from agent.recalibrate.probe import wide_probe
from agent.records import Tensor
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
    parser.add_argument("--child", nargs=3, metavar=("FILE", "TENSORS", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        file, tensors, way = options.child
        print(json.dumps(measured(Path(file), list(np.load(tensors)), way, options.backend)))
        return
    name = choose_backend(options.backend).name
    print(f"recalibrate-cost: {FRAMES} frames, {name}, one thread, {options.runs} processes each; {machine()}")
    print(f"targets of the probe: {MOST_S:g} s and {MOST_MB:g} MB\n")
    print("| model | way | seconds, median (min to max) | added peak memory, MB, median (max) |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            file, tensors = _demo() if model == "demo" else _coco()
            ready = Path(folder) / f"{model}.npy"
            np.save(ready, np.stack(tensors))
            for way in WAYS:
                runs = [_child(file, ready, way, options.backend) for _ in range(options.runs)]
                took, added = [run["seconds"] for run in runs], [run["added_mb"] for run in runs]
                seconds = f"{median(took):.3f} ({min(took):.3f} to {max(took):.3f})"
                print(f"| {model} | {way} | {seconds} | {median(added):.1f} ({max(added):.1f}) |", flush=True)


def measured(file: Path, tensors: list[Tensor], way: str, backend: str) -> dict[str, float]:
    """Seconds and added peak memory of one way in this process."""
    runtime = RuntimeConfig(backend=backend)
    chosen, card = choose_backend(backend), describe(file)

    def plain() -> None:
        detector = Detector(file, card, chosen, runtime)
        for tensor in tensors:
            detector.invoke(tensor)

    def probe() -> None:
        data = mapped(file)
        make(data, choose_scales(data, wide_probe(data, tensors, chosen), "mse"))

    # The peak of what went before is forgotten (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    before_mb, began_s = _peak_mb(), time.perf_counter()
    (plain if way == "plain" else probe)()
    return {"seconds": time.perf_counter() - began_s, "added_mb": _peak_mb() - before_mb}


def _child(file: Path, tensors: Path, way: str, backend: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench", "recalibrate-cost", "--backend", backend]
    command += ["--child", str(file), str(tensors), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _demo() -> tuple[Path, list[Tensor]]:
    path = deployed_file()
    changes = {"model.path": str(path), "model.labels": str(path.parent / "labels.txt")}
    preprocess = plan_model(settings.override(Config(), changes)).preprocess
    return path, [preprocess(pixels) for pixels, _ in still(72, FRAMES, DAY)]


def _coco() -> tuple[Path, list[Tensor]]:
    need(MODEL, _PICTURES)
    preprocess = plan_model(settings.override(Config(), {"model.path": str(MODEL)})).preprocess
    return MODEL, [preprocess(read_picture(path)) for path in sorted(_PICTURES.glob("*.jpg"))[:FRAMES]]


def _peak_mb() -> float:
    """Highest resident memory since it was last forgotten, MB of 10^6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    sys.exit("bench: /proc/self/status names no VmHWM; this needs Linux")
