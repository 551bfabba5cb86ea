"""Which anchor learns which object: SSD's matching (Liu et al., 2016, arXiv 1512.02325, section 2.2). Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.model import anchors
from agent.records import Detections, FloatArray
from tools.demo_model import spec

BACKGROUND, IGNORED = -1, -2
_POSITIVE, _NEGATIVE = 0.5, 0.4


def anchor_corners() -> FloatArray:
    """All anchors, float32 (n, 4) as ymin, xmin, ymax, xmax, relative to the picture."""
    boxes = anchors(spec.HEADS)
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return corners[:, [1, 0, 3, 2]]


def relative(truth: Detections, width: int, height: int) -> FloatArray:
    """Boxes as ymin, xmin, ymax, xmax, relative to the picture."""
    scale = np.array([height, width, height, width], np.float32)
    boxes: FloatArray = truth.xyxy[:, [1, 0, 3, 2]] / scale
    return boxes


def iou(left: FloatArray, right: FloatArray) -> FloatArray:
    """Overlap of every box with every other, float32 (left, right)."""
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (left, right)]
    overlap: FloatArray = (common / (areas[0][:, None] + areas[1][None] - common)).astype(np.float32)
    return overlap


def match(corners: FloatArray, boxes: FloatArray, class_id: npt.NDArray[np.int32]) -> tuple[FloatArray, FloatArray]:
    """Targets of every anchor.

    Args:
        corners: float32 (anchors, 4), as :func:`anchor_corners` gives them.
        boxes: float32 (objects, 4), as :func:`relative` gives them.
        class_id: int32 (objects,).

    Returns:
        Box of the object that each anchor is to find, float32 (anchors, 4); its class, float32 (anchors,), or
        :data:`BACKGROUND`, or :data:`IGNORED` where the overlap is neither good nor bad.
    """
    wanted = np.full(len(corners), BACKGROUND, np.float32)
    if not len(boxes):
        return np.zeros_like(corners), wanted
    overlap = iou(corners, boxes)
    best = overlap.argmax(axis=1)
    most = overlap.max(axis=1)
    wanted[most >= _NEGATIVE] = IGNORED
    # Each object has its best anchor, however bad that is.
    owners = overlap.argmax(axis=0)
    best[owners], most[owners] = np.arange(len(boxes)), 1.0
    good = most >= _POSITIVE
    wanted[good] = class_id[best[good]]
    return boxes[best].astype(np.float32), wanted
