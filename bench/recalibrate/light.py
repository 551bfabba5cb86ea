"""What a correction of the light wins back, and what it costs where nothing is wrong.

python -m bench light [--resamples 1000] [--draws 40] [--scenes 300]
python -m bench light --times [--runs 300]

The COCO SSD on the 27 open pictures of val2017: mAP with no correction, with one global gain that is told the truth
(1 / brightness), and with the correction fitted to the darkened pictures, unlabelled, against two references: the same
scene in good light (what a fixed camera has), and other pictures altogether (33 of train2017). Intervals: 95 %, paired,
by bootstrap over pictures. And the demo model on rendered scenes, fitted on other belts than it is judged on.

Sensor noise: shot noise of 4,300 electrons at full white and 3 electrons of read noise (a small CMOS sensor at base
gain), linear, no gain in the camera, rounded to 8 bits.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from agent import config as settings
from agent import embedded
from agent.board import ready_model
from agent.camera.rendered import CLASSES, CONDITIONS, Knobs
from agent.config import Config
from agent.pipeline import Model
from agent.recalibrate.light import Fit, Light, fit, look
from agent.records import Correction, Detections, Pixels
from bench.common import ASSETS, MODEL, machine, need
from tools.demo_model import measure, spec
from tools.demo_model.scenes import still

ELECTRONS, READ = 4300.0, 3.0
FITTED_SEED = 9_100
KEPT = 24
"""Frames of one belt that a correction is fitted to; those of the reference come before them."""


def darker(light: float, noise: bool) -> Callable[[Pixels], Pixels]:
    """A picture taken with a share of the light."""

    def take(pixels: Pixels) -> Pixels:
        values = pixels * light
        if noise:
            rng = np.random.default_rng(int(pixels.sum()))
            caught = rng.poisson(values * (ELECTRONS / 255)) + rng.normal(0, READ, pixels.shape)
            values = caught * (255 / ELECTRONS)
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    return take


CONDITIONS_COCO: dict[str, tuple[float, Callable[[Pixels], Pixels]]] = {
    "as taken": (1.0, lambda pixels: pixels),
    "x0.2": (0.2, darker(0.2, False)),
    "x0.05": (0.05, darker(0.05, False)),
    "x0.2, sensor noise": (0.2, darker(0.2, True)),
    "x0.05, sensor noise": (0.05, darker(0.05, True)),
}


class Judge:
    """COCOeval over all sizes and at most 100 boxes a picture, that can weigh pictures anew without matching again."""

    def __init__(self, dataset: dict[str, Any], found: list[dict[str, Any]]) -> None:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = dataset
            truth.createIndex()
            self._eval = COCOeval(truth, truth.loadRes(found), "bbox") if found else None
            if self._eval is not None:
                self._eval.params.areaRng, self._eval.params.areaRngLbl = [[0, 1e10]], ["all"]
                self._eval.params.maxDets = [100]
                self._eval.evaluate()
                self._matched = np.array(self._eval.evalImgs, object).reshape(-1, len(dataset["images"]))

    def mean_ap(self, picks: Sequence[int] | None = None) -> float:
        """Mean AP over IoU 0.50 to 0.95 of all pictures, or of these, each as often as it is named."""
        if self._eval is None:
            return 0.0
        self._eval.evalImgs = list((self._matched if picks is None else self._matched[:, picks]).ravel())
        with contextlib.redirect_stdout(io.StringIO()):
            self._eval.accumulate()
        precision = self._eval.eval["precision"]
        return float(precision[precision > -1].mean()) if (precision > -1).any() else 0.0


@dataclass(frozen=True)
class Row:
    """One way of looking at one condition."""

    name: str
    judge: Judge
    fit: Fit | None = None


def interval(values: Iterable[float]) -> str:
    low, high = np.percentile(list(values), [2.5, 97.5])
    return f"{low:+.3f} to {high:+.3f}"


def show(condition: str, clean: Judge, rows: list[Row], draws: np.ndarray) -> None:
    """Each row's mAP, what it wins back of what was lost, and the paired difference to no correction."""
    raw = rows[0].judge
    lost = clean.mean_ap() - raw.mean_ap()
    base = [raw.mean_ap(picks) for picks in draws]
    for row in rows:
        mean_ap = row.judge.mean_ap()
        line = f"  {condition:<20} {row.name:<26} {mean_ap:.4f}"
        if row is not rows[0]:
            won = f"{(mean_ap - raw.mean_ap()) / lost:7.1%}" if lost > 0.01 else " " * 7
            gained = (row.judge.mean_ap(picks) - before for picks, before in zip(draws, base, strict=True))
            changed = row.fit is None or row.fit.correction is not None
            line += f" {won}  {mean_ap - raw.mean_ap():+.4f} ({interval(gained) if changed else 'the same answers'})"
        print(line)
        if row.fit is not None:
            print(f"  {'':<20} {'':<26} {said(row.fit)}")


