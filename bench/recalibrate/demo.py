"""``python -m bench recalibrate [--scenes 1000]``: the demo model calibrated on the wrong frames, then patched.

Average precision (COCO, 0.50:0.95) of the float model, the deployed one, and that one after a wide probe on 16
unlabelled frames of the scene. Scenes are rendered; the mean over groups of scenes with its 95 % interval (Student).
The last rows are the natural case: a well-calibrated model, patched on the same camera.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent import config as settings
from agent import embedded
from agent.board import base_model
from agent.camera.rendered import CONDITIONS, DAY, Knobs
from agent.config import Config
from agent.infer import choose_backend
from agent.model import Net, groups, make, mapped, rescale
from agent.pipeline import Model
from agent.recalibrate.application import choose_scales
from agent.recalibrate.probe import twin_probe, wide_probe
from agent.records import Detections, Pixels, Tensor
from agent.resampling import student
from bench.common import machine
from tools.demo_model import measure
from tools.demo_model.scenes import still

SCENES = {"day": DAY, "haze": CONDITIONS["haze"], "over-exposed": Knobs(light=1.6)}
WRONG = {"night": CONDITIONS["night"], "black": Knobs(light=0.0, noise=2.0, parts=0.0)}
FRAMES = 16
GROUPS = 10
_CALIBRATION_SEED, _LIVE_SEED, _JUDGED_SEED = 71, 72, 73


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench recalibrate", description=__doc__)
    parser.add_argument("--scenes", type=int, default=1000, help="judged scenes for each row")
    count = parser.parse_args(arguments).scenes
    print(f"recalibrate: demo model, {FRAMES} frames measured, {count} scenes judged a row; {machine()}")
    shown = " ".join(f"{head:>16}" for head in ("float", "deployed", "patched"))
    print(f"{'calibrated on':14} {'live scene':13} {shown} {'of float':>9} {'took':>7}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        deployed = base_model(settings.override(Config(), {"model.bundle": embedded.ADDRESS}))
        labels = deployed.parent / "labels.txt"
        lab = Lab(folder, deployed, labels, count)
        for name, knobs in [*WRONG.items(), ("day", None)]:
            start = lab.calibrated(knobs) if knobs is not None else deployed
            for scene in SCENES:
                print(lab.row(name, start, scene), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process, renderer and judge included: {peak:.0f} MB")


class Lab:
    """The demo model's files, and how they do."""

    def __init__(self, folder: Path, deployed: Path, labels: Path, count: int) -> None:
        self._folder, self._deployed, self._labels, self._count = folder, deployed, labels, count
        self._float = measure.load(deployed.parent / "float.tflite", labels)
        self._model = measure.load(deployed, labels)
        self._backend = choose_backend()

    def calibrated(self, knobs: Knobs) -> Path:
        """The deployed model with ranges from other frames, as a converter would have found them: min and max."""
        data = mapped(self._deployed)
        seen = twin_probe(data, self._tensors(_CALIBRATION_SEED, knobs), self._backend)
        path = self._folder / "wrong.tflite"
        path.write_bytes(rescale(Net(data), groups(Net(data)), choose_scales(data, seen, "min-max")))
        return path

    def row(self, name: str, start: Path, scene: str) -> str:
        """One line of the table."""
        tensors = self._tensors(_LIVE_SEED, SCENES[scene])
        data = mapped(start)
        began_s = time.perf_counter()
        _, patched = make(data, choose_scales(data, wide_probe(data, tensors, self._backend), "mse"))
        took_s = time.perf_counter() - began_s
        path = self._folder / "patched.tflite"
        path.write_bytes(patched)
        models = {
            "float": self._float,
            "deployed": measure.load(start, self._labels),
            "patched": measure.load(path, self._labels),
        }
        scores = judged(models, scene, self._count)
        cells = " ".join(f"{_shown(scores[model]):>16}" for model in models)
        share = scores["patched"].mean() / scores["float"].mean()
        gain = _shown(scores["patched"] - scores["deployed"])
        return f"{name:14} {scene:13} {cells} {100 * share:8.1f}% {took_s:6.2f}s  gain {gain}"

    def _tensors(self, seed: int, knobs: Knobs) -> list[Tensor]:
        return [self._model.preprocess(pixels) for pixels, _ in still(seed, FRAMES, knobs)]


def judged(models: dict[str, Model], scene: str, count: int) -> dict[str, np.ndarray]:
    """Average precision of each model in each group of scenes, in percent."""
    size = max(1, count // GROUPS)
    found: dict[str, list[float]] = {name: [] for name in models}
    scenes = still(_JUDGED_SEED, size * GROUPS, SCENES[scene])
    for _ in range(GROUPS):
        part: list[tuple[Pixels, Detections]] = [next(scenes) for _ in range(size)]
        for name, score in measure.score(models, iter(part)).items():
            found[name].append(100 * score.mean_ap)
    return {name: np.array(values) for name, values in found.items()}


def _shown(values: Sequence[float] | np.ndarray) -> str:
    data = np.asarray(values)
    half = student(len(data) - 1) * data.std(ddof=1) / np.sqrt(len(data))
    return f"{data.mean():.2f} +- {half:.2f}"
