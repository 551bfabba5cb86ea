"""What waits for the broker: rows in memory, bounded by bytes, gone only when the broker has acknowledged them.

Pure bookkeeping on the mqtt thread: no clock, no network. Over the bound, neighbouring windows are merged before
anything is dropped, and whatever is dropped is counted by its class. What lies on the disk as well is lent to it, to
be sent: that is never dropped here, and does not count towards the bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from agent.publish.ranges import ranges
from agent.publish.rows import ROW_OVERHEAD_BYTES, Merge, Row
from agent.publish.tally import Tally

__all__ = ["MAX_MERGED", "ROW_OVERHEAD_BYTES", "Merge", "Outbox", "OutboxCounts", "Row"]

MAX_MERGED = 60
"""Windows that one row may stand for: ten minutes at the default length."""


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How full it is, and what was lost so far."""

    rows: int
    bytes: int
    oldest_s: float | None
    merged: int
    dropped: dict[str, int]


class Outbox:
    """Rows by number: what must not be lost goes first, oldest first; then windows, the newest first; then packs.

    Attributes:
        tally: told of whatever leaves for good.
    """

    def __init__(self, limit_bytes: int, merge: Merge, tally: Tally | None = None) -> None:
        self.tally = tally or Tally("")
        self._limit_bytes = limit_bytes
        self._merge = merge
        self._lent: dict[int, Row] = {}
        self._notices: dict[int, Row] = {}
        self._windows: dict[int, Row] = {}
        self._packs: dict[int, Row] = {}
        self._flying: dict[int, Row] = {}
        self._unmergeable: set[tuple[int, int]] = set()
        self._number = 0
        self._bytes = 0
        self._merged = 0
        self._dropped: Counter[str] = Counter()

    def put(self, row: Row) -> None:
        """Takes a row in; makes room by merging, then by dropping the oldest, until the bound holds."""
        self._number += 1
        self._lane(row)[self._number] = row
        self._bytes += _memory(row)
        while self._bytes > self._limit_bytes and (self._merge_once() or self._drop_once()):
            pass

    def next(self, *, windows: bool = True) -> tuple[int, Row] | None:
        """The next row to send and its number; it stays here, in flight, until one of the calls below.

        Args:
            windows: single windows too, and not only what must not be lost.
        """
        lane = self._notice_lane()
        if lane:
            return self._take(lane, next(iter(lane)))
        return self._take(self._windows, next(reversed(self._windows))) if windows and self._windows else None

    def next_pack(self) -> tuple[int, Row] | None:
        """The oldest pack, to be sent."""
        return self._take(self._packs, next(iter(self._packs))) if self._packs else None

    def windows(self) -> list[tuple[int, Row]]:
        """The single windows that wait, oldest first; they stay here."""
        return list(self._windows.items())

    def fly(self, numbers: Iterable[int]) -> None:
        """These windows are sent now, in one message."""
        for number in numbers:
            self._take(self._windows, number)

    def acked(self, number: int) -> Row:
        """The broker has it: the row leaves."""
        row = self._flying.pop(number)
        self._bytes -= _memory(row)
        self._done_with(row)
        return row

    def give_up(self, number: int) -> Row:
        """It can never be sent (too large): the row leaves, and counts as dropped."""
        self.lose(self._flying[number])
        return self.acked(number)

    def take_out(self, numbers: Iterable[int] | None = None) -> list[Row]:
        """Rows that wait leave for somewhere else: those windows, or (None) all that is in memory only."""
        lanes = (self._notices, self._windows, self._packs)
        found = [(lane, n) for lane in lanes for n, row in lane.items() if numbers is None and not row.disk]
        found += [(self._windows, number) for number in numbers or ()]
        rows = [lane.pop(number) for lane, number in found]
        self._bytes -= sum(map(_memory, rows))
        return rows

    def take_out_notices(self) -> list[Row]:
        """What must not be lost and waits in memory only leaves for the disk."""
        rows = list(self._notices.values())
        self._notices.clear()
        self._bytes -= sum(map(_memory, rows))
        return rows

    def requeue(self) -> None:
        """The connection is gone: what was in flight waits again, in its old place."""
        for lane in (self._lent, self._notices, self._windows, self._packs):
            back = {number: row for number, row in self._flying.items() if self._lane(row) is lane}
            rest = dict(lane)
            lane.clear()
            lane.update(sorted((back | rest).items()))
        self._flying.clear()

    def change(self, change: Callable[[Row], Row]) -> None:
        """Changes every row; none may move to another lane but by losing its place on the disk."""
        for lane in (self._lent, self._notices, self._windows, self._packs, self._flying):
            for number, row in lane.items():
                lane[number] = changed = change(row)
                self._bytes += _memory(changed) - _memory(row)
        unlent = {number: row for number, row in self._lent.items() if not row.disk}
        self._lent = {number: row for number, row in self._lent.items() if row.disk}
        self._notices = unlent | self._notices

    def split(self, number: int, rows: Iterable[Row]) -> None:
        """A pack in flight is too large: these wait in its stead, before all others."""
        self._bytes -= _memory(self._flying.pop(number))
        first = dict(enumerate(rows, start=self._number + 1))
        self._number += len(first)
        self._packs = first | self._packs
        self._bytes += sum(map(_memory, first.values()))

    def expire(self, before_s: float) -> None:
        """Drops what was put in before a monotonic time."""
        for lane in (self._notices, self._windows, self._packs):
            for number in [n for n, row in lane.items() if row.queued_s < before_s and not row.disk]:
                self._drop(lane, number)

    @property
    def lent(self) -> frozenset[int]:
        """Numbers, on the disk, of what waits or flies here."""
        lanes = (self._lent, self._packs, self._flying)
        return frozenset(row.disk for lane in lanes for row in lane.values() if row.disk)

    @property
    def is_sent(self) -> bool:
        """Nothing waits or flies, but for packs that lie on the disk."""
        waits = self._lent or self._notices or self._windows or self._flying
        return not waits and all(row.disk for row in self._packs.values())

    @property
    def is_pack_flying(self) -> bool:
        """A pack is on its way."""
        return any(row.lines for row in self._flying.values())

    @property
    def is_unsaved(self) -> bool:
        """Something waits in memory only."""
        return any(not row.disk for lane in (self._notices, self._windows, self._packs) for row in lane.values())

    @property
    def is_filling(self) -> bool:
        """Half of the bound is used."""
        return self._bytes > self._limit_bytes // 2

    @property
    def has_notices(self) -> bool:
        """Something that must not be lost waits here."""
        return bool(self._lent or self._notices)

    @property
    def is_notice_at_risk(self) -> bool:
        """Something that must not be lost is in memory only."""
        flying = (row for row in self._flying.values() if not (row.disk or row.mergeable or row.lines))
        return bool(self._notices) or any(True for _ in flying)

    @property
    def has_former(self) -> bool:
        """A notice of a former start waits, or is in flight."""
        return any(row.former and not row.lines for lane in (self._lent, self._flying) for row in lane.values())

    @property
    def has_packs(self) -> bool:
        """A pack waits, or is in flight."""
        return bool(self._packs) or self.is_pack_flying

    def counts(self) -> OutboxCounts:
        """Rows (in flight ones too), bytes, time at which the oldest was put in, and the losses."""
        lanes = (self._lent, self._notices, self._windows, self._packs)
        heads = [next(iter(lane.values())) for lane in lanes if lane]
        return OutboxCounts(
            rows=len(self._flying) + sum(map(len, lanes)),
            bytes=self._bytes,
            oldest_s=min((row.queued_s for row in (*heads, *self._flying.values())), default=None),
            merged=self._merged,
            dropped=dict(self._dropped),
        )

    def count_dropped(self, cls: str, messages: int = 1) -> None:
        """Counts a loss that happened before a row was made, or elsewhere."""
        self._dropped[cls] += messages
        self.tally.dropped(cls, messages)

    def lose(self, row: Row) -> None:
        """A row is given up: it counts as dropped."""
        self._done_with(row)
        self.count_dropped(row.cls, row.messages)

    def count_merged(self, windows: int) -> None:
        """Counts windows that were merged elsewhere."""
        self._merged += windows

    def _lane(self, row: Row) -> dict[int, Row]:
        if row.lines:
            return self._packs
        if row.mergeable:
            return self._windows
        return self._lent if row.disk else self._notices

    def _notice_lane(self) -> dict[int, Row]:
        """Where the next notice is: what a former start left is first; of ours the older one, wherever it lies."""
        if not self._lent or not self._notices:
            return self._lent or self._notices
        lent, notice = next(iter(self._lent.values())), next(iter(self._notices.values()))
        return self._notices if not lent.former and notice.queued_s < lent.queued_s else self._lent

    def _take(self, lane: dict[int, Row], number: int) -> tuple[int, Row]:
        row = self._flying[number] = lane.pop(number)
        return number, row

    def _merge_once(self) -> bool:
        """Merges the pair that stands for the fewest windows, the oldest such: resolution is lost evenly."""
        pair = min(self._pairs(), key=lambda pair: (pair[2], pair[0]), default=None)
        if pair is None:
            return False
        older, newer, _ = pair
        before = self._windows[older].size_bytes + self._windows[newer].size_bytes
        row = self._merge(self._windows[older], self._windows[newer])
        if row is None or row.size_bytes >= before:
            self._unmergeable = {(older, newer), *(pair for pair in self._unmergeable if pair[0] in self._windows)}
            return True
        del self._windows[newer]
        self._windows[older] = row
        self._bytes += row.size_bytes - before
        self._merged += 1
        return True

    def _pairs(self) -> Iterator[tuple[int, int, int]]:
        """Neighbours in one class, none in flight between them: their numbers, and how many windows both stand for."""
        by_class: dict[str, list[int]] = {}
        for number, row in self._windows.items():
            by_class.setdefault(row.cls, []).append(number)
        for numbers in by_class.values():
            for older, newer in pairwise(numbers):
                first, second = self._windows[older], self._windows[newer]
                messages = first.messages + second.messages
                adjacent = first.seq_last + 1 == second.seq_first
                if adjacent and messages <= MAX_MERGED and (older, newer) not in self._unmergeable:
                    yield older, newer, messages

    def _drop_once(self) -> bool:
        """Drops the oldest pack or window, or else the oldest of what must not be lost; never what is in flight."""
        for lane in (self._packs, self._windows, self._notices):
            number = next((number for number, row in lane.items() if not row.disk), None)
            if number is not None:
                self._drop(lane, number)
                return True
        return False

    def _drop(self, lane: dict[int, Row], number: int) -> None:
        row = lane.pop(number)
        self._bytes -= _memory(row)
        self.lose(row)

    def _done_with(self, row: Row) -> None:
        if not row.former:
            self.tally.done(row.cls, ranges(row))


def _memory(row: Row) -> int:
    """What a row counts towards the bound."""
    return 0 if row.disk else row.size_bytes
