"""Two answers to one frame, box by box. Pure.

Pairs are made greedily by overlap within a class, the best first, at an IoU of 0.5 and more. After suppression the
boxes of one class hardly overlap, so that the optimal assignment (Hungarian) differs only where three boxes contend.
A box that one side scores just below its threshold is missing, as it is for whoever lives on the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent.records import Detections, FloatArray, Labels

Doubles = npt.NDArray[np.float64]
LEAST_IOU = 0.5


@dataclass(frozen=True, slots=True)
class FrameDiff:
    """How two answers to one frame differ.

    Attributes:
        ious: of each pair, 0.5 to 1.
        score_differences: other minus one, of each pair.
        missed: boxes of the first side without a partner, by class name.
        extra: boxes of the second side without a partner, by class name.
    """

    ious: tuple[float, ...] = ()
    score_differences: tuple[float, ...] = ()
    missed: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, int] = field(default_factory=dict)

    @property
    def lone(self) -> int:
        """Boxes that only one side sees."""
        return sum(self.missed.values()) + sum(self.extra.values())


def match(one: Detections, other: Detections, one_labels: Labels, other_labels: Labels) -> FrameDiff:
    """Pair the boxes of two answers; classes are the same when their names are."""
    one_names = [one_labels.name(int(number)) for number in one.class_id]
    other_names = [other_labels.name(int(number)) for number in other.class_id]
    pairs = _pairs(_overlaps(one.xyxy, other.xyxy), one_names, other_names)
    paired, partners = {first for first, _, _ in pairs}, {second for _, second, _ in pairs}
    return FrameDiff(
        tuple(overlap for _, _, overlap in pairs),
        tuple(float(other.confidence[second]) - float(one.confidence[first]) for first, second, _ in pairs),
        Counter(name for place, name in enumerate(one_names) if place not in paired),
        Counter(name for place, name in enumerate(other_names) if place not in partners),
    )


def _pairs(overlaps: Doubles, one: list[str], other: list[str]) -> list[tuple[int, int, float]]:
    near = np.argwhere(overlaps >= LEAST_IOU).tolist()
    likely = [(float(overlaps[first, second]), first, second) for first, second in near]
    found: list[tuple[int, int, float]] = []
    taken_one: set[int] = set()
    taken_other: set[int] = set()
    for overlap, first, second in sorted(likely, key=lambda item: (-item[0], item[1], item[2])):
        if one[first] == other[second] and first not in taken_one and second not in taken_other:
            found.append((first, second, overlap))
            taken_one.add(first)
            taken_other.add(second)
    return found


def _overlaps(one: FloatArray, other: FloatArray) -> Doubles:
    """IoU of each box with each, float64 (n, m); boxes without area overlap nothing."""
    first, second = one.astype(np.float64)[:, None], other.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    common: Doubles = np.maximum(sides, 0.0).prod(axis=-1)
    whole = _area(first) + _area(second) - common
    shares: Doubles = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return shares


def _area(boxes: Doubles) -> Doubles:
    area: Doubles = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0).prod(axis=-1)
    return area
