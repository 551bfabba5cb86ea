"""The thermal governor: readings in, a pace out; and the same on a simulated board."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import GovernorConfig
from agent.governor import (
    HARD,
    MARGIN_CELSIUS,
    PATIENCE_S,
    SOFT,
    STALE_S,
    TOLD_PART,
    Governor,
    is_news,
    limits_of,
)
from agent.records import Heat, Pace

ACT = GovernorConfig(mode="act")


def feed(
    governor: Governor,
    celsius: float | None,
    *,
    seconds: float = 60.0,
    from_s: float = 0.0,
    fps: float | None = 20.0,
    throttled: bool = False,
) -> Pace:
    """The same reading each five seconds."""
    for tick in range(1, int(seconds / 5) + 1):
        governor.look(Heat(from_s + 5.0 * tick, celsius, None, throttled, fps))
    return governor.pace


def test_a_cool_board_takes_all_frames() -> None:
    pace = feed(Governor(ACT), 60.0, seconds=600)
    assert (pace.state, pace.interval_s, pace.share) == ("free", 0.0, 1.0)


def test_a_hot_board_takes_fewer_and_a_hotter_one_still_fewer() -> None:
    warm, hot = feed(Governor(ACT), 79.5, seconds=30), feed(Governor(ACT), 84.0, seconds=30)
    assert warm.state == hot.state == "paced"
    assert 1 / 20 < warm.interval_s < hot.interval_s
    assert "C is the target" in warm.why


def test_between_the_marks_nothing_changes() -> None:
    governor = Governor(ACT)
    before = feed(governor, 82.0, seconds=40)
    assert before.share < 1.0
    inside = HARD.celsius - MARGIN_CELSIUS - 1.0
    feed(governor, inside, seconds=60, from_s=40)  # the line has to forget the fall
    settled = governor.pace
    assert feed(governor, inside, seconds=3600, from_s=100) == settled


def test_it_recovers_fully_when_the_board_is_cool_again() -> None:
    governor = Governor(ACT)
    assert feed(governor, 84.0, seconds=600).share < 0.75
    pace = feed(governor, 60.0, seconds=600, from_s=600, fps=14.0)
    assert (pace.state, pace.interval_s, pace.share) == ("free", 0.0, 1.0)


def test_a_board_on_its_way_up_is_helped_before_it_gets_there() -> None:
    governor = Governor(ACT)
    for tick in range(20):
        governor.look(Heat(5.0 * tick, 60.0 + tick, None, False, 20.0))
        if governor.pace.share < 1.0:
            break
    assert 70.0 < 60.0 + tick < HARD.celsius - MARGIN_CELSIUS


def test_a_clock_that_is_held_back_by_heat_is_reacted_to_at_once() -> None:
    governor, calm = Governor(ACT), Governor(ACT)
    feed(governor, 76.0)
    feed(calm, 76.0)
    assert calm.look(Heat(65.0, 76.0, None, False, 20.0)).state == "free"
    pace = governor.look(Heat(65.0, 76.0, None, True, 20.0))
    assert pace.state == "paced"
    assert "firmware" in pace.why


def test_a_clock_that_is_held_back_on_a_cold_board_is_no_matter_of_heat() -> None:
    assert feed(Governor(ACT), 50.0, throttled=True).state == "free"


def test_a_hot_coral_is_a_reason_too() -> None:
    governor = Governor(ACT)
    for tick in range(12):
        governor.look(Heat(5.0 * tick, 50.0, 90.0, False, 20.0))
    assert governor.pace.state == "paced"


def test_the_target_is_the_settings_word_or_the_boards() -> None:
    assert Governor(GovernorConfig(target_celsius=70.0)).target_celsius == 70.0
    assert Governor(ACT, limits_of("Raspberry Pi 3 Model B Plus Rev 1.3")).target_celsius == 59.0
    assert Governor(ACT, limits_of("Raspberry Pi 3 Model B Rev 1.2")).target_celsius == 79.0
    assert feed(Governor(GovernorConfig(mode="act", target_celsius=50.0)), 60.0).state == "paced"


def test_a_soft_limit_that_cannot_be_kept_at_a_useful_pace_is_left_to_the_firmware() -> None:
    governor = Governor(ACT, (SOFT, HARD))
    pace = feed(governor, 66.0, seconds=200, throttled=True)
    assert pace.state == "slowest"
    assert pace.share == pytest.approx(1.2 / 1.4)
    pace = feed(governor, 70.0, seconds=PATIENCE_S + 100, from_s=200, throttled=True)
    assert (pace.state, pace.interval_s) == ("free", 0.0)
    assert governor.target_celsius == 79.0
    assert feed(governor, 70.0, seconds=600, from_s=700, throttled=True).state == "free"
    feed(governor, 50.0, seconds=120, from_s=1400)
    assert governor.target_celsius == 59.0, "kept again once it can be"


def test_without_a_sensor_it_does_nothing_and_says_so_once() -> None:
    governor = Governor(ACT)
    said = [governor.look(Heat(5.0 * tick, None, None, None, 20.0)) for tick in range(60)]
    news = [after for before, after in pairwise(said) if is_news(before, after)]
    assert [(pace.state, pace.interval_s) for pace in news] == [("blind", 0.0)]
    assert said[int(STALE_S / 5)].state == "free"
    assert governor.look(Heat(1000.0, 60.0, None, None, 20.0)).state == "free", "the sensor is back"


def test_a_sensor_that_goes_while_frames_are_paced_sets_them_free() -> None:
    governor = Governor(ACT)
    assert feed(governor, 84.0).state == "paced"
    pace = feed(governor, None, from_s=60, seconds=STALE_S + 10)
    assert (pace.state, pace.interval_s) == ("blind", 0.0)


@pytest.mark.parametrize("celsius", [math.nan, math.inf, -math.inf, 166.05, -87.9])
def test_a_reading_that_no_chip_has_is_no_reading(celsius: float) -> None:
    assert feed(Governor(ACT), celsius, seconds=300).state == "blind"


@pytest.mark.parametrize("fps", [None, math.nan, math.inf, 0.0, -3.0, 1e300])
def test_without_a_rate_to_go_by_nothing_is_paced(fps: float | None) -> None:
    pace = feed(Governor(ACT), 90.0, fps=fps, seconds=300)
    assert pace.interval_s == 0.0


def test_a_clock_that_stands_still_or_goes_back_changes_nothing() -> None:
    governor = Governor(ACT)
    feed(governor, 70.0)
    before = governor.pace
    for at_s in (60.0, 59.0, -1e9, math.nan, math.inf):
        for _ in range(50):
            assert governor.look(Heat(at_s, 95.0, None, True, 20.0)) is before
    assert governor.look(Heat(65.0, 70.0, None, False, 20.0)).state == "free", "and the next one counts"


def test_advice_is_one_step_and_does_not_wind_up() -> None:
    governor = Governor(GovernorConfig(mode="advise"))
    pace = feed(governor, 84.0, seconds=3600)
    assert pace.state == "paced"
    assert not pace.is_acted
    assert pace.share >= 0.85
    assert feed(governor, 60.0, seconds=300, from_s=3600).state == "free"


def with_invoke(governor: Governor, celsius: float, invoke_s: float, *, seconds: float, from_s: float) -> Pace:
    for tick in range(1, int(seconds / 5) + 1):
        governor.look(Heat(from_s + 5.0 * tick, celsius, None, celsius > 80.0, 20.0, invoke_s))
    return governor.pace


def test_heat_alone_is_no_reason_while_frames_are_answered_as_fast_as_on_a_cool_board() -> None:
    governor = Governor(ACT)
    with_invoke(governor, 60.0, 0.050, seconds=100, from_s=0)
    assert with_invoke(governor, 82.0, 0.054, seconds=600, from_s=100).state == "free"
    pace = with_invoke(governor, 82.0, 0.056, seconds=40, from_s=700)
    assert pace.state == "paced"
    held = pace.share
    assert with_invoke(governor, 82.0, 0.054, seconds=600, from_s=740).share == held, "between the marks it stays"
    assert with_invoke(governor, 82.0, 0.051, seconds=600, from_s=1340).state == "free"


def test_without_tolerance_the_temperature_alone_decides() -> None:
    governor = Governor(GovernorConfig(mode="act", tolerance=0.0))
    with_invoke(governor, 60.0, 0.050, seconds=100, from_s=0)
    assert with_invoke(governor, 82.0, 0.050, seconds=30, from_s=100).state == "paced"


@pytest.mark.parametrize("invoke_s", [None, math.nan, 0.0, -1.0, math.inf])
def test_an_invoke_of_no_time_is_no_reason_to_let_it_get_hot(invoke_s: float | None) -> None:
    governor = Governor(ACT)
    with_invoke(governor, 60.0, 0.050, seconds=100, from_s=0)
    for tick in range(12):
        governor.look(Heat(105.0 + 5.0 * tick, 84.0, None, False, 20.0, invoke_s))
    assert governor.pace.state == "paced"


def test_off_is_off() -> None:
    assert feed(Governor(GovernorConfig(mode="off")), 99.0, seconds=3600) == Pace()


celsius = st.one_of(st.none(), st.floats(), st.floats(30, 110))
rates = st.one_of(st.none(), st.floats(), st.floats(0.1, 120))
readings = st.lists(
    st.tuples(st.floats(0, 60), celsius, celsius, st.one_of(st.none(), st.booleans()), rates, rates), max_size=80
)


@given(readings, st.sampled_from([0.2, 1.0, 5.0]), st.floats(0.05, 1.0), st.sampled_from(["act", "advise"]))
def test_whatever_is_read_the_pace_stays_within_its_limits(
    steps: list[tuple[float, float | None, float | None, bool | None, float | None, float | None]],
    lowest_fps: float,
    lowest_share: float,
    mode: str,
) -> None:
    governor = Governor(GovernorConfig(mode=mode, lowest_fps=lowest_fps, lowest_share=lowest_share))  # type: ignore[arg-type]
    now_s, fastest = 0.0, 0.0
    for wait_s, soc, coral, throttled, fps, invoke_s in steps:
        now_s += wait_s
        pace = governor.look(Heat(now_s, soc, coral, throttled, fps, invoke_s))
        for rate in (fps, 1.0 / invoke_s if invoke_s else None):
            if rate is not None and math.isfinite(rate):
                fastest = max(fastest, rate)
        assert math.isfinite(pace.interval_s)
        assert lowest_share - 1e-9 <= pace.share <= 1.0
        if pace.fps is not None:
            assert lowest_fps - 1e-9 <= pace.fps <= fastest + 1e-9, "never above what the camera gave"


@given(st.lists(st.floats(60, 95), min_size=20, max_size=60), st.floats(0.0, 10.0))
def test_a_hotter_board_never_takes_its_first_step_later(trace: list[float], hotter: float) -> None:
    def first(extra: float) -> int:
        governor = Governor(ACT)
        for tick, value in enumerate(trace):
            if governor.look(Heat(5.0 * tick, min(value + extra, 149.0), None, False, 20.0)).share < 1.0:
                return tick
        return len(trace)

    assert first(hotter) <= first(0.0)


def test_small_changes_are_no_news_and_large_ones_are() -> None:
    before = Pace("paced", 0.1, 0.8)
    assert not is_news(before, Pace("paced", 0.11, 0.8 * (1 - TOLD_PART / 2)))
    assert is_news(before, Pace("paced", 0.2, 0.8 * (1 - 1.5 * TOLD_PART)))
    assert is_news(before, Pace("slowest", 0.1, 0.8))


def test_other_settings_are_in_force_with_the_next_reading_and_a_pace_goes_on() -> None:
    governor = Governor(ACT)
    share = feed(governor, 84.0, seconds=120).share
    assert share < 0.9
    governor.reconfigure(ACT)
    assert governor.pace.why != "other settings", "the same again changes nothing"
    governor.reconfigure(GovernorConfig(mode="act", lowest_share=0.95))
    assert (governor.pace.state, governor.pace.share, governor.pace.why) == ("paced", 0.95, "other settings")
    assert feed(governor, 84.0, seconds=300, from_s=120).share == 0.95
    governor.reconfigure(GovernorConfig(mode="act", lowest_share=1.0))
    assert (governor.pace.state, governor.pace.interval_s) == ("free", 0.0)


def test_another_target_is_held_from_the_next_reading_on() -> None:
    governor = Governor(ACT)
    assert feed(governor, 65.0, seconds=60).state == "free"
    governor.reconfigure(GovernorConfig(mode="act", target_celsius=60.0))
    assert governor.target_celsius == 60.0
    assert feed(governor, 65.0, seconds=60, from_s=60).state == "paced"
    governor.reconfigure(ACT)
    assert governor.target_celsius == 79.0, "the board's own again"
    assert feed(governor, 65.0, seconds=600, from_s=120).state == "free"


@pytest.mark.parametrize("mode", ["off", "advise"])
def test_who_does_not_act_any_more_sets_all_frames_free(mode: str) -> None:
    governor = Governor(ACT)
    feed(governor, 84.0)
    governor.reconfigure(GovernorConfig(mode=mode))  # type: ignore[arg-type]
    assert governor.pace == Pace()
    assert not feed(governor, 84.0, from_s=60).is_acted
    governor.reconfigure(ACT)
    assert governor.pace == Pace(is_acted=True), "advice was not followed: acting begins anew"


def test_it_gives_way_by_small_steps_and_takes_back_by_smaller_ones_the_cooler_the_faster() -> None:
    def steps(celsius: float, seconds: float) -> float:
        governor = Governor(ACT)
        before = feed(governor, 84.0, seconds=300).share
        feed(governor, celsius, seconds=60, from_s=300)  # the line forgets the fall
        middle = governor.pace.share
        after = feed(governor, celsius, seconds=seconds, from_s=360).share
        assert middle >= before
        return after - middle

    assert steps(76.0, 40) == pytest.approx(2 * 0.02)
    assert steps(60.0, 40) == pytest.approx(2 * 0.05)
    first = feed(Governor(ACT), 99.0, seconds=20)
    assert first.share == pytest.approx(0.85), "never by more than 15 % a step"


def test_one_slow_window_on_a_cool_board_does_not_become_what_is_usual() -> None:
    governor = Governor(ACT)
    with_invoke(governor, 60.0, 0.050, seconds=100, from_s=0)
    with_invoke(governor, 60.0, 0.500, seconds=5, from_s=100)
    assert with_invoke(governor, 84.0, 0.120, seconds=60, from_s=105).share < 1.0


def test_a_rate_that_is_lower_for_long_is_the_new_free_one() -> None:
    governor = Governor(GovernorConfig(mode="act", lowest_fps=5.0))
    feed(governor, 60.0, seconds=100, fps=20.0)
    feed(governor, 60.0, seconds=600, from_s=100, fps=8.0)
    pace = feed(governor, 84.0, seconds=600, from_s=700, fps=8.0)
    assert pace.fps == pytest.approx(5.0), "of eight frames, not of the twenty of before"


def test_old_heat_is_forgotten() -> None:
    governor = Governor(ACT)
    feed(governor, 84.0, seconds=600)
    assert len(governor._seen) <= 10


def test_a_clock_that_is_held_back_by_heat_is_helped_twice_as_often() -> None:
    held, free = feed(Governor(ACT), 84.0, seconds=30, throttled=True), feed(Governor(ACT), 84.0, seconds=30)
    assert held.share < free.share < 1.0


def test_a_held_clock_is_no_reason_once_its_limit_was_given_up() -> None:
    governor = Governor(ACT, (SOFT, HARD))
    feed(governor, 66.0, seconds=200, throttled=True)
    feed(governor, 70.0, seconds=PATIENCE_S + 100, from_s=200, throttled=True)
    assert governor.target_celsius == 79.0
    for tick in range(65):
        pace = governor.look(Heat(700.0 + 5.0 * tick, 70.0 + 0.1 * tick, None, True, 20.0))
        assert pace.state == "free", "the soft limit holds the clock, and was left to the firmware"


def test_a_held_clock_on_a_board_that_cools_is_left_alone() -> None:
    governor = Governor(ACT)
    for tick in range(7):
        pace = governor.look(Heat(5.0 * tick, 78.5 - 0.5 * tick, None, tick > 2, 20.0))
        assert pace.state == "free"


def test_a_board_far_below_its_target_is_not_slowed_however_fast_it_warms() -> None:
    governor = Governor(ACT)
    for tick in range(7):
        assert governor.look(Heat(5.0 * tick, 60.0 + 2.5 * tick, None, False, 20.0)).state == "free"
    assert governor.look(Heat(35.0, 77.5, None, False, 20.0)).state == "paced"


def test_advice_is_never_below_the_least_rate_also_when_the_camera_got_slower() -> None:
    governor = Governor(GovernorConfig(mode="advise", lowest_fps=0.2))
    feed(governor, 84.0, seconds=60, fps=1.0)
    assert governor.pace.share < 1.0
    pace = feed(governor, 60.0, seconds=40, from_s=200, fps=0.125)
    assert (pace.state, pace.interval_s) == ("free", 0.0)
