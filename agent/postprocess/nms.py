"""Non-maximum suppression, class by class.

Greedy, as in Girshick et al., 2014, arXiv 1311.2524: the best box stays, boxes of its class that overlap it by more
than ``iou_threshold`` go, and so on. Ties keep the order they came in, so the same input gives the same answer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.records import FloatArray, IntArray


def class_wise_nms(
    boxes: FloatArray, scores: FloatArray, classes: IntArray, iou_threshold: float, most: int
) -> npt.NDArray[np.intp]:
    """Which boxes stay, best first.

    Args:
        boxes: float32 (n, 4), two opposite corners; any axis order.
        scores: float32 (n,).
        classes: int32 (n,); boxes of different classes never suppress each other.
        iou_threshold: overlap above which the lesser box goes, 0 to 1.
        most: at most this many stay.

    Returns:
        Indices into ``boxes``.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and len(kept) < most:
        best = order[0]
        kept.append(int(best))
        rest = order[1:]
        overlaps = (iou(boxes[best], boxes[rest]) > iou_threshold) & (classes[rest] == classes[best])
        order = rest[~overlaps]
    return np.array(kept, np.intp)


def iou(box: FloatArray, boxes: FloatArray) -> FloatArray:
    """Intersection over union of one box with many, float32 (n,); 0 where a box has no area."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    area = np.prod(np.maximum(box[2:] - box[:2], 0)) + np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    union = area - common
    shares: FloatArray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares
