"""What a person reads of a result: nothing is claimed that the run or the board did not show."""

from __future__ import annotations

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
