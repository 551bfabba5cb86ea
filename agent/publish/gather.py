"""Neighbouring windows become one, until it is as long as the profile wants it. Pure; no clock of its own."""

from __future__ import annotations

from collections.abc import Callable

from agent.publish.outbox import Merge, Row


class Gather:
    """Merges what comes in, class by class, and hands it on when its time is full.

    Args:
        merge: makes one row of two neighbours, or refuses.
        length_s: how long the windows of a class shall be; 0: they are handed on at once.
        hand_on: where full ones go.
    """

    def __init__(self, merge: Merge, length_s: Callable[[str], float], hand_on: Callable[[Row], None]) -> None:
        self._merge = merge
        self._length_s = length_s
        self._hand_on = hand_on
        self._open: dict[str, Row] = {}

    def set_length(self, length_s: Callable[[str], float]) -> None:
        """Another length from now on; what was begun goes as it is."""
        self.flush()
        self._length_s = length_s

    def put(self, row: Row) -> None:
        """Takes a window in, at the time ``row.queued_s``."""
        length_s = self._length_s(row.cls)
        if not length_s:
            self._hand_on(row)
            return
        before = self._open.get(row.cls)
        if before is not None and self._span(before, row.queued_s) == 0:
            merged = self._merge(before, row) if before.seq_last + 1 == row.seq_first else None
            if merged is not None:
                self._open[row.cls] = merged
                return
        self._close(row.cls)
        self._open[row.cls] = row

    def tick(self, now_s: float) -> None:
        """Hands on what is full by now."""
        for cls, row in list(self._open.items()):
            if self._span(row, now_s):
                self._close(cls)

    def flush(self) -> None:
        """Hands on everything, full or not."""
        for cls in list(self._open):
            self._close(cls)

    def replace(self, change: Callable[[Row], Row]) -> None:
        """Changes every row that is here."""
        self._open = {cls: change(row) for cls, row in self._open.items()}

    def rows(self) -> list[Row]:
        """What is not full yet."""
        return list(self._open.values())

    def _span(self, row: Row, now_s: float) -> int:
        """Whole lengths that lie between, on a ruler that all windows of a class share."""
        length_s = self._length_s(row.cls)
        return int(now_s // length_s - row.queued_s // length_s)

    def _close(self, cls: str) -> None:
        row = self._open.pop(cls, None)
        if row is not None:
            self._hand_on(row)
