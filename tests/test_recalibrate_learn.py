"""The reference light is gathered slowly, from frames that show something."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.recalibrate.learn import Learner
from agent.recalibrate.levels import LEVELS, Light

SCENE = np.sort(np.random.default_rng(3).uniform(15, 200, (1, 3, LEVELS)), axis=2).astype(np.float32)


def light(level: float = 1.0) -> Light:
    return Light(SCENE * level, np.array([0.5], np.float32))


def test_frames_are_spread_over_the_time_and_the_first_look_only_starts_it() -> None:
    learner = Learner(4, 60.0)
    taken = [at_s for at_s in range(0, 100, 5) if learner.see(float(at_s), light())][:4]
    assert taken == [15, 30, 45, 60]
    assert learner.is_done


def test_what_shows_nothing_is_waited_out() -> None:
    learner = Learner(4, 40.0)
    learner.see(0.0, light())
    assert not learner.see(10.0, None)
    assert not learner.see(11.0, light(0.0))
    assert not learner.see(12.0, light().some(np.array([], int)))
    assert learner.see(13.0, light())
    assert not learner.see(22.0, light()), "ten seconds from one to the next"
    assert learner.count == 1


def test_it_goes_on_from_before_a_restart() -> None:
    before = Learner(4, 4.0)
    for at_s in range(4):
        before.see(float(at_s), light(0.5))
    learner = Learner(4, 4.0, before.seen)
    assert (learner.count, learner.is_done) == (3, False)
    learner.see(100.0, light())
    assert learner.see(101.0, light())
    assert learner.is_done
    assert learner.seen is not None
    assert np.allclose(learner.seen.levels[-1], SCENE)
    assert np.allclose(learner.seen.levels[:3], SCENE / 2)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.booleans()), max_size=60), st.integers(4, 8), st.floats(1.0, 1e3))
def test_frames_never_lie_closer_than_they_should(
    looks: list[tuple[float, bool]], frames: int, spread_s: float
) -> None:
    learner, taken = Learner(frames, spread_s), []
    for at_s, shows in looks:
        if learner.see(at_s, light() if shows else light(0.0)):
            taken.append(at_s)
    assert learner.count == len(taken)
    assert all(after - before >= spread_s / frames for before, after in pairwise(taken))
