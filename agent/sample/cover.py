"""A few frames that stand for everything that was seen: k-centre in one pass. Pure.

The doubling algorithm (Charikar, Chekuri, Feder and Motwani 1997, "Incremental clustering and dynamic information
retrieval"). A frame farther than ``radius`` from every centre becomes one. With too many the radius doubles, and
centres that now lie within it of an older one are given up. So each frame lies within two radii of a centre, and
that is at most eight times what the best choice, made with hindsight, would have reached.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.records import FloatArray

Doubles = npt.NDArray[np.float64]

_LEAST_SEEN = 100
_BEYOND = 0.05
"""A new extreme lies this part of the range beyond it: noise would set records for ever."""


class Cover:
    """At most ``most`` centres, each with a tag and a time.

    Attributes:
        radius: any two centres lie farther apart than this; 0 until there were too many.
    """

    def __init__(self, most: int) -> None:
        self.radius = 0.0
        self._most = most
        self._tags: list[str] = []
        self._times: list[float] = []
        self._centres: Doubles = np.empty((0, 0))

    @property
    def tags(self) -> frozenset[str]:
        """What the centres are called."""
        return frozenset(self._tags)

    @property
    def centres(self) -> Doubles:
        """float64 (centres, n)."""
        return self._centres

    def distance(self, vector: FloatArray) -> float:
        """To the nearest centre; infinite where there is none, or none of this length."""
        if self._centres.shape[1:] != vector.shape or not self._tags:
            return float("inf")
        return float(np.sqrt(((self._centres - vector.astype(np.float64)) ** 2).sum(axis=1)).min())

    def is_new(self, vector: FloatArray) -> bool:
        """Whether no centre stands for it."""
        return self.distance(vector) > self.radius

    def add(self, tag: str, vector: FloatArray, at_s: float = 0.0) -> None:
        """Make it a centre where none stands for it; vectors of another length begin anew.

        Args:
            tag: its name.
            vector: float32 (n,), finite.
            at_s: when, for :meth:`forget_before`.
        """
        if self._centres.shape[1:] != vector.shape:
            self._begin(len(vector))
        if not self.is_new(vector):
            return
        self._tags.append(tag)
        self._times.append(at_s)
        self._centres = np.concatenate([self._centres, vector.astype(np.float64)[None]])
        while len(self._tags) > self._most:
            self._widen()

    def forget_before(self, start_s: float) -> None:
        """Give up the centres from before: what they stood for is new again."""
        if self._times and min(self._times) < start_s:
            self._keep([place for place, at_s in enumerate(self._times) if at_s >= start_s])

    def drop(self, tag: str) -> None:
        """Give up one centre; nothing where there is none of this name."""
        if tag in self._tags:
            self._keep([place for place, known in enumerate(self._tags) if known != tag])

    def _begin(self, length: int) -> None:
        self.radius, self._tags, self._times = 0.0, [], []
        self._centres = np.empty((0, length))

    def _widen(self) -> None:
        apart = np.sqrt(((self._centres[:, None] - self._centres[None]) ** 2).sum(axis=2))
        nearest = float(apart[np.triu_indices(len(apart), 1)].min())
        self.radius = 2 * self.radius or nearest
        chosen: list[int] = []
        for place in range(len(apart)):
            if not chosen or apart[place, chosen].min() > self.radius:
                chosen.append(place)
        self._keep(chosen)

    def _keep(self, chosen: list[int]) -> None:
        self._tags = [self._tags[place] for place in chosen]
        self._times = [self._times[place] for place in chosen]
        self._centres = self._centres[chosen]


class Extremes:
    """The range of each feature over all frames, and which of them a frame goes beyond."""

    def __init__(self) -> None:
        self._low = self._high = np.empty(0)
        self._seen = 0

    def beyond(self, vector: FloatArray) -> int:
        """How many features lie clearly outside of what was seen; 0 before a hundred frames."""
        if self._seen < _LEAST_SEEN or self._low.shape != vector.shape:
            return 0
        room = _BEYOND * (self._high - self._low)
        return int(np.count_nonzero((vector > self._high + room) | (vector < self._low - room)))

    def take(self, vector: FloatArray) -> None:
        """Widen the range; vectors of another length begin anew."""
        if self._low.shape != vector.shape:
            self._low = self._high = vector.astype(np.float64)
            self._seen = 0
        self._low, self._high = np.minimum(self._low, vector), np.maximum(self._high, vector)
        self._seen += 1