def said(found: Fit) -> str:
    if found.correction is None:
        return f"no correction: {found.reason}"
    numbers = found.correction
    balance = "/".join(f"{number:.2f}" for number in numbers.balance)
    return (
        f"black {numbers.black:.1f}, gain {numbers.gain:.2f}, gamma {numbers.gamma:.2f}, balance {balance}; "
        f"{found.reason}; noise {found.noise:.1f}"
    )


class Coco:
    """The COCO SSD and labelled pictures."""

    def __init__(self) -> None:
        labels = ASSETS / "labels" / "coco_labels.txt"
        need(MODEL, labels)
        wanted = {"model.path": str(MODEL), "model.labels": str(labels), "model.score_threshold": 0.0}
        self.model = ready_model(settings.override(Config(), wanted))
        self.truth, self.pictures = self._set("val")
        _, self.others = self._set("train")

    def _set(self, name: str) -> tuple[dict[str, Any], list[Pixels]]:
        annotations = ASSETS / "annotations" / f"instances_{name}2017_open.json"
        need(annotations)
        truth = json.loads(annotations.read_text())
        # COCOeval walks pictures by rising id: so must whoever weighs them.
        truth["images"] = sorted(truth["images"], key=lambda image: image["id"])
        folder = ASSETS / "images" / f"coco_{name}2017"
        return truth, [read(str(folder / image["file_name"])) for image in truth["images"]]

    def judge(self, pictures: list[Pixels], correction: Correction | None) -> Judge:
        """What the model finds on the corrected pictures."""
        self.model.preprocess.correct(correction)
        return Judge(self.truth, [entry for pair in enumerate(pictures) for entry in self._entries(*pair)])

    def _entries(self, number: int, pixels: Pixels) -> Iterable[dict[str, Any]]:
        categories = {item["name"]: item["id"] for item in self.truth["categories"]}
        found = self.model.detect(pixels)
        for box, score, class_id in zip(found.xyxy, found.confidence, found.class_id, strict=True):
            left, top, right, bottom = map(float, box)
            if (name := self.model.labels.name(int(class_id))) in categories:
                yield {
                    "image_id": self.truth["images"][number]["id"],
                    "category_id": categories[name],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(score),
                }

    def run(self, resamples: int) -> None:
        """Print a block for each condition."""
        draws = picks(len(self.pictures), resamples)
        references = {"fitted, same scene": look(self.pictures), "fitted, other pictures": look(self.others)}
        clean = self.judge(self.pictures, None)
        for name, (light, take) in CONDITIONS_COCO.items():
            taken = [take(pixels) for pixels in self.pictures]
            rows = [Row("no correction", self.judge(taken, None))]
            if light < 1:
                rows.append(Row("one gain, told", self.judge(taken, Correction(gain=1 / light))))
            for how, reference in references.items():
                found = fit(look(taken), reference)
                rows.append(Row(how, self.judge(taken, found.correction), found))
            show(name, clean, rows, draws)

    def run_draws(self, draws: int) -> None:
        """Fitted to 12 of the pictures against 12 others, drawn at random: nothing in common, seldom equally bright."""
        reference = look(self.others)
        clean = self.judge(self.pictures, None).mean_ap()
        for name, (light, take) in CONDITIONS_COCO.items():
            rng = np.random.default_rng(3)
            taken = [take(pixels) for pixels in self.pictures]
            seen, raw = look(taken), self.judge(taken, None).mean_ap()
            changed = []
            for _ in range(draws):
                now, then = (each.some(rng.permutation(len(each))[:12]) for each in (seen, reference))
                correction = fit(now, then).correction
                if correction is not None:
                    changed.append(self.judge(taken, correction).mean_ap() - raw)
            least, middle, most = np.quantile(changed or [0.0], [0, 0.5, 1])
            line = f"  {name:<20} corrected in {len(changed)} of {draws}: {middle:+.4f} ({least:+.4f} to {most:+.4f})"
            if light < 1:
                line += ", won back " + " / ".join(f"{each / (clean - raw):.0%}" for each in (least, middle, most))
            print(line)


