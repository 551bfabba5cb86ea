"""A reader knows what never came, and which of it the board has told as lost."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent.publish.contract import Event, HealthCard, Perf
from tools.fleet.boards import Fleet
from tools.fleet.gaps import Gap, Gaps, insert, overlap, read_ranges

HEAD: dict[str, Any] = {"v": 1, "id": "cam1", "conn": 1, "ts": 1000.0, "clk": "ok"}


def window(seq: int, boot: str = "b1", seq_first: int | None = None) -> Perf:
    return msgspec.convert(
        {**HEAD, "boot": boot, "seq": seq, "seq_first": seq_first, "window_s": 10.0, "frames": 1, "fps": 1.0}
        | {"dropped": 0, "detections": 0, "stages": {}},
        Perf,
    )


def losses(data: dict[str, Any], boot: str = "b2") -> Event:
    return msgspec.convert({**HEAD, "boot": boot, "seq": 1, "event": "losses", "data": data}, Event)


def card(dropped: dict[str, int], refused: dict[str, int]) -> HealthCard:
    camera = {"state": "streaming", "frames_total": 1, "dropped_total": 0, "reconnects_total": 0, "corrupt_total": 0}
    queue = {"rows": 0, "bytes": 0, "oldest_s": 0.0}
    counts = {"blind_s": 0.0, "published": 1, "acked": 1, "merged": 0, "bytes_out": {}, "uptime_s": 1.0}
    more = {"camera": camera, "queue": queue, "dropped": dropped, "refused": refused}
    return msgspec.convert({**HEAD, "boot": "b1", "seq": 1, **counts, **more}, HealthCard)


def windows(gaps: Gaps, *numbers: int) -> None:
    for number in numbers:
        gaps.take("m/perf", window(number))


def test_what_came_in_any_order_leaves_no_gap() -> None:
    gaps = Gaps()
    windows(gaps, 5, 3, 4, 4, 1, 2)
    gaps.take("m/perf", window(9, seq_first=6))
    assert gaps.found() == {}


def test_what_a_kill_took_is_explained_by_the_next_start() -> None:
    gaps = Gaps()
    windows(gaps, 1, 2, 3, 8, 9, 12)
    assert gaps.found() == {"m/perf": Gap(6, 0)}
    gaps.take("e", losses({"boot": "b1", "end": "killed", "lost.m/perf": 5, "seq.m/perf": "4-6,11,13"}))
    gap = gaps.found()["m/perf"]
    assert (gap.missing, gap.explained, gap.unexplained) == (6, 4, 2)
    gaps.take("m/perf", window(7))
    gaps.take("m/perf", window(10))
    assert gaps.found()["m/perf"].unexplained == 0


def test_what_the_board_gave_up_is_explained_by_its_card_and_never_more_than_there_is() -> None:
    gaps = Gaps()
    windows(gaps, 1, 5)
    gaps.take("health", card({"m/perf": 1}, {"m/perf": 1, "e": 4}))
    assert gaps.found() == {"m/perf": Gap(3, 2)}
    gaps.take("e", losses({"boot": "b1", "end": "killed", "dropped.m/perf": 40, "refused.m/perf": 1}))
    assert gaps.found() == {"m/perf": Gap(3, 3)}


def test_last_values_have_no_gaps_and_old_starts_are_forgotten() -> None:
    gaps = Gaps()
    gaps.take("health", card({}, {}))
    for number in range(30):
        gaps.take("m/perf", window(1, f"s{number}"))
        gaps.take("m/perf", window(3, f"s{number}"))
    assert gaps.found() == {"m/perf": Gap(8, 0)}


def test_the_fleet_keeps_them_for_each_board() -> None:
    fleet = Fleet()
    for seq in (1, 4):
        assert fleet.take("edge/v1/home/cam1/m/perf", msgspec.json.encode(window(seq)), 0.0)
    assert fleet.gaps("home", "cam1") == {"m/perf": Gap(2, 0)}
    assert fleet.gaps("home", "cam9") == {}


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)), max_size=40))
def test_ranges_are_the_set_sorted_and_apart(pieces: list[tuple[int, int]]) -> None:
    ranges: list[tuple[int, int]] = []
    for first, more in pieces:
        insert(ranges, first, first + more)
    expected = {number for first, more in pieces for number in range(first, first + more + 1)}
    assert {number for first, last in ranges for number in range(first, last + 1)} == expected
    assert all(one[1] + 1 < other[0] for one, other in pairwise(ranges))


def test_a_board_without_end_takes_no_memory_without_end() -> None:
    ranges: list[tuple[int, int]] = []
    for number in range(0, 10_000, 2):
        insert(ranges, number, number)
    insert(ranges, 9, 3)
    assert len(ranges) == 512
    assert ranges[-1] == (9998, 9998)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    for first, last in read_ranges(text):
        assert overlap((first, last), (0, 10**50)) >= 0
