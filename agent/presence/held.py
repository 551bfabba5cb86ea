"""One count that follows what is seen only after it has lasted. Pure."""

from __future__ import annotations

Since = tuple[float, int]
"""Monotonic time, and number, of the first frame of an unbroken run."""


class Held:
    """Rises to what was there throughout ``appear_s``, falls to what was there at most throughout ``hold_s``.

    A count that trembles between two numbers stays where it is, or goes to the nearer one: an object that is found in
    every second frame neither appears nor vanishes.

    Args:
        appear_s: at least so many must have been seen for this long...
        hold_s: at most so many must have been seen for this long...
        min_frames: ...and in at least this many frames, without one that says otherwise.

    >>> held = Held(appear_s=1.0, hold_s=2.0, min_frames=2)
    >>> [held.feed(seen, now_s, frame) or held.value for frame, (now_s, seen) in enumerate([(0.0, 1), (1.0, 1)])]
    [0, True]
    """

    __slots__ = ("_above", "_appear_s", "_below", "_hold_s", "_min_frames", "value")

    def __init__(self, appear_s: float, hold_s: float, min_frames: int) -> None:
        self.value = 0
        self._appear_s, self._hold_s, self._min_frames = appear_s, hold_s, min_frames
        self._above: list[Since] = []  # [k]: since when at least k + 1 were seen
        self._below: list[Since] = []  # [i]: since when at most value - 1 - i were seen

    def feed(self, seen: int, now_s: float, frame: int) -> bool:
        """Takes in how many one frame shows; True when the count changed by it."""
        above, below, missing = self._above, self._below, self.value - seen
        if missing == 0 and len(above) == seen and not below:
            return False
        del above[seen:]
        above += [(now_s, frame)] * (seen - len(above))
        del below[max(missing, 0) :]
        below += [(now_s, frame)] * (missing - len(below))
        return self._rise(now_s, frame) or self._fall(now_s, frame)

    @property
    def is_idle(self) -> bool:
        """Nothing is counted and nothing is coming: as good as new."""
        return not self.value and not self._above

    def _rise(self, now_s: float, frame: int) -> bool:
        lasting = self._lasting(self._above, self._appear_s, now_s, frame)
        if lasting <= self.value:
            return False
        self.value = lasting  # and nothing is in _below: fewer than that were not seen
        return True

    def _fall(self, now_s: float, frame: int) -> bool:
        lasting = self._lasting(self._below, self._hold_s, now_s, frame)
        self.value -= lasting
        del self._below[:lasting]
        return lasting > 0

    def _lasting(self, runs: list[Since], hold_s: float, now_s: float, frame: int) -> int:
        """How many runs have lasted; the oldest come first."""
        for number, since in enumerate(runs):
            if not has_lasted(since, hold_s, self._min_frames, now_s, frame):
                return number
        return len(runs)


def has_lasted(since: Since, hold_s: float, min_frames: int, now_s: float, frame: int) -> bool:
    """Whether a run that is unbroken until this frame is long enough, in seconds and in frames."""
    return now_s - since[0] >= hold_s and frame - since[1] + 1 >= min_frames
