"""COCO mAP of a detector on annotated pictures, by pycocotools.

In: a COCO annotation file, the folder of its pictures, and the same settings that the agent runs with. Out: mAP at
0.50:0.95 and at 0.50 (Lin et al., 2014, arXiv 1405.0312; COCOeval as published). Pictures walk the agent's own street,
with the score threshold at 0, as COCO asks.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import config as settings
from agent.board import ready_model
from agent.camera import read_picture
from agent.config import Config
from agent.errors import ModelError, StorageError, UnavailableError
from agent.pipeline import Model
from agent.wording import no_json


@dataclass(frozen=True, slots=True)
class Score:
    """What COCOeval says.

    Attributes:
        mean_ap: average precision over IoU 0.50 to 0.95.
        ap50: average precision at IoU 0.50.
        images: pictures evaluated.
        detections: detections given to COCOeval.
    """

    mean_ap: float
    ap50: float
    images: int
    detections: int


def evaluate(config: Config, annotations: Path, images: Path) -> Score:
    """Run the model over every annotated picture and score it.

    Raises:
        StorageError: the annotations or a picture cannot be read.
        ModelError: the model cannot be used, or none of its labels is a category.
        UnavailableError: pycocotools is not installed.
    """
    truth = load_annotations(annotations)
    model = ready_model(settings.override(config, {"model.score_threshold": 0.0}))
    found = list(detections(model, truth, images))
    mean_ap, ap50 = average_precision(annotations, found)
    return Score(mean_ap, ap50, len(truth["images"]), len(found))


def load_annotations(path: Path) -> dict[str, Any]:
    """A COCO annotation file, checked as far as it is used here.

    Raises:
        StorageError: it cannot be read or is no COCO file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path}: is no COCO file: {no_json(error, dict)}") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise StorageError(f"{path}: is no COCO file: it has no list {key!r}")
    checked: dict[str, Any] = data
    return checked


def average_precision(annotations: Path, found: list[dict[str, Any]]) -> tuple[float, float]:
    """Average precision at IoU 0.50:0.95 and at 0.50; 0 when nothing was found.

    Raises:
        UnavailableError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO  # noqa: PLC0415  # an extra: the desk has it, the board does not
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415
    except ImportError:
        raise UnavailableError("pycocotools is not installed; pip install 'edge-agent[tools]'") from None
    if not found:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def detections(model: Model, truth: dict[str, Any], images: Path) -> Iterator[dict[str, Any]]:
    """What a model finds on annotated pictures, as COCO wants it.

    Raises:
        ModelError: none of its labels is a category.
        CameraError: a picture cannot be read.
    """
    categories = {item["name"]: item["id"] for item in truth["categories"]}
    known = {number: categories[name] for number, name in model.labels.names.items() if name in categories}
    if not known:
        raise ModelError(f"{model.path}: none of its labels is a category of the annotations; is it another task's?")
    for image in truth["images"]:
        found = model.detect(read_picture(images / image["file_name"]))
        for box, confidence, class_id in zip(found.xyxy, found.confidence, found.class_id, strict=True):
            if int(class_id) in known:
                left, top, right, bottom = (float(side) for side in box)
                yield {
                    "image_id": image["id"],
                    "category_id": known[int(class_id)],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(confidence),
                }
