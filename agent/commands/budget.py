"""How often a mere look may be written down: a page that asks for four pictures a second must not wear a card out."""

from __future__ import annotations

from collections.abc import Callable


class Budget:
    """A bucket of ``most`` that fills by one each ``each_s`` seconds."""

    def __init__(self, clock: Callable[[], float], most: int = 20, each_s: float = 30.0) -> None:
        self._clock, self._most, self._each_s = clock, most, each_s
        self._left = float(most)
        self._seen_s = clock()

    def take(self) -> bool:
        """Takes one out; False when there is none."""
        now_s = self._clock()
        self._left = min(self._most, self._left + max(0.0, now_s - self._seen_s) / self._each_s)
        self._seen_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
