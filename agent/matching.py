"""Which box of one answer is which box of another. Pure.

Pairs are made greedily by overlap within a class, the best first, at an IoU of 0.5 and more. After suppression the
boxes of one class hardly overlap, so that the optimal assignment (Hungarian) differs only where three boxes contend.
A box that one side scores just below its threshold is missing, as it is for whoever lives on the answer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.records import FloatArray

Doubles = npt.NDArray[np.float64]

LEAST_IOU = 0.5


def pairs(one: FloatArray, other: FloatArray, alike: npt.NDArray[np.bool_]) -> list[tuple[int, int, float]]:
    """Partners, best first: place in ``one``, place in ``other``, their IoU; nobody has two.

    Args:
        one: boxes, xyxy (n, 4).
        other: boxes, xyxy (m, 4).
        alike: (n, m), whether two boxes are of one class.
    """
    overlaps = np.where(alike, iou(one, other), 0.0)
    near = np.argwhere(overlaps >= LEAST_IOU).tolist()
    likely = sorted((-float(overlaps[first, second]), first, second) for first, second in near)
    found: list[tuple[int, int, float]] = []
    taken_one: set[int] = set()
    taken_other: set[int] = set()
    for overlap, first, second in likely:
        if first not in taken_one and second not in taken_other:
            found.append((first, second, -overlap))
            taken_one.add(first)
            taken_other.add(second)
    return found


def iou(one: FloatArray, other: FloatArray) -> Doubles:
    """Intersection over union of each box with each, float64 (n, m); boxes without area overlap nothing."""
    first, second = one.astype(np.float64)[:, None], other.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    common: Doubles = np.maximum(sides, 0.0).prod(axis=-1)
    whole = _area(first) + _area(second) - common
    shares: Doubles = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return shares


def _area(boxes: Doubles) -> Doubles:
    area: Doubles = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0).prod(axis=-1)
    return area
