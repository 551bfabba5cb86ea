"""The outbox: the bound holds, and no row leaves without an acknowledgement or a count."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.publish.outbox import MAX_MERGED, ROW_OVERHEAD_BYTES, Outbox, Row


def window(seq: int, size: int = 100, cls: str = "m/perf") -> Row:
    return Row(cls, f"t/{cls}", b"x" * size, float(seq), seq, seq, mergeable=True)


def notice(seq: int, size: int = 100, cls: str = "e") -> Row:
    return Row(cls, f"t/{cls}", b"y" * size, float(seq), seq, seq)


def join(older: Row, newer: Row) -> Row:
    """A merge that keeps the longer body."""
    body = max(older.body, newer.body, key=len)
    return Row(older.cls, older.topic, body, older.queued_s, older.seq_first, newer.seq_last, mergeable=True)


def never(_older: Row, _newer: Row) -> None:
    return None


def drain(box: Outbox) -> list[Row]:
    rows = []
    while (taken := box.next()) is not None:
        number, row = taken
        box.acked(number)
        rows.append(row)
    return rows


def test_notices_go_first_the_oldest_before_all_then_windows_the_newest_first() -> None:
    box = Outbox(10_000, never)
    for row in (window(1), notice(1), window(2), notice(2)):
        box.put(row)
    assert [(row.cls, row.seq_first) for row in drain(box)] == [("e", 1), ("e", 2), ("m/perf", 2), ("m/perf", 1)]


def test_a_row_in_flight_is_still_there() -> None:
    box = Outbox(10_000, never)
    box.put(window(1))
    taken = box.next()
    assert taken is not None
    assert (box.next(), box.counts().rows, box.counts().bytes) == (None, 1, window(1).size_bytes)
    box.acked(taken[0])
    assert (box.counts().rows, box.counts().bytes, box.counts().oldest_s) == (0, 0, None)


def test_after_a_cut_unacknowledged_rows_come_again_in_their_old_order() -> None:
    box = Outbox(10_000, never)
    for seq in (1, 2, 3):
        box.put(window(seq))
    first, second = box.next(), box.next()
    assert first is not None
    assert second is not None
    box.acked(first[0])
    box.requeue()
    box.put(window(4))
    assert [row.seq_first for row in drain(box)] == [4, 2, 1]


def test_after_a_cut_notices_come_again_in_their_old_order_too() -> None:
    box = Outbox(10_000, never)
    for seq in (1, 2, 3):
        box.put(notice(seq))
    box.next()
    box.requeue()
    assert [row.seq_first for row in drain(box)] == [1, 2, 3]


def test_of_our_own_notices_the_older_goes_first_wherever_it_lies() -> None:
    box = Outbox(10_000, never)
    box.put(replace(notice(2), disk=7))
    box.put(notice(1))
    box.put(notice(3))
    assert [row.seq_first for row in drain(box)] == [1, 2, 3]


def test_what_a_former_start_left_goes_before_all_of_ours_however_late_it_is_read() -> None:
    box = Outbox(10_000, never)
    box.put(notice(1))
    box.put(replace(notice(9), disk=7, former=True))
    assert [row.seq_first for row in drain(box)] == [9, 1]


def test_what_lies_on_the_disk_is_not_dropped_for_its_age() -> None:
    box = Outbox(10_000, never)
    box.put(replace(window(1), mergeable=False, lines=1, disk=4))
    box.put(replace(window(2), mergeable=False, lines=1))
    box.expire(100.0)
    assert box.counts().dropped == {"m/perf": 1}
    assert box.lent == {4}


def test_what_lies_on_the_disk_takes_nothing_of_the_bound() -> None:
    box = Outbox(10_000, never)
    box.put(replace(notice(1), disk=4))
    assert box.counts().bytes == 0


def test_over_the_bound_windows_merge_before_anything_is_dropped() -> None:
    box = Outbox(4 * window(1).size_bytes, join)
    for seq in range(1, 101):
        box.put(window(seq))
    counts = box.counts()
    rows = drain(box)[::-1]
    assert counts.dropped == {}
    assert counts.merged == 100 - len(rows)
    assert (rows[0].seq_first, rows[-1].seq_last) == (1, 100)
    assert all(a.seq_last + 1 == b.seq_first for a, b in pairwise(rows))


def test_resolution_is_lost_evenly() -> None:
    box = Outbox(10 * window(1).size_bytes, join)
    for seq in range(1, 81):
        box.put(window(seq))
    assert max(row.messages for row in drain(box)) <= 16


def test_a_row_stands_for_no_more_than_ten_minutes() -> None:
    box = Outbox(2 * window(1).size_bytes, join)
    for seq in range(1, 500):
        box.put(window(seq))
    counts = box.counts()
    rows = drain(box)
    assert max(row.messages for row in rows) <= MAX_MERGED
    assert counts.dropped["m/perf"] + sum(row.messages for row in rows) == 499


def test_only_neighbours_merge() -> None:
    box = Outbox(window(1).size_bytes * 3, join)
    for row in (window(1), window(3), window(1, cls="m/sys"), window(5)):
        box.put(row)
    assert box.counts().merged == 0
    assert box.counts().dropped == {"m/perf": 1}


def test_windows_are_dropped_before_notices_and_the_oldest_first() -> None:
    box = Outbox(3 * window(1).size_bytes, never)
    for row in (window(1), notice(1), window(2), notice(2), notice(3)):
        box.put(row)
    assert box.counts().dropped == {"m/perf": 2}
    box.put(notice(4))
    assert box.counts().dropped == {"m/perf": 2, "e": 1}
    assert [row.seq_first for row in drain(box)] == [2, 3, 4]


def test_what_is_in_flight_is_never_dropped() -> None:
    box = Outbox(2 * window(1).size_bytes, never)
    box.put(window(1))
    box.put(window(2))
    flying = [box.next(), box.next()]
    box.put(notice(1))
    assert box.counts().dropped == {"e": 1}
    for taken in flying:
        assert taken is not None
        box.acked(taken[0])
    assert box.counts().rows == 0


def test_a_row_larger_than_the_bound_is_counted_as_dropped() -> None:
    box = Outbox(1000, never)
    box.put(window(1, size=1000))
    assert (box.counts().rows, box.counts().dropped) == (0, {"m/perf": 1})


def test_a_merge_that_saves_nothing_is_not_tried_for_ever() -> None:
    box = Outbox(2 * window(1).size_bytes, lambda a, b: Row(a.cls, a.topic, a.body * 9, 0.0, a.seq_first, b.seq_last))
    for seq in range(1, 10):
        box.put(window(seq))
    assert box.counts().dropped == {"m/perf": 7}


def test_oldest_is_the_oldest_wherever_it_is() -> None:
    box = Outbox(10_000, never)
    box.put(window(5))
    box.put(notice(9))
    assert box.counts().oldest_s == 5.0
    box.next()
    box.next()
    box.put(window(8))
    assert box.counts().oldest_s == 5.0, "in flight"


def test_acknowledging_what_is_not_in_flight_is_an_error() -> None:
    with pytest.raises(KeyError):
        Outbox(1000, never).acked(1)


class OutboxLaws(RuleBasedStateMachine):
    """Whatever happens: in = acknowledged + dropped + still here, message by message; and the bound holds."""

    @initialize(rows=st.integers(1, 12), merges=st.booleans())
    def start(self, rows: int, merges: bool) -> None:
        self.limit = rows * (ROW_OVERHEAD_BYTES + 120)
        self.box = Outbox(self.limit, join if merges else never)
        self.seq: Counter[str] = Counter()
        self.acked: Counter[str] = Counter()
        self.flying: dict[int, Row] = {}
        self.seen: set[tuple[str, int]] = set()

    @rule(size=st.integers(0, 400), cls=st.sampled_from(["m/perf", "m/sys", "e", "a"]))
    def put(self, size: int, cls: str) -> None:
        self.seq[cls] += 1
        make = window if cls.startswith("m/") else notice
        self.box.put(make(self.seq[cls], size, cls))

    @rule()
    def send(self) -> None:
        taken = self.box.next()
        if taken is not None:
            assert taken[0] not in self.flying
            self.flying[taken[0]] = taken[1]

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.flying)))
        row = self.flying.pop(number)
        self.box.acked(number)
        for seq in range(row.seq_first, row.seq_last + 1):
            assert (row.cls, seq) not in self.seen, "told twice"
            self.seen.add((row.cls, seq))
        self.acked[row.cls] += row.messages

    @rule()
    def cut(self) -> None:
        self.flying.clear()
        self.box.requeue()

    @precondition(lambda self: self.flying)
    @rule()
    def refuse(self) -> None:
        number = min(self.flying)
        del self.flying[number]
        self.box.give_up(number)

    @invariant()
    def bound_holds(self) -> None:
        assert 0 <= self.box.counts().bytes <= self.limit

    @invariant()
    def nothing_vanishes(self) -> None:
        counts = self.box.counts()
        held: Counter[str] = Counter()
        size = 0
        for lane in (self.box._notices, self.box._windows, self.box._flying):
            for row in lane.values():
                held[row.cls] += row.messages
                size += row.size_bytes
        assert size == counts.bytes
        for cls, count in self.seq.items():
            assert count == self.acked[cls] + counts.dropped.get(cls, 0) + held[cls]


OutboxLaws.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
test_outbox_laws = OutboxLaws.TestCase
