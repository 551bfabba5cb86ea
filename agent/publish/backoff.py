"""How long to wait before the next connection attempt: exponential, with full jitter. Pure."""

from __future__ import annotations

from random import Random

FIRST_S = 2.0
"""Ceiling of the first delay when there was no connection yet."""

SPREAD_S = 30.0
"""Ceiling after a lost connection: a broker's restart throws off a whole fleet at once, which must not come back so."""

SETTLED_S = 60.0
"""A connection shorter than this counts as a failed attempt: else two agents with one name fight at full speed."""


class Backoff:
    """Delays are uniform between 0 and a ceiling that doubles up to ``max_s`` ("full jitter", AWS, 2015)."""

    def __init__(self, max_s: float, rng: Random) -> None:
        self._max_s = max_s
        self._rng = rng
        self._ceiling_s = min(FIRST_S, max_s)

    def failed(self) -> float:
        """Seconds to wait after an attempt that led to no connection."""
        delay_s = self._rng.uniform(0.0, self._ceiling_s)
        self._ceiling_s = min(2.0 * self._ceiling_s, self._max_s)
        return delay_s

    def lost(self, connected_s: float) -> float:
        """Seconds to wait after a connection that lasted ``connected_s``."""
        spread_s = min(SPREAD_S, self._max_s)
        self._ceiling_s = spread_s if connected_s >= SETTLED_S else max(spread_s, self._ceiling_s)
        return self.failed()
