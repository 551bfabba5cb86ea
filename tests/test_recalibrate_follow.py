"""The correction that follows the day: slowly, within its bounds, never on a picture that shows nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.recalibrate.follow import Follower, Pace
from agent.recalibrate.levels import LEVELS, Light
from agent.recalibrate.light import Fit
from agent.recalibrate.solve import Form, solve
from agent.records import Correction, LightChange

RNG = np.random.default_rng(7)
SCENE = np.sort(RNG.uniform(15, 200, (12, 3, LEVELS)), axis=2)
REFERENCE = Light(SCENE.astype(np.float32), np.full(12, 0.5, np.float32))
EVERY_S = Pace().every_s


def frame(light: float, number: int = 0, noise: float = 0.3) -> Light:
    levels = np.clip(SCENE[number % 12 : number % 12 + 1] * light, 0, 255)
    return Light(levels.astype(np.float32), np.array([noise], np.float32))


def by_gain(frames: Light, reference: Light, max_noise: float) -> Fit:
    """One gain, without a search: what is judged here is how a correction moves, not how it is found."""
    noise = float(np.median(frames.noise))
    form = Form(gain=True)
    now, then = frames.typical(), reference.typical()
    found = solve(form, now, then, max(1.0, max_noise / noise))
    return Fit(found, "fitted", limited=found != solve(form, now, then, None))


def follower(start: Correction | None = None, **pace: float) -> Follower:
    return Follower(REFERENCE, start, Pace(**pace), by_gain)  # type: ignore[arg-type]


def walk(
    judge: Follower, lights: Iterable[float | None], begin_s: float = 0.0, noise: float = 0.3
) -> list[LightChange]:
    """One look every five seconds; None is a frame that shows nothing new."""
    seen = [
        judge.see(begin_s + EVERY_S * number, None if light is None else frame(light, number, noise))
        for number, light in enumerate(lights)
    ]
    return [change for change in seen if change is not None]


def minutes(count: float) -> int:
    return int(count * 60 / EVERY_S)


def test_dusk_is_followed_in_small_steps_until_the_picture_is_as_it_was() -> None:
    judge = follower()
    changes = walk(judge, np.geomspace(1.0, 0.25, minutes(90)))
    assert len(changes) > 5
    assert {change.why for change in changes} == {"followed"}
    assert changes[0].previous == Correction()
    assert [change.previous for change in changes[1:]] == [change.correction for change in changes[:-1]]
    assert judge.correction == changes[-1].correction
    assert judge.correction.gain == pytest.approx(4.0, rel=0.12)
    assert [change.correction.gain for change in changes] == sorted(change.correction.gain for change in changes)


@given(st.lists(st.floats(0.05, 1.3), min_size=2, max_size=5), st.integers(20, 40), st.floats(2.0, 20.0))
@settings(max_examples=15, deadline=None)
def test_no_step_is_larger_than_its_time_allows(lights: list[float], each: int, step: float) -> None:
    judge = follower(step_per_min=step)
    course = np.repeat(lights, each)
    last_s, since = 0.0, 0
    for number, light in enumerate(course):
        now_s = EVERY_S * number
        change = judge.see(now_s, frame(float(light), number))
        if change is None:
            continue
        assert change.correction != change.previous
        if change.why == "followed":
            first = max(since, number - judge.pace.frames + 1)
            recent = [frame(float(course[k]), k).levels for k in range(first, number + 1)]
            now = np.median(np.concatenate(recent), axis=0).T
            moved = np.abs(change.correction.apply(now) - change.previous.apply(now)).mean()
            assert moved <= step * (now_s - last_s) / 60 + 0.05
        else:
            since = number + 1
        last_s = now_s


def test_the_search_itself_follows_too() -> None:
    judge = Follower(REFERENCE, pace=Pace(step_per_min=1000.0))
    assert len(walk(judge, [0.3] * minutes(2))) == 1
    assert judge.correction.gain == pytest.approx(1 / 0.3, rel=0.01)


def test_light_that_stays_moves_nothing() -> None:
    judge = follower()
    assert walk(judge, [1.0] * minutes(20)) == []
    rng = np.random.default_rng(1)
    assert walk(judge, rng.uniform(0.97, 1.03, minutes(20)), begin_s=1e4) == [], "within the dead band"


def test_nothing_is_fitted_while_the_picture_is_as_it_was() -> None:
    fitted = []

    def fitting(frames: Light, reference: Light, max_noise: float) -> Fit:
        fitted.append(frames)
        return by_gain(frames, reference, max_noise)

    judge = Follower(REFERENCE, pace=Pace(step_per_min=1000.0), fitting=fitting)
    walk(judge, [1.0] * minutes(20))
    assert not fitted
    walk(judge, [0.5] * minutes(5), begin_s=1e4)
    assert judge.correction.gain == pytest.approx(2.0, rel=0.02)
    many = len(fitted)
    walk(judge, [0.5] * minutes(20), begin_s=2e4)
    assert len(fitted) == many, "nor while the correction makes it so"


@pytest.mark.parametrize("light", [0.3, 1.0])
def test_black_and_frozen_pictures_hold_it(light: float) -> None:
    judge = follower(Correction(gain=2.0))
    assert walk(judge, [None] * minutes(20)) == []
    assert walk(judge, [0.0] * minutes(20), begin_s=1e4) == []
    assert judge.correction == Correction(gain=2.0)
    changes = walk(judge, [light] * minutes(1), begin_s=2e4)
    for change in changes:
        assert change.why == "released" or np.log2(change.correction.gain) < 1.2, "blindness saved up no steps"


def test_what_was_seen_before_a_blindness_counts_no_more_and_its_time_saves_no_steps() -> None:
    judge = follower(step_per_min=6.0)
    assert walk(judge, [0.3] * 7 + [None] + [0.3] * 7) == []
    assert walk(judge, [None] * minutes(30), begin_s=1e4) == []
    (change,) = walk(judge, [0.3] * 8, begin_s=2e4)
    now = np.median(SCENE * 0.3, axis=0).T
    assert np.abs(change.correction.apply(now) - now).mean() <= 6.0 * 7 * EVERY_S / 60 + 0.1


def test_a_lamp_that_is_switched_on_releases_it_at_once() -> None:
    judge = follower(Correction(gain=5.0))
    assert walk(judge, [0.2] * minutes(5)) == []
    change, *more = walk(judge, [1.0] * minutes(5), begin_s=1e4)
    assert (change.why, change.correction, change.previous) == ("released", Correction(), Correction(gain=5.0))
    assert change.at_s == 1e4 + 2 * EVERY_S, "three frames agree"
    assert more == []


def test_noise_bounds_it_and_takes_it_back_when_it_grows() -> None:
    judge = follower(step_per_min=1000.0, max_noise=10.0)
    walk(judge, [0.1] * minutes(10), noise=2.0)
    assert judge.correction.gain == pytest.approx(0.95 * 5.0, rel=0.02), "a little under the bound"
    changes = walk(judge, [0.1] * minutes(10), begin_s=1e4, noise=4.0)
    assert changes[0].why == "noise"
    assert judge.correction.gain == pytest.approx(0.95 * 2.5, rel=0.02)


@pytest.mark.parametrize(
    ("wavers", "light", "noise"), [(0.03, 0.1, 4.0), (0.05, 0.1, 4.0), (0.08, 0.1, 4.0), (0.08, 0.6, 16.0)]
)
def test_a_steady_night_whose_noise_is_estimated_a_little_off_moves_nothing(
    wavers: float, light: float, noise: float
) -> None:
    rng, judge = np.random.default_rng(3), follower()
    changes = []
    for number in range(minutes(8 * 60)):
        change = judge.see(EVERY_S * number, frame(light, number, noise * (1 + wavers * float(rng.normal()))))
        changes += [] if change is None else [change]
    assert {change.why for change in changes if change.at_s < 900.0} == {"followed"}
    assert len([change for change in changes if change.at_s >= 900.0]) <= 2, "once it is there, it stays"
    assert judge.correction.gain == pytest.approx(0.95 * 24.0 / noise, rel=0.08)


def test_a_lamp_for_twenty_seconds_each_two_minutes_does_not_undo_the_night() -> None:
    judge = follower(Correction(gain=5.0))
    changes = walk(judge, ([0.2] * 20 + [1.0] * 4) * 240)
    assert [change.why for change in changes] == ["released", "resumed"] * (len(changes) // 2)
    assert 2 <= len(changes) <= 2 * 9, "once an hour"
    assert all(change.correction == Correction(gain=5.0) for change in changes[1::2])


def test_what_was_let_go_comes_back_at_once_within_the_noise_of_now() -> None:
    judge = follower(Correction(gain=5.0))
    (released,) = walk(judge, [1.0] * 30)
    (resumed,) = walk(judge, [0.2] * 5, begin_s=1e3, noise=8.0)
    assert (released.why, resumed.why, resumed.at_s) == ("released", "resumed", 1e3 + 2 * EVERY_S)
    assert resumed.target == Correction(gain=5.0)
    assert resumed.correction.gain == pytest.approx(24.0 / 8.0, rel=0.02)


def test_what_was_let_go_is_forgotten_once_the_light_is_followed_again() -> None:
    judge = follower(Correction(gain=5.0))
    walk(judge, [1.0] * 30)
    changes = walk(judge, [*np.geomspace(1.0, 0.6, minutes(20)), *[0.2] * minutes(5)], begin_s=1e3)
    assert {change.why for change in changes} == {"followed"}, "a step in the light is followed in steps"


def test_it_goes_on_from_where_it_was_before_a_restart() -> None:
    judge = follower(Correction(gain=4.0))
    assert walk(judge, [0.25] * minutes(10)) == []
    assert judge.correction == Correction(gain=4.0)


def test_a_clock_that_stands_or_goes_back_is_passed_over() -> None:
    judge = follower()
    judge.see(100.0, frame(0.2))
    assert not judge.is_due(100.0)
    assert not judge.is_due(50.0)
    assert [judge.see(at_s, frame(0.2)) for at_s in (100.0, 50.0, float("nan"))] == [None] * 3
    assert judge.is_due(100.0 + EVERY_S)


def test_a_reference_that_shows_nothing_moves_nothing() -> None:
    dark = replace(REFERENCE, levels=np.zeros_like(REFERENCE.levels))
    assert walk(Follower(dark), [0.2] * minutes(5)) == []


@pytest.mark.parametrize(
    "changes", [{"frames": 3}, {"step_per_min": 0.0}, {"dead_band": -1.0}, {"fit_s": float("nan")}, {"every_s": 0.0}]
)
def test_a_pace_that_cannot_be_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        Pace(**changes)  # type: ignore[arg-type]
