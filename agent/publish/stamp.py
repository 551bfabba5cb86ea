"""Who says it, when, and which one it is: the envelope's fields.

Owned by the mqtt thread. Durations come from the monotonic clock; the wall clock only labels.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable

from agent.publish.contract import VERSION, Clock, Stamp

UNSYNCED_BEFORE_S = 1_704_067_200.0
"""2024-01-01 UTC. A board without a battery clock starts in 1970 or at its image's date, until it learns the time."""

STEP_S = 0.5
"""The wall clock that moves so much against the monotonic one, from one look to the next, was set; it did not drift."""


def wall_clock() -> float:
    """Unix time in seconds; a label, never a measure of how long something took."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def new_boot() -> str:
    """A word that no other start of an agent has: eight random hex digits."""
    return secrets.token_hex(4)


class Stamper:
    """Hands out envelopes; ``seq`` rises by one for each of a delivery class.

    Attributes:
        conn: number of the connection that stamps are made under; 0 before the first.
        clock: monotonic seconds.
        wall: unix seconds, a label.

    Args:
        on_stamp: told the class and number of each envelope.
    """

    def __init__(
        self,
        *,
        device: str,
        boot: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
        on_stamp: Callable[[str, int], None] = lambda _cls, _seq: None,
    ) -> None:
        self.conn = 0
        self._on_stamp = on_stamp
        self._device = device
        self._boot = boot
        self.clock = clock
        self.wall = wall
        self._offset_s = wall() - clock()
        self._last: Counter[str] = Counter()

    @property
    def boot(self) -> str:
        """This start of the agent."""
        return self._boot

    def step(self) -> float:
        """Seconds that the wall clock was set by since the last look; 0 while it was not.

        A board that slept is seen here as well: the monotonic clock stands still then.
        """
        offset_s = self.wall() - self.clock()
        shift_s, self._offset_s = offset_s - self._offset_s, offset_s
        return shift_s if abs(shift_s) >= STEP_S else 0.0

    @property
    def is_synced(self) -> bool:
        """The board knows the time."""
        return self.wall() >= UNSYNCED_BEFORE_S

    def stamp(self, cls: str, at_s: float | None = None) -> Stamp:
        """The next envelope of a delivery class, for what was so at ``at_s`` (monotonic; now, when not given)."""
        self._last[cls] += 1
        self._on_stamp(cls, self._last[cls])
        now_s = self.clock()
        at_s = now_s if at_s is None else at_s
        ts = self.wall() - (now_s - at_s)
        clk: Clock = "ok" if ts >= UNSYNCED_BEFORE_S else "unsynced"
        return Stamp(
            v=VERSION,
            id=self._device,
            boot=self._boot,
            conn=self.conn,
            seq=self._last[cls],
            ts=round(ts, 3),
            clk=clk,
            up=None if clk == "ok" else round(at_s, 3),
        )