def read(path: str) -> Pixels:
    pixels = cv2.imread(path)
    assert pixels is not None, path
    return np.asarray(pixels, np.uint8)


def picks(count: int, resamples: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, count, (resamples, count))


class Belt:
    """The demo model and the rendered camera."""

    def __init__(self, scenes: int) -> None:
        wanted = {"model.bundle": embedded.ADDRESS}
        self.model: Model = ready_model(settings.override(Config(), wanted))
        lowest = {"model.path": str(self.model.path), "model.score_threshold": 0.03}
        self.model = ready_model(settings.override(Config(), lowest))
        self.scenes = scenes

    def judge(self, scenes: list[tuple[Pixels, Detections]], correction: Correction | None) -> Judge:
        """The same of rendered scenes."""
        self.model.preprocess.correct(correction)
        truth = {
            "images": [{"id": number} for number in range(len(scenes))],
            "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES)],
            "annotations": list(measure._entries([each for _, each in scenes])),
        }
        return Judge(truth, list(measure._entries([self.model.detect(pixels) for pixels, _ in scenes])))

    def light(self, knobs: Knobs, first: int) -> Light:
        """The light of 24 frames of one belt."""
        scenes = list(still(FITTED_SEED, first + KEPT, knobs))
        return look(pixels for pixels, _ in scenes[first:])

    def run(self, resamples: int) -> None:
        """Print a block for each condition."""
        draws = picks(self.scenes, resamples)
        reference = self.light(CONDITIONS["day"], 0)
        clean = self.judge(list(still(spec.HELD_OUT_SEED, self.scenes, CONDITIONS["day"])), None)
        for name in ("day", "dusk", "night", "haze", "blur", "noise"):
            scenes = list(still(spec.HELD_OUT_SEED, self.scenes, CONDITIONS[name]))
            found = fit(self.light(CONDITIONS[name], KEPT), reference)
            rows = [
                Row("no correction", self.judge(scenes, None)),
                Row("fitted, another belt", self.judge(scenes, found.correction), found),
            ]
            show(name, clean, rows, draws)


def times(runs: int) -> None:
    """What it costs: preprocess with no, a gentle and a steep correction in turns, a look at a frame, and a fit."""
    coco = Coco()
    ways = {"none": None, "gentle": Correction(gain=1.2), "steep": Correction(gain=5.0)}
    for width, height in ((640, 480), (1280, 720)):
        frame = cv2.resize(coco.pictures[0], (width, height))
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(runs):
            for name, correction in ways.items():
                coco.model.preprocess.correct(correction)
                spent[name].append(timed(lambda frame=frame: coco.model.preprocess(frame)))  # type: ignore[misc]
        for name, values in spent.items():
            print(f"  preprocess {width}x{height}, {name:<8} {1e3 * np.median(values):8.3f} ms")
        looks = [timed(lambda frame=frame: look([frame])) for _ in range(max(1, runs // 10))]  # type: ignore[misc]
        print(f"  a look at {width}x{height} {1e3 * np.median(looks):18.3f} ms")
    dark, reference = look(darker(0.2, False)(each) for each in coco.pictures), look(coco.pictures)
    fits = [timed(lambda: fit(dark, reference)) for _ in range(5)]
    print(f"  a fit to {len(dark)} frames {1e3 * np.median(fits):22.1f} ms")


def timed(work: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench light", description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--times", action="store_true", help="what it costs instead of what it wins")
    parser.add_argument("--runs", type=int, default=300)
    options = parser.parse_args(arguments)
    print(f"light: {machine()}")
    if options.times:
        times(options.runs)
        return
    print("mAP over IoU 0.50 to 0.95; of what was lost, what is won back; difference to no correction (95 %)")
    print(" COCO SSD MobileNet v1, 27 pictures of val2017")
    coco = Coco()
    coco.run(options.resamples)
    print(" the same, fitted to 12 pictures against 12 others: median (least to most) of random draws")
    coco.run_draws(options.draws)
    print(f" demo model, {options.scenes} rendered scenes a condition, fitted on {KEPT} of another belt")
    Belt(options.scenes).run(options.resamples)
