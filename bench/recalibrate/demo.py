"""``python -m bench recalibrate [--scenes 1000]``: the demo model calibrated on the wrong frames, then patched.

Average precision (COCO, 0.50:0.95) of the float model, the deployed one, and that one after a wide probe on 16
unlabelled frames of the scene. Scenes are rendered; the mean over groups of scenes with its 95 % interval (Student),
and the differences, which are paired: every model sees the same scenes. The rows "calibrated on day" are the natural
case: a well-calibrated model, patched on the same camera (:mod:`bench.recalibrate.natural` draws many of them).

``thin haze`` takes from the float model what haze took in the laboratory, a tenth of its precision; in ``haze``, the
rendered camera's own condition, four fifths are gone before anything is quantized.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent import config as settings
from agent import embedded
from agent.board import base_model
from agent.camera.rendered import CONDITIONS, DAY, Knobs, Renderer, Sprites
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
from tools.demo_model.scenes import SCENES_A_SEED, STRIDE, still

SCENES = {"day": DAY, "over-exposed": Knobs(light=1.6), "thin haze": Knobs(haze=0.24), "haze": CONDITIONS["haze"]}
WRONG = {"night": CONDITIONS["night"], "black": Knobs(light=0.0, noise=2.0, parts=0.0)}
FRAMES = 16
GROUPS = 10
_CALIBRATION_SEED, _LIVE_SEED, _JUDGED_SEED = 71, 72, 73


@dataclass(frozen=True, slots=True)
class Row:
    """One file before and after its patch, on one scene.

    Attributes:
        scene: where it runs.
        start: what it was calibrated on.
        float_ap, deployed, patched: average precision of each group of scenes, percent.
        took_s: the wide probe and the making of the patch.
    """

    scene: str
    start: str
    float_ap: np.ndarray
    deployed: np.ndarray
    patched: np.ndarray
    took_s: float


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench recalibrate", description=__doc__)
    parser.add_argument("--scenes", type=int, default=1000, help="judged scenes for each row")
    parser.add_argument("--only", choices=list(SCENES), action="append", help="this scene; all of them if not given")
    options = parser.parse_args(arguments)
    print(f"recalibrate: demo model, {FRAMES} frames measured, {options.scenes} scenes judged a row; {machine()}")
    heads = ("live scene", "calibrated on", "float", "deployed", "patched", "patched of float, %", "patched - float")
    print("| " + " | ".join(heads) + " | gain | took |\n" + "|---" * 9 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for row in Lab(Path(folder)).rows(options.only or list(SCENES), options.scenes):
            print(line(row), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process, renderer and judge included: {peak:.0f} MB")


def deployed_file() -> Path:
    """The demo bundle's model, its float version and its labels beside it."""
    return base_model(settings.override(Config(), {"model.bundle": embedded.ADDRESS}))


