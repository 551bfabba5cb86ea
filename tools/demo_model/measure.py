"""What the model reaches on scenes that it never saw: every file under every condition, through the agent's own street.

Average precision as COCO defines it, by pycocotools.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent import config as settings
from agent.camera.rendered import CLASSES, CONDITIONS, DAY
from agent.config import Config
from agent.pipeline import Model, load_model
from agent.records import Detections, Pixels
from tools.demo_model import spec
from tools.demo_model.scenes import still

Scenes = list[tuple[Pixels, Detections]]


@dataclass(frozen=True, slots=True)
class Score:
    """Average precision over IoU 0.50 to 0.95, and at 0.50."""

    mean_ap: float
    ap50: float


def load(path: Path, labels: Path, **changes: Any) -> Model:
    """A file as the agent runs it, with every score that it gives."""
    wanted = {"model.path": str(path), "model.labels": str(labels), "model.score_threshold": 0.03, **changes}
    return load_model(settings.override(Config(), wanted))


def table(files: dict[str, Path], labels: Path, count: int) -> dict[str, dict[str, Score]]:
    """Condition -> file -> score, on ``count`` scenes each.

    Under each condition: the float model, the one calibrated on day, and the one calibrated on that condition. Under
    day also all those that were calibrated elsewhere.
    """
    models = {name: load(path, labels) for name, path in files.items()}
    found: dict[str, dict[str, Score]] = {}
    for condition, knobs in CONDITIONS.items():
        own = [name for name in models if name.startswith("int8_") and name != "int8_raw"]
        names = ["float", "float_raw", "int8", "int8_raw", *(own if condition == "day" else [f"int8_{condition}"])]
        found[condition] = score({name: models[name] for name in names}, still(spec.HELD_OUT_SEED, count, knobs))
    return found


def score(models: dict[str, Model], scenes: Iterator[tuple[Pixels, Detections]]) -> dict[str, Score]:
    """Every model on the same scenes."""
    truths: list[Detections] = []
    answers: dict[str, list[Detections]] = {name: [] for name in models}
    for pixels, truth in scenes:
        truths.append(truth)
        for name, model in models.items():
            answers[name].append(model.detect(pixels))
    return {name: average_precision(truths, given) for name, given in answers.items()}


def average_precision(truths: list[Detections], answers: list[Detections]) -> Score:
    """COCO's figures for a list of pictures."""
    from pycocotools.coco import COCO  # noqa: PLC0415  # the desk has it; who only builds a bundle need not
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": number} for number in range(len(truths))],
            "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES)],
            "annotations": list(_entries(truths)),
        }
        coco.createIndex()
        given = list(_entries(answers))
        if not given:
            return Score(0.0, 0.0)
        judge = COCOeval(coco, coco.loadRes(given), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return Score(float(judge.stats[0]), float(judge.stats[1]))


def _entries(pictures: list[Detections]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, found in enumerate(pictures):
        for box, confidence, class_id in zip(found.xyxy, found.confidence, found.class_id, strict=True):
            left, top, right, bottom = (float(side) for side in box)
            number += 1
            yield {
                "id": number,
                "image_id": image,
                "category_id": int(class_id),
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                "score": float(confidence),
            }


def invoke_s(model: Model, runs: int = 300) -> tuple[float, float]:
    """Median and minimum of one invoke on a rendered day scene, seconds; post-processing costs what a scene costs."""
    pixels, _ = next(still(spec.GOLDEN_SEED, 1, DAY))
    tensor = model.preprocess(pixels)
    times = []
    for _ in range(runs):
        begun_s = time.perf_counter()
        model.detector.invoke(tensor)
        times.append(time.perf_counter() - begun_s)
    return float(np.median(times)), min(times)


def show(found: dict[str, dict[str, Score]]) -> str:
    """The table as Markdown: mAP@[.5:.95] / mAP@0.5."""
    lines = ["| scene | float | int8, calibrated on day | int8, calibrated on this scene |", "|---|---|---|---|"]
    for condition, scores in found.items():
        own = "int8" if condition == "day" else f"int8_{condition}"
        cells = " | ".join(_cell(scores[name]) for name in ("float", "int8", own))
        lines.append(f"| {condition} | {cells} |")
    lines += ["", "| calibrated on | then run on day |", "|---|---|"]
    elsewhere = [name for name in found["day"] if name.startswith("int8") and name != "int8_raw"]
    for name in elsewhere:
        place = name.partition("_")[2] or "day"
        lines.append(f"| {place} | {_cell(found['day'][name])} |")
    return "\n".join(lines)


def _cell(score: Score) -> str:
    return f"{score.mean_ap:.3f} / {score.ap50:.3f}"
