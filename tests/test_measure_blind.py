"""No answer is never no objects: where the time without an answer goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.measure import Blind


def awake(now_s: float = 100.0) -> Blind:
    """One that has answered at 101 s."""
    blind = Blind(hung_s=10.0, now_s=now_s)
    blind.camera("streaming", now_s + 0.5)
    blind.answered(now_s + 1.0)
    blind.check(5, now_s + 1.0)
    return blind


def test_the_start_lasts_until_the_first_answer() -> None:
    blind = Blind(10.0, 100.0)
    assert (blind.cause, blind.totals(103.0)) == ("start", {"start": 3.0})
    blind.camera("streaming", 103.0)
    blind.check(1, 104.0)
    assert blind.totals(105.0) == {"start": 5.0}, "a picture is no answer"
    blind.answered(105.5)
    assert blind.totals(200.0) == {"start": 5.5}, "told at once, before anybody looks"
    blind.check(2, 107.0)
    assert (blind.cause, blind.totals(300.0)) == (None, {"start": 5.5})


def test_a_camera_without_a_usable_picture_is_told_by_its_fault() -> None:
    blind = awake()
    blind.camera("stalled", 120.0)
    blind.camera("down", 123.0)
    blind.camera("starting", 124.0)
    blind.camera("streaming", 130.0)
    blind.camera("frozen", 140.0)
    blind.camera("black", 142.0)
    blind.camera("streaming", 145.0)
    assert blind.totals(500.0) == {"start": 1.0, "camera": 10.0, "frozen": 2.0, "black": 3.0}
    assert blind.own_s(500.0) == 16.0


def test_a_camera_that_was_never_there_is_no_long_start() -> None:
    blind = Blind(10.0, 0.0)
    blind.camera("down", 2.0)
    assert blind.totals(60.0) == {"start": 2.0, "camera": 58.0}
    blind.camera("streaming", 60.0)
    blind.answered(61.0)
    assert blind.totals(99.0) == {"start": 3.0, "camera": 58.0}


def test_a_model_that_hangs_is_blind_from_its_last_answer() -> None:
    blind = awake()
    blind.check(40, 106.0)
    assert blind.cause is None
    blind.check(90, 112.0)
    assert (blind.cause, blind.totals(112.0)["invoke"]) == ("invoke", 11.0)
    blind.check(91, 130.0)
    blind.answered(131.0)
    blind.answered(131.1)
    blind.check(99, 135.0)
    assert (blind.cause, blind.totals(500.0)) == (None, {"start": 1.0, "invoke": 30.0})


def test_no_frames_is_not_a_model_that_hangs() -> None:
    blind = awake()
    for now_s in range(102, 400, 9):
        blind.idle(float(now_s))
        blind.check(5, float(now_s) + 8.0)
    assert (blind.cause, blind.totals(500.0)) == (None, {"start": 1.0})


def test_a_model_that_hangs_on_its_first_frame_is_noticed_too() -> None:
    blind = Blind(10.0, 100.0)
    blind.idle(103.0)
    blind.camera("streaming", 103.0)
    blind.check(30, 113.0)
    assert blind.cause == "start"
    blind.check(60, 114.0)
    blind.check(90, 119.0)
    assert (blind.cause, blind.totals(120.0)) == ("invoke", {"start": 3.0, "invoke": 17.0})
    blind.answered(121.0)
    assert blind.totals(500.0) == {"start": 3.0, "invoke": 18.0}


def test_frames_that_come_and_are_never_taken_are_no_idle_camera() -> None:
    blind = awake()
    for second in range(102, 112):
        blind.idle(float(second))
        blind.check(5 + second, float(second))
    assert (blind.cause, blind.totals(112.0)) == (None, {"start": 1.0})
    blind.idle(112.0)
    blind.check(200, 112.0)
    assert (blind.cause, blind.totals(112.0)) == ("invoke", {"start": 1.0, "invoke": 11.0})


def test_a_main_thread_that_does_not_come_back_is_blind_from_its_last_sign_of_life() -> None:
    """A file as fast as it can: no frame comes while one is being looked at."""
    blind = awake()
    blind.idle(105.0)
    blind.check(5, 115.0)
    assert blind.cause is None
    blind.check(5, 116.0)
    assert (blind.cause, blind.totals(120.0)) == ("invoke", {"start": 1.0, "invoke": 15.0})
    blind.answered(121.0)
    assert blind.totals(500.0) == {"start": 1.0, "invoke": 16.0}


def test_a_camera_that_fails_while_the_model_hangs_is_counted_once() -> None:
    blind = awake()
    blind.check(90, 112.0)
    blind.camera("down", 115.0)
    blind.camera("streaming", 120.0)
    assert blind.totals(120.0) == {"start": 1.0, "invoke": 14.0, "camera": 5.0}


def test_a_model_switch_and_the_end_of_a_file() -> None:
    blind = awake()
    blind.absent("switch", 110.0)
    blind.absent(None, 112.5)
    blind.camera("ended", 120.0)
    blind.check(5, 400.0)
    assert blind.totals(400.0) == {"start": 1.0, "switch": 2.5}


def test_former_lives_are_kept_apart_from_this_one() -> None:
    blind = Blind(10.0, 0.0, {"camera": 50.0, "of a later version": 1.0})
    blind.add("restart", 7.0)
    blind.add("restart", -3.0)
    blind.answered(2.0)
    assert blind.totals(9.0) == {"camera": 50.0, "of a later version": 1.0, "restart": 7.0, "start": 2.0}
    assert blind.own_s(9.0) == 2.0


STEPS = st.one_of(
    st.tuples(st.sampled_from(["streaming", "down", "stalled", "frozen", "black", "starting", "ended"]), st.just(0)),
    st.tuples(st.sampled_from(["answer", "idle", "switch", "switched"]), st.just(0)),
    st.tuples(st.just("check"), st.integers(0, 3)),
)


@given(st.lists(st.tuples(STEPS, st.floats(0.0, 30.0)), max_size=40))
def test_blind_time_never_shrinks_and_never_outruns_the_clock(steps: list[tuple[tuple[str, int], float]]) -> None:
    blind, now_s, frames = Blind(5.0, 0.0), 0.0, 0
    blind.camera("streaming", 0.0)
    for (what, count), wait_s in steps:
        if what == "answer":
            blind.answered(now_s)
        elif what == "idle":
            blind.idle(now_s)
        elif what == "check":
            frames += count
            blind.check(frames, now_s)
        elif what.startswith("switch"):
            blind.absent("switch" if what == "switch" else None, now_s)
        else:
            blind.camera(what, now_s)  # type: ignore[arg-type]
        before = blind.totals(now_s)
        assert sum(before.values()) <= now_s + 1e-6
        now_s += wait_s
        after = blind.totals(now_s)
        assert all(after[cause] >= seconds - 1e-9 for cause, seconds in before.items())
        assert blind.own_s(now_s) <= now_s + 1e-6


@given(st.lists(st.sampled_from(["streaming", "down", "answer", "check"]), max_size=20))
def test_a_clock_that_stands_still_counts_nothing(steps: list[str]) -> None:
    blind = Blind(5.0, 42.0)
    for step in steps:
        if step == "answer":
            blind.answered(42.0)
        elif step == "check":
            blind.check(7, 42.0)
        else:
            blind.camera(step, 42.0)  # type: ignore[arg-type]
    assert sum(blind.totals(42.0).values()) == 0.0
