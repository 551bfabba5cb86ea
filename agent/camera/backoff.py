"""How long to wait before a lost camera is opened again. Pure."""

from __future__ import annotations

from random import Random


class Backoff:
    """Delays that double up to a limit, with jitter: the cameras behind one restarted switch must not come all at once.

    >>> delays = Backoff(0.5, 4.0, Random(7))
    >>> all(low <= delays.next_s() <= 2 * low for low in (0.25, 0.5, 1.0, 2.0, 2.0))
    True
    """

    def __init__(self, min_s: float, max_s: float, rng: Random) -> None:
        self._min_s = min_s
        self._max_s = max(min_s, max_s)
        self._rng = rng
        self._delay_s = min_s

    def next_s(self) -> float:
        """The next delay: between half and all of the current step."""
        step_s = min(self._delay_s, self._max_s)
        self._delay_s = min(2 * step_s, self._max_s)
        return step_s * (0.5 + 0.5 * self._rng.random())

    def reset(self) -> None:
        """Begin anew: the camera has proved itself."""
        self._delay_s = self._min_s
