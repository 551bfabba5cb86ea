"""What a person reads of a result: nothing is claimed that the run or the board did not show."""

from __future__ import annotations

import re

import msgspec

from agent.bench import Plan, Result, table
from tests.bench_fakes import conditions, make_run
from tools.report import page


def soak(minutes: float, bits: int | None = 0) -> Result:
    plan = Plan(soak=True, warmup_s=0.0, minutes=minutes)
    return make_run(plan, lambda at_s: 0.04 + 0.0001 * at_s, lambda _: conditions(bits=bits)).go()


def test_a_board_that_cannot_tell_is_not_said_to_be_fine() -> None:
    known, blind = soak(3), soak(3, bits=None)
    for text in (table(blind), page([("a.json", blind)])):
        assert "throttling: not known here" in text
        assert "not throttled" not in text
    assert "; not throttled" in table(known)


def test_a_short_soak_states_no_first_minute_and_no_verdict_on_its_end() -> None:
    long, short = soak(3), msgspec.structs.replace(soak(1), ended="stopped")
    for text in (table(short), page([("a.json", short)])):
        assert "not steady yet" in text
        assert "first minute" not in text
        assert "last windows" in text
    assert "never steady" in table(long)
    assert "first minute" in table(long)


def test_drops_of_a_camera_stand_beside_its_rate() -> None:
    plain = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    assert "dropped" not in table(plain)
    windows = tuple(msgspec.structs.replace(one, queries=10, dropped=5) for one in plain.windows[:2])
    said = table(msgspec.structs.replace(plain, windows=windows))
    assert "dropped 10 of 30 frames" in said


def test_a_soak_says_when_it_was_throttled_how_it_changed_and_keeps_its_table_short() -> None:
    plan = Plan(soak=True, warmup_s=0.0, minutes=15.0)
    found = make_run(
        plan,
        lambda at_s: 0.03 + at_s / 2e4,
        lambda at_s: conditions(82.0, bits=4 if at_s > 300 else 0),
    ).go()
    assert len(found.windows) > 80
    lines = table(found).splitlines()
    assert re.search(r"throttled after 3[01]\d s", " ".join(lines))
    change = next(line for line in lines if line.startswith("first minute"))
    assert re.search(r"\(-\d\d\.\d%\)", change), change
    assert any(line.startswith("seen: the board held the processor back in") for line in lines)
    begin = next(place for place, line in enumerate(lines) if line.lstrip().startswith("at s"))
    assert 15 <= sum(line[:7].strip().isdecimal() for line in lines[begin + 1 :]) <= 30


def test_what_is_wrong_or_not_told_stands_in_the_table() -> None:
    few = make_run(Plan(warmup_s=0.0, seconds=2.0, queries=5), lambda _: 0.05, lambda _: conditions(bits=None)).go()
    said = table(few)
    assert "too few queries for MLPerf's early-stopping estimate" in said
    assert "this board does not tell: throttling, supply voltage, energy" in said
    hog = make_run(Plan(warmup_s=0.0), lambda _: 0.01, lambda _: conditions(others_cores=1.0)).go()
    assert "NOT VALID:\n  other processes kept 1.00 cores busy; stop them\n" in table(hog)
    assert "too few queries" not in table(hog)
