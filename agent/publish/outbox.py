"""What waits for the broker: rows in memory, bounded by bytes, gone only when the broker has acknowledged them.

Pure bookkeeping on the mqtt thread: no clock, no network. Over the bound, neighbouring windows are merged before
anything is dropped, and whatever is dropped is counted by its class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

ROW_OVERHEAD_BYTES = 250
"""What Python needs for a row beside its topic and body (64-bit CPython 3.11: the objects' and the dict's share)."""

MAX_MERGED = 60
"""Windows that one row may stand for: ten minutes at the default length."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message that must arrive.

    Attributes:
        cls: delivery class.
        topic: the whole topic.
        body: payload; windows as they are stored, with every sketch.
        queued_s: monotonic time at which it was put in.
        seq_first, seq_last: what it stands for in its class; both 0 for a payload without an envelope.
        retain: the broker keeps it.
        mergeable: a window, that a neighbour can take in.
    """

    cls: str
    topic: str
    body: bytes
    queued_s: float
    seq_first: int = 0
    seq_last: int = 0
    retain: bool = False
    mergeable: bool = False

    @property
    def size_bytes(self) -> int:
        """Memory it takes."""
        return len(self.topic) + len(self.body) + ROW_OVERHEAD_BYTES

    @property
    def messages(self) -> int:
        """How many it stands for."""
        return self.seq_last - self.seq_first + 1


Merge = Callable[[Row, Row], Row | None]
"""Makes one row of two neighbours, the older first; None where that would say something untrue."""


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How full it is, and what was lost so far."""

    rows: int
    bytes: int
    oldest_s: float | None
    merged: int
    dropped: dict[str, int]


class Outbox:
    """Rows by number: what must not be lost goes first, then windows, each oldest first."""

    def __init__(self, limit_bytes: int, merge: Merge) -> None:
        self._limit_bytes = limit_bytes
        self._merge = merge
        self._notices: dict[int, Row] = {}
        self._windows: dict[int, Row] = {}
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
        self._bytes += row.size_bytes
        while self._bytes > self._limit_bytes and (self._merge_once() or self._drop_once()):
            pass

    def next(self) -> tuple[int, Row] | None:
        """The next row to send and its number; it stays here, in flight, until one of the calls below."""
        lane = self._notices or self._windows
        if not lane:
            return None
        number = next(iter(lane))
        row = self._flying[number] = lane.pop(number)
        return number, row

    def acked(self, number: int) -> None:
        """The broker has it: the row leaves."""
        self._bytes -= self._flying.pop(number).size_bytes

    def give_up(self, number: int) -> None:
        """It can never be sent (too large): the row leaves, and counts as dropped."""
        self._count_dropped(self._flying[number])
        self.acked(number)

    def requeue(self) -> None:
        """The connection is gone: what was in flight waits again, in its old place."""
        for lane in (self._notices, self._windows):
            back = {number: row for number, row in self._flying.items() if self._lane(row) is lane}
            rest = dict(lane)
            lane.clear()
            lane.update(sorted((back | rest).items()))
        self._flying.clear()

    def counts(self) -> OutboxCounts:
        """Rows (in flight ones too), bytes, time at which the oldest was put in, and the losses."""
        heads = [next(iter(lane.values())) for lane in (self._notices, self._windows) if lane]
        return OutboxCounts(
            rows=len(self._flying) + len(self._notices) + len(self._windows),
            bytes=self._bytes,
            oldest_s=min((row.queued_s for row in (*heads, *self._flying.values())), default=None),
            merged=self._merged,
            dropped=dict(self._dropped),
        )

    def count_dropped(self, cls: str, messages: int = 1) -> None:
        """Counts a loss that happened before a row was made."""
        self._dropped[cls] += messages

    def _lane(self, row: Row) -> dict[int, Row]:
        return self._windows if row.mergeable else self._notices

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
        """Drops the oldest window, or else the oldest of what must not be lost; never what is in flight."""
        lane = self._windows or self._notices
        if not lane:
            return False
        row = lane.pop(next(iter(lane)))
        self._bytes -= row.size_bytes
        self._count_dropped(row)
        return True

    def _count_dropped(self, row: Row) -> None:
        self._dropped[row.cls] += row.messages
