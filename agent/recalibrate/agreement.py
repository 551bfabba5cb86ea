"""How well one model's detections agree with another's, frame by frame. Pure.

The figure of merit is panoptic quality over boxes (Kirillov et al., 2019, arXiv 1801.00868):
sum of IoU / (matched + half of the missed + half of the extra), 1.0 where both say exactly the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from agent.matching import pairs
from agent.records import Detections


@dataclass(frozen=True, slots=True)
class Agreement:
    """Sums over frames; they add up.

    Attributes:
        reference: objects that the reference found.
        found: objects that the judged model found.
        matched: pairs.
        iou: sum over pairs.
        score_error: sum over pairs of the absolute difference of confidence.
        worst_score_error: the largest one.
        box_error_px: sum over pairs of the mean absolute difference of the four edges, frame pixels.
    """

    reference: int = 0
    found: int = 0
    matched: int = 0
    iou: float = 0.0
    score_error: float = 0.0
    worst_score_error: float = 0.0
    box_error_px: float = 0.0

    def __add__(self, other: Agreement) -> Agreement:
        sums = {item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)}
        return Agreement(**sums | {"worst_score_error": max(self.worst_score_error, other.worst_score_error)})

    @property
    def quality(self) -> float:
        """Panoptic quality, 0 to 1; 1 where neither found anything."""
        both = self.reference + self.found
        return 2 * self.iou / both if both else 1.0

    @property
    def recall(self) -> float | None:
        """Share of the reference's objects that were found; None when it found none."""
        return self.matched / self.reference if self.reference else None

    @property
    def missed(self) -> int:
        """Objects of the reference without a partner."""
        return self.reference - self.matched

    @property
    def extra(self) -> int:
        """Objects of the judged model without a partner."""
        return self.found - self.matched


def agree(reference: Detections, found: Detections) -> Agreement:
    """One frame.

    >>> box = Detections(np.array([[0, 0, 9, 9]], np.float32), np.array([0.9], np.float32), np.array([1], np.int32))
    >>> agree(box, box).quality, agree(box, Detections.empty()).missed
    (1.0, 1)
    """
    matched = pairs(reference.xyxy, found.xyxy, np.equal.outer(reference.class_id, found.class_id))
    score = [abs(float(reference.confidence[one] - found.confidence[other])) for one, other, _ in matched]
    box = [float(np.abs(reference.xyxy[one] - found.xyxy[other]).mean()) for one, other, _ in matched]
    return Agreement(
        reference=len(reference),
        found=len(found),
        matched=len(matched),
        iou=sum(overlap for *_, overlap in matched),
        score_error=sum(score),
        worst_score_error=max(score, default=0.0),
        box_error_px=sum(box),
    )
