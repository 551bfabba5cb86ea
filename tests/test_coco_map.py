"""The COCO SSD's mean average precision: our street and the bare interpreter say the same."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from agent.infer import choose_backend
from tests.conftest import missing
from tests.models import Case, Street, picture

ANNOTATIONS = "annotations/instances_val2017_open.json"
IMAGES = "images/coco_val2017"


def average_precision(annotations: Path, found: list[dict[str, Any]]) -> tuple[float, float]:
    """COCOeval as published: over IoU 0.50 to 0.95, and at 0.50."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def by_street(assets: Path, truth: dict[str, Any], coco: Case, backend: str) -> Iterator[dict[str, Any]]:
    """What the agent's own stages find."""
    street = Street(coco, backend=backend, config=msgspec.structs.replace(coco.config, score_threshold=0.0))
    categories = {item["name"]: item["id"] for item in truth["categories"]}
    for image in truth["images"]:
        found = street.detect(picture(assets / IMAGES / image["file_name"]))
        for box, score, number in zip(found.xyxy, found.confidence, found.class_id, strict=True):
            left, top, right, bottom = map(float, box)
            if coco.labels.name(int(number)) in categories:
                yield {
                    "image_id": image["id"],
                    "category_id": categories[coco.labels.name(int(number))],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(score),
                }


def by_hand(assets: Path, truth: dict[str, Any], coco: Case, backend: str) -> Iterator[dict[str, Any]]:
    """A bare interpreter, outputs in the order that TF1 wrote them, and nothing of the agent."""
    bare = choose_backend(backend).module.Interpreter(model_path=str(coco.path), num_threads=1)
    bare.allocate_tensors()
    outputs = [item["index"] for item in bare.get_output_details()]
    names = (assets / "labels/coco_labels.txt").read_text().splitlines()
    categories = {item["name"]: item["id"] for item in truth["categories"]}
    for image in truth["images"]:
        pixels = cv2.imread(str(assets / IMAGES / image["file_name"]))
        height, width = pixels.shape[:2]
        resized = cv2.cvtColor(cv2.resize(pixels, (300, 300)), cv2.COLOR_BGR2RGB)
        bare.set_tensor(bare.get_input_details()[0]["index"], resized[None])
        bare.invoke()
        boxes, classes, scores, count = (bare.get_tensor(index) for index in outputs)
        for row in range(int(count[0])):
            sides = boxes[0, row].astype(float) * [height, width, height, width]
            top, left, bottom, right = np.clip(sides, 0, [height, width, height, width])
            if names[int(classes[0, row])] in categories:
                yield {
                    "image_id": image["id"],
                    "category_id": categories[names[int(classes[0, row])]],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(scores[0, row]),
                }


KNOWN = {"litert": (0.222906, 0.368520), "tflite-runtime": (0.228740, 0.365765)}
"""mAP and AP50 on x86-64: LiteRT 2.3.0 with its XNNPACK delegate, tflite-runtime 2.14.0 without one for uint8."""


def test_our_street_scores_what_the_bare_interpreter_scores(assets: Path, coco: Case, backend: str) -> None:
    """On the 27 open pictures of val2017, street and bare interpreter alike, to the last digit.

    mAP 0.222906 and AP50 0.368520 on LiteRT, mAP 0.228740 and AP50 0.365765 on tflite-runtime.
    """
    if find_spec("pycocotools") is None:
        missing("pycocotools is not installed")
    truth = json.loads((assets / ANNOTATIONS).read_text())
    ours, theirs = (list(way(assets, truth, coco, backend)) for way in (by_street, by_hand))
    assert len(ours) == len(theirs) > 150
    for our, their in zip(ours, theirs, strict=True):
        assert [our[key] for key in ("image_id", "category_id", "score")] == [
            their[key] for key in ("image_id", "category_id", "score")
        ]
        np.testing.assert_allclose(our["bbox"], their["bbox"], atol=1e-3)
    our_ap, their_ap = (average_precision(assets / ANNOTATIONS, found) for found in (ours, theirs))
    sys.stdout.write(f"{backend}: mAP and AP50 {our_ap} by the street, {their_ap} by hand\n")
    assert our_ap == pytest.approx(their_ap, abs=1e-6)
    assert our_ap == pytest.approx(KNOWN[backend], abs=0.01), "another processor may round otherwise, a little"