class Lab:
    """The demo model's files, and how they do; writes into ``folder``."""

    def __init__(self, folder: Path) -> None:
        deployed = deployed_file()
        self._folder, self._labels = folder, deployed.parent / "labels.txt"
        self._float = measure.load(deployed.parent / "float.tflite", self._labels)
        self._model = measure.load(deployed, self._labels)
        self._backend = choose_backend()
        self._starts = {name: self.calibrated(name, knobs) for name, knobs in WRONG.items()} | {"day": deployed}

    def calibrated(self, name: str, knobs: Knobs) -> Path:
        """The deployed model with ranges from other frames, as a converter would have found them: min and max."""
        data = mapped(self._model.path)
        seen = twin_probe(data, self.tensors(_CALIBRATION_SEED, knobs), self._backend)
        found = groups(Net(data))
        return self._write(f"{name}.tflite", rescale(Net(data), found, choose_scales(data, seen, "min-max")))

    def rows(self, scenes: Sequence[str], count: int) -> Iterator[Row]:
        """Every start on every scene; all models see the same pictures."""
        took_s: dict[tuple[str, str], float] = {}
        models: dict[str, dict[str, Model]] = {}
        starts = {name: measure.load(path, self._labels) for name, path in self._starts.items()}
        for scene in scenes:
            tensors = self.tensors(_LIVE_SEED, SCENES[scene])
            models[scene] = {"float": self._float, **starts}
            for name, start in self._starts.items():
                data = mapped(start)
                began_s = time.perf_counter()
                _, patched = make(data, choose_scales(data, wide_probe(data, tensors, self._backend), "mse"))
                took_s[scene, name] = time.perf_counter() - began_s
                path = self._write(f"{scene}-{name}.tflite", patched)
                models[scene][f"{name}, patched"] = measure.load(path, self._labels)
        scores = judged(models, count)
        for (scene, name), spent_s in took_s.items():
            found = scores[scene]
            yield Row(scene, name, found["float"], found[name], found[f"{name}, patched"], spent_s)

    def tensors(self, seed: int, knobs: Knobs) -> list[Tensor]:
        """What the model sees of the frames that are measured."""
        return [self._model.preprocess(pixels) for pixels, _ in still(seed, FRAMES, knobs)]

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.unlink(missing_ok=True)  # an interpreter may still have the former one mapped
        path.write_bytes(data)
        return path


def judged(models: dict[str, dict[str, Model]], count: int) -> dict[str, dict[str, np.ndarray]]:
    """Average precision of each model under each condition in each group of scenes, in percent."""
    size = max(1, count // GROUPS)
    found: dict[str, dict[str, list[float]]] = {scene: {name: [] for name in each} for scene, each in models.items()}
    scenes = lit(_JUDGED_SEED, size * GROUPS, {scene: SCENES[scene] for scene in models})
    for _ in range(GROUPS):
        part = [next(scenes) for _ in range(size)]
        for scene, each in models.items():
            for name, score in measure.score(each, (pictures[scene] for pictures in part)).items():
                found[scene][name].append(100 * score.mean_ap)
    return {scene: {name: np.array(values) for name, values in each.items()} for scene, each in found.items()}


def lit(
    first_seed: int, count: int, conditions: dict[str, Knobs], sprites: Sprites | None = None
) -> Iterator[dict[str, tuple[Pixels, Detections]]]:
    """The scenes of :func:`tools.demo_model.scenes.still`, each under every condition: parts are drawn once."""
    sprites = sprites or Sprites(limit=8000)
    for number in range(count):
        seed, place = divmod(number, SCENES_A_SEED)
        if place == 0:
            belt = Renderer(first_seed + seed, sprites=sprites)
        yield {name: belt.frame(place * STRIDE, knobs) for name, knobs in conditions.items()}


def line(row: Row) -> str:
    """One line of the table. The share is of the means; its interval is that of the paired difference."""
    means = [shown(values) for values in (row.float_ap, row.deployed, row.patched)]
    low, mean, high = span(row.patched - row.float_ap)
    whole = row.float_ap.mean() / 100
    share = f"{100 + mean / whole:.1f} ({100 + low / whole:.1f} to {100 + high / whole:.1f})"
    changes = [paired(row.patched - row.float_ap), paired(row.patched - row.deployed)]
    return "| " + " | ".join([row.scene, row.start, *means, share, *changes, f"{row.took_s:.2f} s"]) + " |"


def span(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Low end of the 95 % interval of a mean (Student), the mean, and the high end."""
    data = np.asarray(values, float)
    half = student(len(data) - 1) * data.std(ddof=1) / np.sqrt(len(data))
    return float(data.mean() - half), float(data.mean()), float(data.mean() + half)


def shown(values: Sequence[float] | np.ndarray) -> str:
    low, mean, high = span(values)
    return f"{mean:.2f} +- {(high - low) / 2:.2f}"


def paired(values: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    low, mean, high = span(values)
    return f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
