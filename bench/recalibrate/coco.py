"""``python -m bench recalibrate-coco``: the COCO SSD calibrated on black or dark pictures, patched by a wide probe.

Ranges from the wrong pictures are found by the float twin (min and max, as a converter would), then 16 or 33 pictures
of train2017 repair them. Judged on the 27 open pictures of val2017: agreement with the float twin (panoptic quality at
a score of 0.3), noise of the heads (SQNR of boxes and scores, dB), and mAP. The interval of the difference to the file
as its makers deployed it is over pictures, paired.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent import config as settings
from agent.camera import read_picture
from agent.config import Config, RuntimeConfig
from agent.infer import choose_backend
from agent.model import Net, float_twin, groups, mapped, rescale, with_activations
from agent.pipeline import Model, load_model
from agent.recalibrate.application import choose_scales
from agent.recalibrate.blocks import Interval
from agent.recalibrate.candidate import Candidate, Twin
from agent.recalibrate.probe import twin_probe, wide_probe
from agent.recalibrate.proof import Proof, compare
from agent.records import Pixels, Tensor
from bench.common import ASSETS, MODEL, machine, need
from tools.evaluate import average_precision, detections

ANNOTATIONS = ASSETS / "annotations" / "instances_val2017_open.json"
JUDGED, KEPT = ASSETS / "images" / "coco_val2017", ASSETS / "images" / "coco_train2017"
DARK = 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """One file against the well-calibrated one, both against the twin."""

    name: str
    proof: Proof
    mean_ap: float
    took_s: float


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench recalibrate-coco", description=__doc__)
    parser.add_argument("--backend", default="auto", help="litert or tflite-runtime")
    options = parser.parse_args(arguments)
    need(MODEL, ANNOTATIONS, JUDGED, KEPT)
    runtime = RuntimeConfig(backend=options.backend)
    name = choose_backend(options.backend).name
    print(f"recalibrate-coco: {MODEL.stem} on {name}, judged on 27 pictures; {machine()}")
    print(f"{'file':34} {'agreement':>9} {'less its makers':>30} {'boxes':>6} {'scores':>6} {'mAP':>6} {'took':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for row in Lab(Path(folder), runtime).rows():
            print(_line(row), flush=True)


class Lab:
    """The COCO SSD, its twin, and the pictures."""

    def __init__(self, folder: Path, runtime: RuntimeConfig) -> None:
        self._folder, self._runtime, self._backend = folder, runtime, choose_backend(runtime.backend)
        # What was left out because the range clamps is written out first: the ranges are about to change.
        self._base = self._write("base", with_activations(mapped(MODEL)))
        self._model = self._load(self._base)
        truth = json.loads(ANNOTATIONS.read_text(encoding="utf-8"))
        self._truth = truth
        self._judged = [[read_picture(JUDGED / item["file_name"])] for item in truth["images"]]
        self._kept = [self._tensor(path) for path in sorted(KEPT.glob("*.jpg"))]
        self._twin = Twin(self._model, self._write("twin", float_twin(mapped(self._base))), runtime)

    def rows(self) -> list[Row]:
        """As deployed by its makers; calibrated on the 33 pictures, on black, on dark; each before and after."""
        found = [self._row("as its makers deployed it", self._base, 0.0)]
        wrong: dict[str, Sequence[Tensor]] = {
            "33 pictures": self._kept,
            "black": [np.zeros_like(self._kept[0])],
            "dark": [(tensor * DARK).astype(np.uint8) for tensor in self._kept],
        }
        for name, tensors in wrong.items():
            data = mapped(self._base)
            seen = twin_probe(data, tensors, self._backend)
            start = self._write(name, rescale(Net(data), groups(Net(data)), choose_scales(data, seen, "min-max")))
            found.append(self._row(f"calibrated on {name}", start, 0.0))
            found += [self._patched(name, start, count) for count in (16, 33)]
        return found

    def _patched(self, name: str, start: Path, count: int) -> Row:
        data = mapped(start)
        began_s = time.perf_counter()
        seen = wide_probe(data, self._kept[:count], self._backend)
        patched = rescale(Net(data), groups(Net(data)), choose_scales(data, seen, "mse"))
        took_s = time.perf_counter() - began_s
        return self._row(f"  patched on {count}", self._write(f"{name}-{count}", patched), took_s)

    def _row(self, name: str, path: Path, took_s: float) -> Row:
        base, other = (Candidate(self._model, file, self._runtime) for file in (self._base, path))
        proof = compare(self._twin, base, other, self._judged)
        model = self._load(path, 0.0)
        mean_ap, _ = average_precision(ANNOTATIONS, list(detections(model, self._truth, JUDGED)))
        return Row(name, proof, mean_ap, took_s)

    def _load(self, path: Path, threshold: float = 0.3) -> Model:
        changes = {"model.path": str(path), "model.score_threshold": threshold}
        return load_model(settings.override(Config(runtime=self._runtime), changes))

    def _tensor(self, path: Path) -> Tensor:
        pixels: Pixels = read_picture(path)
        return self._model.preprocess(pixels)

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / f"{name.replace(' ', '-')}.tflite"
        path.write_bytes(data)
        return path


def _line(row: Row) -> str:
    new = row.proof.new
    noise = " ".join(f"{value:6.1f}" for value in new.sqnr_db)
    took = f"{row.took_s:5.2f}s" if row.took_s else ""
    return f"{row.name:34} {new.agreement.quality:9.3f} {_shown(row.proof.gain):>30} {noise} {row.mean_ap:6.3f} {took}"


def _shown(gain: Interval) -> str:
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
