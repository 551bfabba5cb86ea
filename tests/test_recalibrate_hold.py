"""A correction is let go while the light is another, and taken up again; what a record says of the light it is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recalibrate.hold import MOST, NEWEST, QUIET_S, Hold, Watch
from agent.recalibrate.levels import LEVELS, Light
from agent.recalibrate.typical import CHARACTERS, pack, unpack
from agent.records import Correction

RNG = np.random.default_rng(5)
THEN = np.sort(RNG.uniform(15, 200, (3, LEVELS)), axis=1)
NIGHT = Correction(gain=5.0)
EVERY_S = 5.0


def frame(light: float) -> Light:
    return Light(np.clip(THEN * light, 0, 255)[None].astype(np.float32), np.array([0.5], np.float32))


def walk(watch: Watch, lights: list[float], begin_s: float = 0.0) -> list[tuple[float, str]]:
    seen = [watch.see(begin_s + EVERY_S * number, frame(light)) for number, light in enumerate(lights)]
    return [(change.at_s, change.why) for change in seen if change is not None]


def test_three_frames_in_a_row_let_it_go_and_three_take_it_up() -> None:
    watch = Watch(NIGHT, THEN, EVERY_S)
    assert walk(watch, [0.2] * 50 + [1.0, 1.0, 0.2] * 5) == []
    assert walk(watch, [1.0] * 9, 1e3) == [(1e3 + 2 * EVERY_S, "released")]
    assert (watch.held, watch.in_force) == (NIGHT, Correction())
    assert walk(watch, [0.2, 0.2, 1.0] * 5, 2e3) == []
    assert walk(watch, [0.2] * 9, 3e3) == [(3e3 + 2 * EVERY_S, "resumed")]
    assert (watch.held, watch.in_force) == (None, NIGHT)


def test_between_the_two_nothing_is_done() -> None:
    lights = [float(light) for light in np.linspace(0.3, 0.6, 400)]
    watch = Watch(NIGHT, THEN, EVERY_S)
    assert len(walk(watch, lights + lights[::-1])) == 2, "once there, once back: no chatter on the way"


def test_a_lamp_for_twenty_seconds_each_two_minutes_is_borne_after_the_first() -> None:
    course = ([0.2] * 20 + [1.0] * 4) * 240  # eight hours
    changes = walk(Watch(NIGHT, THEN, EVERY_S), course)
    assert 2 <= len(changes) <= 2 * 9
    assert [why for _, why in changes] == ["released", "resumed"] * (len(changes) // 2)
    released = [at_s for at_s, why in changes if why == "released"]
    assert min(np.diff(released)) >= QUIET_S, "an hour later three frames are enough again"


def test_patience_ends_at_two_minutes_and_dawn_comes_through() -> None:
    watch = Watch(NIGHT, THEN, EVERY_S)
    for number in range(12):
        assert len(walk(watch, [1.0] * MOST + [0.2] * NEWEST, 200.0 * number)) == 2
    assert walk(watch, [1.0] * MOST, 1e4) != []


def test_what_shows_nothing_says_nothing() -> None:
    watch = Watch(NIGHT, THEN, EVERY_S)
    assert walk(watch, [1.0, 1.0, 0.0, 1.0, 1.0]) == []
    assert [watch.see(100.0, None), watch.see(105.0, frame(1.0)), watch.see(110.0, frame(1.0))] == [None] * 3
    assert [watch.see(at_s, frame(1.0)) for at_s in (110.0, 50.0, float("nan"), 114.9)] == [None] * 4


@given(st.lists(st.floats(0.02, 1.5), max_size=80))
def test_it_only_ever_makes_the_frames_nearer(lights: list[float]) -> None:
    hold, in_force = Hold(THEN), NIGHT
    for number, light in enumerate(lights):
        levels = frame(light).typical()
        verdict = hold.see(EVERY_S * number, levels, in_force)
        if verdict is not None:
            other = Correction() if verdict == "released" else NIGHT
            off = [float(hold._off(levels, each)) for each in (in_force, other)]
            assert off[1] < off[0]
            in_force = other
    assert (hold.held is None) == (in_force == NIGHT)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_typical_light_is_read_as_it_was_written(frames: int, seed: int) -> None:
    levels = np.sort(np.random.default_rng(seed).uniform(0, 255, (frames, 3, LEVELS)), axis=2).astype(np.float32)
    light = Light(levels, np.zeros(frames, np.float32))
    text = pack(light)
    assert len(text) == CHARACTERS
    assert np.abs(unpack(text) - light.typical()).max() <= 0.5
    assert not set(text) & set("\"\\'")


def test_what_shows_nothing_has_no_typical_light() -> None:
    assert pack(frame(0.0)) == ""


@pytest.mark.parametrize("text", ["x", "é" * CHARACTERS, "~" * CHARACTERS, '"' * CHARACTERS, pack(frame(1.0))[::-1]])
def test_a_damaged_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(text)
