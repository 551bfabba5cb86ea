"""Between rows in memory and rows on the disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import msgspec

from agent.publish.outbox import Row
from agent.publish.restamp import restamp
from agent.publish.store import Entry


class Entries:
    """Translates for one start of the agent.

    Args:
        boot: this start.
        clock: monotonic seconds, the time that rows in memory carry.
        wall: unix seconds, the time that rows on the disk carry.
    """

    def __init__(self, boot: str, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._boot = boot
        self._clock = clock
        self._wall = wall

    def of(self, row: Row) -> Entry:
        """A row as it is saved."""
        return Entry(
            boot="" if row.former else self._boot,
            cls=row.cls,
            topic=row.topic,
            seq_first=row.seq_first,
            seq_last=row.seq_last,
            messages=row.messages,
            lines=row.lines,
            at_s=self._wall() - (self._clock() - row.queued_s),
            shift_s=row.shift_s,
            body=row.body,
        )

    def notice(self, number: int, entry: Entry) -> Row:
        """A notice from the disk, with the time that is right now."""
        body = entry.body
        with suppress(msgspec.MsgspecError):  # garbled on the disk: the reader will refuse it
            body = restamp(entry.cls, body, entry.shift_s)
        return replace(self._row(number, entry), body=body, shift_s=0.0)

    def pack(self, number: int, entry: Entry) -> Row:
        """A pack from the disk, as it lies there."""
        return replace(self._row(number, entry), lines=entry.lines, count=entry.messages)

    def _row(self, number: int, entry: Entry) -> Row:
        return Row(
            cls=entry.cls,
            topic=entry.topic,
            body=entry.body,
            queued_s=self._clock() - max(0.0, self._wall() - entry.at_s),
            seq_first=entry.seq_first,
            seq_last=entry.seq_last,
            disk=number,
            former=entry.boot != self._boot,
            shift_s=entry.shift_s,
        )
