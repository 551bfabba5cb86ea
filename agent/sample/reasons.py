"""The four policies: each looks at a frame and says in words why it should be kept, or nothing. Pure.

Coverage: no kept frame stands for it, or it goes beyond the range of what was seen. Evidence: drift, disagreement, low
scores, a rare class. Threshold: a score near its threshold, above or just below. Audit: at random times.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from agent.records import Detections, FloatArray, IntArray
from agent.sample.candidate import Candidate
from agent.sample.cover import Cover, Extremes

_LEAST_SEEN = 100
"""Frames with an answer before a class can be called rare."""


class Thresholds:
    """What counts as an object.

    Args:
        scores: float32, score threshold by class number; the last entry stands for every number beyond. Infinite:
            never.
    """

    def __init__(self, scores: FloatArray) -> None:
        self._scores = scores

    def of(self, class_id: IntArray) -> FloatArray:
        """Of each of these classes."""
        found: FloatArray = self._scores[np.clip(class_id, 0, len(self._scores) - 1)]
        return found

    def are_objects(self, found: Detections) -> npt.NDArray[np.bool_]:
        """Which boxes count."""
        return np.asarray(found.confidence >= self.of(found.class_id), bool)


class Coverage:
    """One-pass k-centre over the features, and their extremes.

    Args:
        most: so many frames are to stand for all.
        lasts_s: what a kept frame stood for is new again after this long.
    """

    def __init__(self, most: int, lasts_s: float) -> None:
        self._cover, self._extremes = Cover(most), Extremes()
        self._lasts_s = lasts_s

    def says(self, candidate: Candidate, now_s: float) -> str:
        """Why this frame, or nothing; what goes beyond the range widens it only once it is kept."""
        vector = candidate.features
        if not _is_usable(vector):
            return ""
        self._cover.forget_before(now_s - self._lasts_s)
        beyond = self._extremes.beyond(vector)
        if beyond:
            return f"beyond the range of what was seen in {beyond} of {len(vector)} features"
        self._extremes.take(vector)
        if not self._cover.is_new(vector):
            return ""
        distance = self._cover.distance(vector)
        return f"{distance:.3g} from the nearest kept frame" if np.isfinite(distance) else "the first of its kind"

    def kept(self, vector: FloatArray, at_s: float) -> None:
        """A frame with these features is kept, for whatever reason."""
        if _is_usable(vector):
            self._extremes.take(vector)
            self._cover.add("", vector, at_s)


class Evidence:
    """What others found out about the frame, and what its own answer shows.

    Args:
        thresholds: what counts.
        low_score: see the settings.
        rare_share: see the settings.
    """

    def __init__(self, thresholds: Thresholds, low_score: float, rare_share: float) -> None:
        self._thresholds = thresholds
        self._low_score, self._rare_share = low_score, rare_share
        self._answered = 0
        self._seen: Counter[int] = Counter()

    def says(self, candidate: Candidate) -> str:
        """Why this frame, or nothing."""
        parts = []
        if candidate.drift:
            parts.append(f"drift: {candidate.drift}")
        if candidate.disagreement:
            parts.append(f"disagreement: {candidate.disagreement}")
        if candidate.detections is not None:
            parts += self._of_answer(candidate.detections)
        return "; ".join(parts)

    def _of_answer(self, found: Detections) -> list[str]:
        counts = self._thresholds.are_objects(found)
        classes = sorted(set(found.class_id[counts].tolist()))
        rare = [number for number in classes if self._is_rare(number)]
        self._answered += 1
        self._seen.update(classes)
        parts = []
        if classes and (best := float(found.confidence[counts].max())) < self._low_score:
            parts.append(f"low score: the best object has {best:.2f}")
        if rare:
            parts.append(f"rare class: {', '.join(map(str, rare))} in {self._answered} frames")
        return parts

    def _is_rare(self, number: int) -> bool:
        return self._answered >= _LEAST_SEEN and self._seen[number] < self._rare_share * self._answered


class NearThreshold:
    """A score that a little less, or a little more, would have made another answer.

    Args:
        thresholds: what counts.
        margin: how near is near.
    """

    def __init__(self, thresholds: Thresholds, margin: float) -> None:
        self._thresholds, self._margin = thresholds, margin

    def says(self, candidate: Candidate) -> str:
        """Why this frame, or nothing."""
        found = candidate.detections
        if found is None or not len(found):
            return ""
        over = found.confidence - self._thresholds.of(found.class_id)
        place = int(np.argmin(np.abs(over)))
        if not abs(over[place]) <= self._margin:
            return ""
        side = "above" if over[place] >= 0 else "below"
        return f"a score of {found.confidence[place]:.2f}, {abs(over[place]):.2f} {side} its threshold"


class Audit:
    """Random times with exponential gaps: no moment is likelier than another, and none can be foreseen.

    Args:
        every_s: mean gap.
        seed: the same seed, the same gaps.
    """

    def __init__(self, every_s: float, seed: int) -> None:
        self._every_s = every_s
        self._random = np.random.default_rng(seed)
        self._due_s: float | None = None

    def says(self, now_s: float) -> str:
        """Why the frame of this moment, or nothing."""
        if self._due_s is None:
            self._due_s = now_s + self._gap_s()
        if now_s < self._due_s:
            return ""
        self._due_s = now_s + self._gap_s()
        return "random audit"

    def _gap_s(self) -> float:
        return float(self._random.exponential(self._every_s))


def _is_usable(vector: FloatArray) -> bool:
    return vector.ndim == 1 and len(vector) > 0 and bool(np.isfinite(vector).all())
