"""``python -m bench recalibrate-face-mask``: a range patch beside full re-quantization from float, on a real SSD.

The face-mask SSD (AIZOOTech, float32) is quantized by ai-edge-quantizer on the wrong pictures, then patched by a wide
probe on 25 unlabelled frames of a fixed camera. Against it: the same quantizer on the same frames, by its default, and
from float **with the very ranges of the patch**, which leaves only what the patch cannot redo: biases that were rounded
twice. Judged on 30 frames of the clip's other part: noise of the outputs (SQNR of boxes and scores, dB) and the worst
error of a score, all against the float model.

It needs an environment with the quantizer, which the project does not install::

    python3.11 -m venv .venv-quantizer
    .venv-quantizer/bin/pip install -e '.[tools]' ai-edge-quantizer==0.10.0
    .venv-quantizer/bin/python -m bench recalibrate-face-mask
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent import config as settings
from agent.camera import read_picture
from agent.infer import choose_backend
from agent.model import Net, Scale, groups, mapped, range_of, rescale
from agent.pipeline import Model, load_model
from agent.recalibrate.application import choose_scales
from agent.recalibrate.blocks import interval
from agent.recalibrate.probe import wide_probe
from agent.recalibrate.ranges import Estimator
from agent.records import Outputs, Pixels
from bench.common import ASSETS, CLIP, ROOT, machine, need

FLOAT = ASSETS / "models" / "face_mask_detection_float_with_signature.tflite"
EXAMPLE = ROOT / "docs" / "examples" / "face_mask.toml"
WEB = 24
CALIBRATION, JUDGED = 25, 30
DARK = 0.25
HOW: tuple[Estimator, ...] = ("min-max", "mse")
Statistics = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Error:
    """One file against the float model.

    Attributes:
        sums: float64 (frames, 4): of squares, of what the float model says of boxes and scores and of the differences.
        worst_score: largest difference of a score.
    """

    sums: np.ndarray
    worst_score: float

    @property
    def sqnr_db(self) -> np.ndarray:
        """Of boxes and of scores."""
        return decibels(self.sums.sum(axis=0))


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench recalibrate-face-mask", description=__doc__)
    parser.add_argument("--calibration", type=int, default=CALIBRATION, help="frames of the camera that are measured")
    parser.add_argument("--judged", type=int, default=JUDGED)
    parser.add_argument("--mixed", action="store_true", help="take both from the whole clip, not from its two parts")
    options = parser.parse_args(arguments)
    need(FLOAT, CLIP)
    if importlib.util.find_spec("ai_edge_quantizer") is None:
        sys.exit(
            "bench: ai-edge-quantizer is not installed; make an environment for it:\n" + __doc__.rpartition("::")[2]
        )
    print(f"recalibrate-face-mask: {options.calibration} frames measured, {options.judged} judged; {machine()}")
    print("| file | SQNR of boxes, scores, dB | worst score error | less re-quantized, dB |\n|---|---|---|---|")
    kept, judged = clip_frames(options.calibration, options.judged, mixed=options.mixed)
    with tempfile.TemporaryDirectory() as folder:
        Lab(Path(folder), kept, judged).table()


class Lab:
    """The float model, the frames, and files made of them; writes into ``folder``."""

    def __init__(self, folder: Path, kept: list[Pixels], judged: list[Pixels]) -> None:
        self._folder, self._kept, self._judged = folder, kept, judged
        self._float = self._load(FLOAT)
        self._truth = [_answer(self._float, pixels) for pixels in judged]

    def table(self) -> None:
        """Print a row for each file."""
        same, dark = self._statistics(self._kept), self._statistics([darkened(pixels) for pixels in self._kept])
        starts = {
            "24 other pictures": self._statistics(web_pictures()),
            "a quarter of the light, the input's range mended": whole_input(dark),
            "a quarter of the light": dark,
        }
        self._row("quantizer's default, same camera", self._judged_file(quantized(same)))
        for name, statistics in starts.items():
            start = self._write("start", quantized(statistics))
            self._row(f"quantizer's default, {name}", self._judged_file(start.read_bytes()))
            for how in HOW:
                scales, patched = self._patched(start, how)
                one = self._judged_file(patched)
                other = self._judged_file(quantized(with_ranges(same, Net(mapped(start)), scales)))
                self._row(f"patched, {how}", one, difference(one, other))
                self._row("re-quantized from float, the same ranges", other)

    def _patched(self, start: Path, how: Estimator) -> tuple[list[Scale | None], bytes]:
        data = mapped(start)
        model = self._load(start)
        seen = wide_probe(data, [model.preprocess(pixels) for pixels in self._kept], choose_backend())
        scales = choose_scales(data, seen, how)
        return scales, rescale(Net(data), groups(Net(data)), scales)

    def _row(self, name: str, found: Error, less: str = "") -> None:
        boxes, scores = found.sqnr_db
        print(f"| {name} | {boxes:.2f}, {scores:.2f} | {found.worst_score:.3f} | {less} |", flush=True)

    def _judged_file(self, data: bytes) -> Error:
        return self._error(self._load(self._write("row", data)))

    def _error(self, model: Model) -> Error:
        rows, worst = [], 0.0
        for pixels, truth in zip(self._judged, self._truth, strict=True):
            found = _answer(model, pixels)
            pairs = [(truth.boxes, found.boxes), (truth.scores, found.scores)]
            signal = [np.square(one.astype(np.float64)).sum() for one, _ in pairs]
            noise = [np.square(one.astype(np.float64) - other).sum() for one, other in pairs]
            rows.append([*signal, *noise])
            worst = max(worst, float(np.abs(truth.scores - found.scores).max()))
        return Error(np.array(rows), worst)

    def _statistics(self, pictures: Sequence[Pixels]) -> Statistics:
        return calibrated([self._float.preprocess(pixels) for pixels in pictures])

    def _load(self, path: Path) -> Model:
        changes = {"model.path": str(path), "model.labels": str(EXAMPLE.with_suffix(".txt"))}
        return load_model(settings.override(settings.load(EXAMPLE), changes))

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / f"{name}.tflite"
        path.unlink(missing_ok=True)  # an interpreter may still have the former one mapped
        path.write_bytes(data)
        return path


def difference(one: Error, other: Error) -> str:
    """SQNR of boxes and of scores, the one's less the other's, dB, with paired 95 % intervals over frames."""
    rows = list(np.concatenate([one.sums, other.sums], axis=1))
    gains = (interval(rows, _less(head)) for head in range(2))
    return ", ".join(f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})" for gain in gains)


def whole_input(statistics: Statistics) -> Statistics:
    """The statistics with the input's range as pixels have it, 0 to 1: a patch cannot mend that one."""
    name = _input_name()
    ends = statistics[name]
    return statistics | {name: {**ends, "min": np.zeros_like(ends["min"]), "max": np.ones_like(ends["max"])}}


