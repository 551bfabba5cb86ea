"""How many frames in a minute, an hour and a day. Pure; holds over any window, not over calendar ones."""

from __future__ import annotations

from collections import deque

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0


class Limits:
    """A budget over three sliding windows; each frame of the last day is remembered, at most a day's budget of them.

    Args:
        most: frames in any minute, any hour, any day.

    >>> limits = Limits((1, 10, 100))
    >>> limits.spend(0.0)
    >>> limits.has_room(59.0), limits.has_room(60.0)
    (False, True)
    """

    def __init__(self, most: tuple[int, int, int]) -> None:
        self._most = tuple(zip((MINUTE_S, HOUR_S, DAY_S), most, strict=True))
        self._spent: deque[float] = deque(maxlen=max(most))

    @property
    def is_none(self) -> bool:
        """Nothing is ever allowed."""
        return any(most == 0 for _, most in self._most)

    def has_room(self, now_s: float) -> bool:
        """Whether one more fits now; ``now_s`` never falls."""
        return not self.is_none and all(self._since(now_s - span_s, most) for span_s, most in self._most)

    def spend(self, now_s: float) -> None:
        """Count one; ``now_s`` never falls."""
        self._spent.append(now_s)

    def _since(self, start_s: float, most: int) -> bool:
        # Times rise, so the one that lies ``most`` back tells of all.
        return len(self._spent) < most or self._spent[-most] <= start_s
