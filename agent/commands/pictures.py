"""Pictures for whoever shows the last one: each that a command made, and one each so many seconds where that is wanted.

Drawn and encoded on the thread "writer", and only while somebody can get it.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.commands.errands import Errands
from agent.commands.snapshot import Snapshots
from agent.records import FrameResult


class Pictures:
    """``every`` from any thread; the rest on the thread "writer".

    Args:
        snapshots: has the newest result, and draws it.
        errands: the thread that does the work.
        send: takes a JPEG; returns at once.
        is_wanted: somebody can get it now.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        errands: Errands,
        *,
        send: Callable[[bytes], None],
        is_wanted: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._snapshots, self._errands = snapshots, errands
        self._send, self._is_wanted, self._clock = send, is_wanted, clock
        self._period_s = 0.0
        self._round = 0
        self._shown: FrameResult | None = None
        snapshots.on_picture = send

    def every(self, period_s: float) -> None:
        """Send one each so many seconds from now on; 0: only those that are asked for."""
        if period_s == self._period_s:
            return
        self._period_s = period_s
        self._round += 1  # what was planned before is over
        if period_s:
            self._plan(self._round)

    def _plan(self, number: int) -> None:
        self._errands.at(self._clock() + self._period_s, lambda: self._turn(number))

    def _turn(self, number: int) -> None:
        if number != self._round:
            return
        self._plan(number)
        result = self._snapshots.newest
        if result is None or result is self._shown or not self._is_wanted():
            return  # a camera that is down gives no new picture, and an old one would look new
        self._shown = result
        self._send(self._snapshots.picture(result))