def _input_name() -> str:
    net = Net(mapped(FLOAT))
    return net.tensors[net.inputs[0]].name


def calibrated(tensors: Sequence[np.ndarray]) -> Statistics:
    """What the quantizer's own calibration says of each tensor: a moving average of the frames' ends."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    ((key, ends),) = Interpreter(model_path=str(FLOAT)).get_signature_list().items()
    maker = quantizer.Quantizer(str(FLOAT), recipe.static_wi8_ai8())
    found: Statistics = maker.calibrate({key: [{ends["inputs"][0]: tensor} for tensor in tensors]})
    return found


def quantized(statistics: Statistics) -> bytes:
    """int8 weights by channel, int8 activations with these ends."""
    from ai_edge_quantizer import quantizer, recipe

    maker = quantizer.Quantizer(str(FLOAT), recipe.static_wi8_ai8())
    # it changes the statistics that it is given
    copies = {name: dict(values) for name, values in statistics.items()}
    return bytes(maker.quantize(copies).quantized_model)


def with_ranges(statistics: Statistics, net: Net, scales: Sequence[Scale | None]) -> Statistics:
    """The statistics with the ends that a patch gives each tensor, by name; frozen ones as the file has them."""
    changed = dict(statistics)
    for group, scale in zip(groups(net), scales, strict=True):
        low, high = range_of(scale or Scale(group.scale, group.zero_point), group.dtype)
        for index in group.tensors:
            name = net.tensors[index].name
            if name in changed:
                ends = changed[name]
                changed[name] = {**ends, "min": np.full_like(ends["min"], low), "max": np.full_like(ends["max"], high)}
    return changed


def clip_frames(calibration: int, judged: int, *, mixed: bool) -> tuple[list[Pixels], list[Pixels]]:
    """Frames of the clip: spread over its first half, and over its second; or both over all of it, none in both."""
    reader = cv2.VideoCapture(str(CLIP))
    frames: list[Pixels] = []
    while (read := reader.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    if mixed:
        places = np.linspace(0, len(frames) - 1, 2 * max(calibration, judged)).astype(int)
        first, second = places[::2], places[1::2]
    else:
        first, second = np.array_split(np.arange(len(frames)), 2)
    kept, held_out = _spread(first, calibration), _spread(second, judged)
    return [frames[at] for at in kept], [frames[at] for at in held_out]


def _spread(places: np.ndarray, count: int) -> np.ndarray:
    return places[np.linspace(0, len(places) - 1, count).astype(int)]


def web_pictures() -> list[Pixels]:
    """Pictures of anything, as somebody finds them for a calibration: all with faces first."""
    found = [*sorted((ASSETS / "images" / "faces").iterdir()), *sorted((ASSETS / "images" / "misc").iterdir())]
    found += sorted((ASSETS / "images" / "objects").iterdir())
    return [read_picture(path) for path in found[:WEB]]


def darkened(pixels: Pixels) -> Pixels:
    """A quarter of the light."""
    return np.asarray(pixels * DARK, np.uint8)


def decibels(sums: np.ndarray) -> np.ndarray:
    """Signal and noise of boxes and scores, (..., 4), to their ratios, (..., 2)."""
    return np.asarray(10 * np.log10(sums[..., :2] / sums[..., 2:4]))


def _less(head: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda sums: decibels(sums[..., :4])[..., head] - decibels(sums[..., 4:])[..., head]


def _answer(model: Model, pixels: Pixels) -> Outputs:
    return model.detector.invoke(model.preprocess(pixels))
