"""How well one model's detections agree with another's, frame by frame. Pure.

Matched greedily: the reference's objects best first, each to the overlapping one of its class with the highest IoU, at
least :data:`LEAST_IOU`. The figure of merit is panoptic quality over boxes (Kirillov et al., 2019, arXiv 1801.00868):
sum of IoU / (matched + half of the missed + half of the extra), 1.0 where both say exactly the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from agent.records import Detections, FloatArray

LEAST_IOU = 0.5


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
    pairs = _pairs(reference, found)
    score = [abs(float(reference.confidence[one] - found.confidence[other])) for one, other, _ in pairs]
    box = [float(np.abs(reference.xyxy[one] - found.xyxy[other]).mean()) for one, other, _ in pairs]
    return Agreement(
        reference=len(reference),
        found=len(found),
        matched=len(pairs),
        iou=sum(overlap for *_, overlap in pairs),
        score_error=sum(score),
        worst_score_error=max(score, default=0.0),
        box_error_px=sum(box),
    )


def _pairs(reference: Detections, found: Detections) -> list[tuple[int, int, float]]:
    if not len(reference) or not len(found):
        return []
    overlaps = overlap(reference.xyxy, found.xyxy)
    overlaps[reference.class_id[:, None] != found.class_id[None, :]] = 0.0
    pairs = []
    for one in np.argsort(-reference.confidence, kind="stable"):
        other = int(overlaps[one].argmax())
        if overlaps[one, other] >= LEAST_IOU:
            pairs.append((int(one), other, float(overlaps[one, other])))
            overlaps[:, other] = 0.0
    return pairs


def overlap(one: FloatArray, other: FloatArray) -> FloatArray:
    """Intersection over union of each box of (n, 4) with each of (m, 4), xyxy: float32 (n, m)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0.0), axis=2)
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - both
    return np.asarray(np.where(union > 0, both / np.maximum(union, 1e-9), 0.0), np.float32)
