"""Limits that are judged with patience: raised once, cleared once. Pure."""

from __future__ import annotations

FIRST_UPTIME_S = 600.0
LONGEST_UPTIME_S = 86_400.0
CALM_UPTIME_S = 86_400.0
"""A life of a day breaks the row of restarts."""

UNKNOWN_UPTIME_S = 3600.0
"""Where nothing is remembered over a restart, nobody knows how many there were."""


class Limit:
    """Over a limit for several values in a row; back under a part of it for as many.

    Args:
        over: the limit; 0: there is none.
        patience: values in a row.
        under_share: the part of the limit below which it is over.
    """

    def __init__(self, over: float, patience: int = 3, under_share: float = 0.8) -> None:
        self.over, self._patience, self._under_share = over, patience, under_share
        self.is_over = False
        self._row = 0

    def take(self, value: float) -> bool:
        """One value; returns whether the limit counts as passed.

        >>> limit = Limit(1.0, patience=2)
        >>> [limit.take(value) for value in (2.0, 0.1, 2.0, 2.0, 0.9, 0.7, 0.7)]
        [False, False, False, True, True, True, False]
        """
        if not self.over:
            self.is_over, self._row = False, 0
            return False
        turns = value < self.over * self._under_share if self.is_over else value > self.over
        self._row = self._row + 1 if turns else 0
        if self._row >= self._patience:
            self.is_over, self._row = not self.is_over, 0
        return self.is_over


def least_uptime_s(restarts_in_a_row: int | None) -> float:
    """How long a life must last before the agent may end itself: doubles with each such end, so that it is no loop.

    >>> [least_uptime_s(row) for row in (0, 1, 5, 99, None)]
    [600.0, 1200.0, 19200.0, 86400.0, 3600.0]
    """
    if restarts_in_a_row is None:
        return UNKNOWN_UPTIME_S
    return min(FIRST_UPTIME_S * 2.0 ** min(restarts_in_a_row, 30), LONGEST_UPTIME_S)
