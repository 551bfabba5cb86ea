"""The operating point: score thresholds for a changed model that keep each class's old rate of false positives. Pure.

In: the detections of the old and of the new model on the same frames, in the order they were taken, at all scores down
to a floor; and what counts as the truth. Out: one :class:`Refit` a class. A correction or a patch moves the scores; a
threshold that was chosen for the old ones means something else for the new.

What "false" means depends on what is known:

* labels: false positives indeed;
* the float model's or the float twin's detections: disagreement with it. An error that all three share is not seen, and
  a box that only the quantized model finds is called false though it may be right;
* nothing (``truth=None``): every box counts. The rate of answers is kept; nothing is known of whether they are true.

The deployed model's own boxes are a truth for the new one alone: by them the old one has no false positive at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.matching import iou
from agent.records import Detections, FloatArray, IntArray
from agent.resampling import block_sums, drawn_sums

Reals = npt.NDArray[np.floating[Any]]

LEAST_EVIDENCE = 5
"""Fewer false positives than this, by the old model and by the new one at the old threshold, say nothing of a rate."""

_RESAMPLES = 1000


MayMove = Callable[[int, float, float], bool]
"""Asked before a threshold is moved: the class, the old threshold, the one that keeps the rate."""


def always(_class_id: int, _old: float, _new: float) -> bool:
    """Every move is made."""
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One frame's detections.

    Attributes:
        class_id: int32 (n,).
        confidence: float32 (n,), 0 to 1.
        is_false: bool (n,), no truth belongs to it.
    """

    class_id: IntArray
    confidence: FloatArray
    is_false: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Refit:
    """One class's threshold.

    Attributes:
        old_threshold: the deployed one.
        threshold: the one that keeps the rate; the deployed one where there is too little evidence for another.
        old_rate: false positives a frame, the old model at its threshold.
        rate: the same of the new model at ``threshold``.
        interval: of ``rate``, 95 %, by blocks of frames.
        evidence: false positives that this rests on.
    """

    old_threshold: float
    threshold: float
    old_rate: float
    rate: float
    interval: tuple[float, float]
    evidence: int

    @property
    def is_moved(self) -> bool:
        """The threshold is another one."""
        return self.threshold != self.old_threshold


def judge(found: Sequence[Detections], truth: Sequence[Detections] | None, iou_threshold: float = 0.5) -> list[Judged]:
    """Which detections are false: those that no object of their class overlaps, or a better one took.

    Args:
        found: of each frame, best first.
        truth: of the same frames; None: every detection counts.
        iou_threshold: least overlap with the truth.

    Raises:
        ValueError: they are not of the same frames.
    """
    if truth is None:
        return [Judged(each.class_id, each.confidence, np.ones(len(each), bool)) for each in found]
    if len(found) != len(truth):
        raise ValueError(f"detections of {len(found)} frames and truth of {len(truth)} do not belong together")
    return [
        Judged(each.class_id, each.confidence, _false(each, true, iou_threshold))
        for each, true in zip(found, truth, strict=True)
    ]


def _false(found: Detections, truth: Detections, iou_threshold: float) -> npt.NDArray[np.bool_]:
    overlap = iou(found.xyxy, truth.xyxy) * (found.class_id[:, None] == truth.class_id)
    is_false = np.ones(len(found), bool)
    for number in np.argsort(-found.confidence, kind="stable"):
        if len(truth) and overlap[number].max() >= iou_threshold:
            is_false[number] = False
            overlap[:, int(overlap[number].argmax())] = 0.0
    return is_false


def refit(
    old: Sequence[Judged],
    new: Sequence[Judged],
    thresholds: Mapping[int, float],
    *,
    default: float = 0.5,
    floor: float = 0.05,
    block: int = 15,
    may_move: MayMove = always,
) -> dict[int, Refit]:
    """A threshold for each class that either model finds, at the old rate of false positives.

    Args:
        old: the deployed model's detections, frame by frame.
        new: the changed model's, of the same frames.
        thresholds: the deployed ones, by class.
        default: of the other classes.
        floor: below it no detection was kept, so no threshold is put there; a deployed one may lie there already.
        block: frames that are drawn together, since neighbours are alike.
        may_move: asked of each move; where it says no, the threshold stays.

    Raises:
        ValueError: the two are not of the same frames, there is none, or a number is out of its range.
    """
    if len(old) != len(new) or not old:
        raise ValueError(f"{len(old)} frames of the old model and {len(new)} of the new one cannot be compared")
    if not all(0 <= number <= 1 for number in (*thresholds.values(), default, floor)) or block < 1:
        raise ValueError("thresholds and floor lie within 0 to 1, and a block has a frame at least")
    classes = sorted({int(number) for each in (*old, *new) for number in each.class_id})

    def found(number: int) -> Refit:
        before, after, threshold = _scores(old, number), _scores(new, number), thresholds.get(number, default)
        fresh = _refit(before, after, threshold, floor, block)
        if not fresh.is_moved or may_move(number, threshold, fresh.threshold):
            return fresh
        return _rated(before, after, threshold, threshold, block)

    return {number: found(number) for number in classes}


def _scores(frames: Sequence[Judged], class_id: int) -> list[FloatArray]:
    """Scores of one class's false positives, frame by frame."""
    return [each.confidence[(each.class_id == class_id) & each.is_false] for each in frames]


def _refit(old: list[FloatArray], new: list[FloatArray], threshold: float, floor: float, block: int) -> Refit:
    allowed = int(_counts(old, threshold).sum())
    evidence = max(allowed, int(_counts(new, threshold).sum()))
    chosen = threshold
    if evidence >= LEAST_EVIDENCE:
        chosen = _threshold(np.concatenate(new), allowed, threshold, floor)
    return _rated(old, new, threshold, chosen, block)


def _rated(old: list[FloatArray], new: list[FloatArray], threshold: float, chosen: float, block: int) -> Refit:
    allowed = int(_counts(old, threshold).sum())
    evidence = max(allowed, int(_counts(new, threshold).sum()))
    counts = _counts(new, chosen)
    return Refit(threshold, chosen, allowed / len(old), float(counts.mean()), rate_interval(counts, block), evidence)


def _counts(scores: list[FloatArray], threshold: float) -> npt.NDArray[np.int64]:
    return np.array([(each >= threshold).sum() for each in scores], np.int64)


def _threshold(scores: FloatArray, allowed: int, old: float, floor: float) -> float:
    """The threshold nearest the old one that lets through as many of the scores as allowed, or fewer where they tie."""
    best_first = np.sort(scores.astype(np.float64))[::-1]
    kept_out = float(best_first[allowed]) if allowed < len(best_first) else -1.0
    let_in = best_first[best_first > kept_out]
    highest = float(let_in[-1]) if len(let_in) else 1.0
    compared = float(np.float32(old))  # as scores are compared with it
    if compared > highest:
        return max(min(old, floor), highest)
    if compared > kept_out:
        return old
    return min(1.0, max((kept_out + highest) / 2, float(np.nextafter(kept_out, 2.0))))


def rate_interval(counts: npt.NDArray[np.int64], block: int, seed: int = 1) -> tuple[float, float]:
    """95 % interval of the mean count a frame, by a circular block bootstrap (Politis and Romano 1992).

    Args:
        counts: (frames,), in the order that they were taken.
        block: frames that are drawn together.
        seed: of the draws.
    """
    block = min(block, len(counts))
    blocks = -(-len(counts) // block)
    drawn = drawn_sums(block_sums(counts, block), blocks, _RESAMPLES, seed)
    low, high = np.percentile(drawn / blocks / block, [2.5, 97.5])
    return float(low), float(high)
