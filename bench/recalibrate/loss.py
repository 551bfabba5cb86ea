"""``python -m bench recalibrate-loss [--scene haze] [--scenes 1000]``: where the rest of the precision goes.

The demo model by its raw heads (boxes and logits of every anchor), patched by a wide probe on 16 frames of the scene.
Average precision, and its paired difference to the float model, of

* the float twin: rounded weights, nothing else; and the twin with each head rounded as the patched file rounds it,
* the patched file with one head taken from the twin: what the other head's noise costs,
* patches with ranges chosen otherwise, and one whose ranges come from 128 frames,
  by the float twin: no choice of ranges could know more.

Then which activations the noise comes from: each group's step is doubled in turn, which makes its rounding four times
as strong, so that a third of what the heads' noise grows by is what the group gives to it now. Its share of the whole.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.infer import choose_backend
from agent.model import Group, Net, Scale, float_twin, groups, mapped, range_of, rescale, scale_for
from agent.model.net import CODE_RANGES, Tensor
from agent.pipeline import Model
from agent.recalibrate.application import choose_scales
from agent.recalibrate.heads import heads
from agent.recalibrate.probe import Seen, twin_probe, wide_probe
from agent.recalibrate.ranges import estimate
from agent.records import Detections, FloatArray, Outputs, Pixels
from bench.common import machine
from bench.recalibrate.demo import FRAMES, GROUPS, SCENES, deployed_file, paired, shown
from tools.demo_model import measure
from tools.demo_model.scenes import still

_LIVE_SEED, _ORACLE_SEED, _JUDGED_SEED = 72, 75, 73
_ORACLE_FRAMES = 128
_NOISE_FRAMES = 24
_SHOWN_GROUPS = 10


def main(arguments: list[str]) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="bench recalibrate-loss", description=__doc__)
    parser.add_argument("--scene", choices=list(SCENES), default="haze")
    parser.add_argument("--scenes", type=int, default=1000)
    options = parser.parse_args(arguments)
    print(f"recalibrate-loss: demo model, {options.scene}, {options.scenes} scenes judged; {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), options.scene)
        print("| | AP | less float |\n|---|---|---|")
        scores = lab.scores(options.scenes)
        for name, values in scores.items():
            print(f"| {name} | {shown(values)} | {paired(values - scores['float'])} |")
        print("\n| group made coarser | share of the noise of boxes | of scores |\n|---|---|---|")
        for name, boxes, logits in lab.shares():
            print(f"| {name} | {boxes:.0%} | {logits:.0%} |", flush=True)


class Lab:
    """The demo model's raw files under one condition; writes into ``folder``."""

    def __init__(self, folder: Path, scene: str) -> None:
        place = deployed_file().parent
        self._folder, self._labels, self._knobs = folder, place / "labels.txt", SCENES[scene]
        self._float = measure.load(place / "float.raw.tflite", self._labels)
        self._deployed = measure.load(place / "model.raw.tflite", self._labels)
        self._data, self._backend = mapped(self._deployed.path), choose_backend()
        self._twin = self._load_twin()
        self._frames = self._pictures(_LIVE_SEED, FRAMES)
        tensors = [self._deployed.preprocess(pixels) for pixels in self._frames]
        self._seen = wide_probe(self._data, tensors, self._backend)
        self._scales = choose_scales(self._data, self._seen, "mse")
        self._patched = self._load("patched", self._scales)
        net = Net(mapped(self._patched.path))
        self._heads = [net.tensors[index] for index in heads(net, self._patched.card)]

    def scores(self, count: int) -> dict[str, np.ndarray]:
        """Average precision of each way of answering, percent, in each group of scenes."""
        others = dict(self._otherwise())
        size, found = max(1, count // GROUPS), {}
        scenes = still(_JUDGED_SEED, size * GROUPS, self._knobs)
        for _ in range(GROUPS):
            part = [next(scenes) for _ in range(size)]
            answers: dict[str, list[Detections]] = {}
            for pixels, _ in part:
                for name, given in [
                    *self._mixed(pixels),
                    *((name, each.detect(pixels)) for name, each in others.items()),
                ]:
                    answers.setdefault(name, []).append(given)
            truths = [truth for _, truth in part]
            for name, given in answers.items():
                found.setdefault(name, []).append(100 * measure.average_precision(truths, given).mean_ap)
        return {name: np.array(values) for name, values in found.items()}

    def shares(self) -> Iterator[tuple[str, float, float]]:
        """The groups that give most to the noise of either head, with their shares of it; then all that were tried."""
        pictures = self._pictures(_JUDGED_SEED, _NOISE_FRAMES)
        net = Net(self._data)
        now = self._noise(self._patched, pictures)
        found = []
        for number, (group, scale) in enumerate(zip(groups(net), self._scales, strict=True)):
            if scale is not None:
                coarse = list(self._scales)
                coarse[number] = _coarser(scale, group)
                grown = self._noise(self._load("coarse", coarse), pictures) - now
                found.append((_name(net, group), *(grown / 3 / now)))
        found.sort(key=lambda row: -max(row[1:]))
        yield from found[:_SHOWN_GROUPS]
        yield f"all {len(found)}", sum(row[1] for row in found), sum(row[2] for row in found)

    def _mixed(self, pixels: Pixels) -> Iterator[tuple[str, Detections]]:
        whole, twin, patched = (_invoke(model, pixels) for model in (self._float, self._twin, self._patched))
        boxes, logits = map(_rounded, (twin.boxes, twin.scores), self._heads)
        ways = {
            "float": whole,
            "float twin: rounded weights": twin,
            "twin, scores in steps of 1/256": replace(twin, scores=_in_steps(twin.scores)),
            "twin, its logits rounded": replace(twin, scores=logits),
            "twin, its boxes rounded": replace(twin, boxes=boxes),
            "twin, both rounded": Outputs(boxes, logits),
            "patched, logits from the twin": replace(patched, scores=twin.scores),
            "patched, boxes from the twin": replace(patched, boxes=twin.boxes),
            "patched": patched,
        }
        for name, outputs in ways.items():
            place = self._float.preprocess.place(*pixels.shape[:2])
            yield name, self._float.postprocess(outputs, place)

    def _otherwise(self) -> Iterator[tuple[str, Model]]:
        """Patches whose ranges were chosen, or seen, in other ways."""
        yield "patched, min-max throughout", self._load("min-max", choose_scales(self._data, self._seen, "min-max"))
        yield "patched, 99.99 % inside", self._load("percentile", choose_scales(self._data, self._seen, "percentile"))
        yield "patched, least error at the heads too", self._load("all", _everywhere(self._seen))
        tensors = [self._deployed.preprocess(pixels) for pixels in self._pictures(_ORACLE_SEED, _ORACLE_FRAMES)]
        known = twin_probe(self._data, tensors, self._backend)
        yield (
            f"ranges of {_ORACLE_FRAMES} frames, by the twin",
            self._load("known", choose_scales(self._data, known, "mse")),
        )
        yield "as shipped, calibrated on day", self._deployed

    def _noise(self, model: Model, pictures: Sequence[Pixels]) -> np.ndarray:
        """Sum of squared differences to the twin at boxes and logits."""
        sums = np.zeros(2)
        for pixels in pictures:
            one, other = _invoke(model, pixels), _invoke(self._twin, pixels)
            sums += [np.square(one.boxes - other.boxes).sum(), np.square(one.scores - other.scores).sum()]
        return sums

    def _pictures(self, seed: int, count: int) -> list[Pixels]:
        return [pixels for pixels, _ in still(seed, count, self._knobs)]

    def _load(self, name: str, scales: Sequence[Scale | None]) -> Model:
        path = self._folder / f"{name}.tflite"
        path.unlink(missing_ok=True)  # an interpreter may still have the former one mapped
        net = Net(self._data)
        path.write_bytes(rescale(net, groups(net), scales))
        return measure.load(path, self._labels)

    def _load_twin(self) -> Model:
        path = self._folder / "twin.tflite"
        path.write_bytes(float_twin(self._data))
        return measure.load(path, self._labels, **meaning(self._deployed))


def meaning(model: Model) -> dict[str, list[float]]:
    """Settings that give a float twin what the quantized model's input codes mean."""
    spec = model.card.input
    lowest = 0 if spec.dtype == "uint8" else 128
    return {"model.mean": [float(spec.zero_point + lowest)], "model.std": [1.0 / float(np.float32(spec.scale))]}


def _invoke(model: Model, pixels: Pixels) -> Outputs:
    return model.detector.invoke(model.preprocess(pixels))


def _rounded(values: FloatArray, head: Tensor) -> FloatArray:
    scale, zero_point = head.scales[0], head.zero_points[0]
    codes = np.clip(np.rint(values / scale) + zero_point, *CODE_RANGES[head.dtype])
    return np.asarray((codes - zero_point) * scale, np.float32)


def _in_steps(logits: FloatArray) -> FloatArray:
    """As LOGISTIC gives them in 8 bits."""
    codes = np.clip(np.rint(256 / (1 + np.exp(-logits.astype(np.float64)))), 0.01, 255)
    return np.asarray(np.log(codes / (256 - codes)), np.float32)


def _everywhere(seen: Sequence[Seen]) -> list[Scale | None]:
    found: list[Scale | None] = []
    for item in seen:
        group = item.group
        if item.histogram is None:
            found.append(None)
            continue
        low, high = estimate(item.histogram, "mse")
        found.append(scale_for(max(low, group.floor), min(high, group.ceiling), group.dtype))
    return found


def _coarser(scale: Scale, group: Group) -> Scale:
    """Twice the step, around the same middle."""
    low, high = range_of(scale, group.dtype)
    return scale_for(low - (high - low) / 2, high + (high - low) / 2, group.dtype)


def _name(net: Net, group: Group) -> str:
    makers = {index: op for op in net.ops for index in op.outputs}
    first = next((makers[index].shown for index in group.tensors if index in makers), "input")
    return f"{first}, {' x '.join(map(str, net.tensors[group.tensors[0]].shape[1:]))}"
