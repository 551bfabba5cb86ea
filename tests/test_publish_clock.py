"""A board without a battery clock: what was recorded before it knew the time gets the time; a set clock is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.publish import decode_batch
from agent.publish.contract import Envelope
from agent.publish.inbox import AlarmChange, Happening
from agent.publish.restamp import restamp
from agent.publish.stamp import STEP_S, Stamper
from agent.publish.store import FILE_NAME, Store
from tests.publish_fakes import WALL_S, Clock, Link, perf_report
from tests.spools import StoredRig


class SetClock(Clock):
    """A wall clock that can be set; it stands ``shift_s`` off the truth."""

    def __init__(self, shift_s: float) -> None:
        super().__init__()
        self.shift_s = shift_s

    def wall(self) -> float:
        return super().wall() + self.shift_s


def happening(clock: Clock, number: int = 0) -> Happening:
    return Happening("tick", {"n": number}, clock())


def early(folder: object = None, shift_s: float = -WALL_S) -> tuple[StoredRig, SetClock]:
    """A rig whose board believes that it is 1970, and that nobody listens to."""
    clock = SetClock(shift_s)
    rig = StoredRig(folder, clock=clock)  # type: ignore[arg-type]
    rig.offline()
    return rig, clock


def events(link: Link, kind: str) -> list[Envelope]:
    return [sent.payload for sent in link.on(f"e/{kind}")]


@pytest.mark.parametrize("on_disk", [True, False], ids=["disk", "memory"])
def test_what_was_recorded_before_the_time_was_known_gets_it(tmp_path: object, on_disk: bool) -> None:
    rig, clock = early(tmp_path if on_disk else None)
    true_s = WALL_S + clock()
    rig.inbox.put_notice(happening(clock))
    rig.inbox.put_window(perf_report(started_s=clock() - 10.0))
    rig.steps(2)
    rig.wait(400.0)
    clock.shift_s = 0.0
    rig.steps(2)
    rig.online()
    rig.wait(10.0)
    (tick,) = events(rig.link, "tick")
    (batch,) = rig.link.on("mh/perf")
    (perf,) = decode_batch(batch.topic, batch.body)
    for each in (tick, perf):
        assert each.ts == pytest.approx(true_s, abs=0.01)
        assert (each.clk, each.up) == ("ok", None)
    (synced,) = events(rig.link, "clock-synced")
    assert synced.data["step_s"] == pytest.approx(WALL_S, abs=0.1)  # type: ignore[attr-defined]
    assert events(rig.link, "clock-stepped") == []


def test_what_was_sent_before_the_time_was_known_carries_uptime() -> None:
    rig, clock = early()
    rig.online()
    rig.inbox.put_notice(happening(clock))
    up_s = clock()
    rig.steps()
    (tick,) = events(rig.link, "tick")
    assert (tick.clk, tick.up) == ("unsynced", up_s)


@pytest.mark.parametrize("step_s", [3600.0, -86_400.0, 0.7])
def test_a_clock_that_is_set_is_told_and_what_waits_is_moved(tmp_path: object, step_s: float) -> None:
    rig, clock = early(tmp_path, shift_s=-step_s)
    true_s = WALL_S + clock()
    rig.inbox.put_notice(happening(clock))
    rig.steps(2)
    clock.shift_s = 0.0
    rig.inbox.put_notice(happening(clock, 1))
    rig.steps(2)
    rig.online()
    rig.steps()
    before, after = events(rig.link, "tick")
    assert (before.clk, before.ts) == ("stepped", pytest.approx(true_s, abs=0.01))
    assert after.clk == "ok"
    (told,) = events(rig.link, "clock-stepped")
    assert told.data == {"step_s": pytest.approx(step_s, abs=0.01)}  # type: ignore[attr-defined]


def test_an_alarm_that_is_active_is_said_again_with_the_right_time() -> None:
    rig, clock = early()
    rig.inbox.put_notice(AlarmChange("thermal", "hot", clock()))
    true_s = WALL_S + clock()
    rig.steps(2)
    clock.shift_s = 0.0
    rig.online()
    rig.steps()
    assert rig.link.on("a/thermal")
    assert all(sent.payload.ts == pytest.approx(true_s, abs=0.01) for sent in rig.link.on("a/thermal"))


def test_two_steps_add_up(tmp_path: object) -> None:
    rig, clock = early(tmp_path, shift_s=-5000.0)
    true_s = WALL_S + clock()
    rig.inbox.put_notice(happening(clock))
    for shift_s in (-400.0, 0.0):
        rig.steps(2)
        clock.shift_s = shift_s
    rig.steps(2)
    rig.online()
    rig.steps()
    assert events(rig.link, "tick")[0].ts == pytest.approx(true_s, abs=0.01)


def test_rows_of_a_former_start_are_left_as_they_are(tmp_path: object) -> None:
    rig, clock = early(tmp_path, shift_s=0.0)
    rig.inbox.put_notice(happening(clock))
    true_s = WALL_S + clock()
    rig.steps(2)
    rig.spool._disk._store._db.close()  # type: ignore[union-attr]
    rig = StoredRig(tmp_path, clock=clock, life="b008")  # type: ignore[arg-type]
    rig.offline()
    rig.steps(2)
    clock.shift_s = 500.0
    rig.steps(2)
    rig.online()
    rig.steps()
    (tick,) = events(rig.link, "tick")
    assert (tick.ts, tick.clk) == (pytest.approx(true_s, abs=0.01), "ok")


def test_a_step_moves_the_age_of_what_is_on_the_disk(tmp_path: object) -> None:
    rig, clock = early(tmp_path)
    rig.inbox.put_notice(happening(clock))
    rig.wait(700.0)
    clock.shift_s = 0.0
    rig.wait(700.0)
    assert rig.network.status.dropped == {}, "it is minutes old, and not half a century"
    rig.stop()
    store = Store(tmp_path / FILE_NAME)  # type: ignore[operator]
    store.open()
    ((_, first), *_) = store.notices(0, 9)
    assert first.at_s == pytest.approx(WALL_S + 100.0, abs=1.0)
    store.close()


@given(st.lists(st.tuples(st.floats(0.01, 30.0), st.floats(-0.4, 0.4)), max_size=40))
def test_a_clock_that_drifts_was_not_set(moves: list[tuple[float, float]]) -> None:
    clock = SetClock(0.0)
    stamper = Stamper(device="d", boot="b", clock=clock, wall=clock.wall)
    for seconds, drift_s in moves:
        clock.now_s += seconds
        clock.shift_s += drift_s
        assert stamper.step() == 0.0


@given(st.floats(-1e6, 1e6))
def test_every_step_is_seen_once(step_s: float) -> None:
    clock = SetClock(0.0)
    stamper = Stamper(device="d", boot="b", clock=clock, wall=clock.wall)
    clock.shift_s = step_s
    seen = stamper.step()
    assert seen == pytest.approx(step_s if abs(step_s) >= STEP_S else 0.0, abs=1e-3) or abs(abs(step_s) - STEP_S) < 1e-6
    assert stamper.step() == 0.0


def test_nothing_to_move_is_left_alone() -> None:
    assert restamp("a", b"", 5.0) == b""
    assert restamp("e", b"not looked at", 0.0) == b"not looked at"
