"""Two answers to one frame, box by box; classes are the same when their names are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from agent.matching import LEAST_IOU, pairs
from agent.records import Detections, Labels

__all__ = ["LEAST_IOU", "FrameDiff", "match"]


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
    found = pairs(one.xyxy, other.xyxy, np.equal.outer(np.array(one_names, str), np.array(other_names, str)))
    paired, partners = {first for first, _, _ in found}, {second for _, second, _ in found}
    return FrameDiff(
        tuple(overlap for _, _, overlap in found),
        tuple(float(other.confidence[second]) - float(one.confidence[first]) for first, second, _ in found),
        Counter(name for place, name in enumerate(one_names) if place not in paired),
        Counter(name for place, name in enumerate(other_names) if place not in partners),
    )
