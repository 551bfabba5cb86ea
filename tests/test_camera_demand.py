"""Which frames are worth decoding: a camera and a consumer, simulated on a clock of numbers."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.camera.demand import LOOK_S, QUEUE, Demand


@dataclass
class Outcome:
    grabbed: int = 0
    developed: int = 0
    delivered: int = 0
    worst_age_s: float = 0.0
    idle_s: float = 0.0


def simulate(*, period_s: float, infer_s: float, seconds: float = 60.0) -> Outcome:
    """One camera, one consumer that infers for ``infer_s`` after each frame that it gets."""
    demand, outcome = Demand(), Outcome()
    slot_s: float | None = None  # capture time of the frame in the slot
    free_s = 0.0  # when the consumer has finished
    asked = False
    for number in range(1, round(seconds / period_s)):
        now_s = number * period_s
        if free_s <= now_s and not asked:  # it came back between two frames
            demand.asked(free_s)
            asked = True
            if slot_s is not None:
                outcome.worst_age_s = max(outcome.worst_age_s, free_s - slot_s)
                outcome.delivered += 1
                demand.taken(free_s)
                slot_s, asked, free_s = None, False, free_s + infer_s
        outcome.grabbed += 1
        if not demand.wants(now_s, now_s):
            slot_s = None
            continue
        outcome.developed += 1
        slot_s = now_s
        if asked:
            outcome.idle_s += now_s - free_s
            outcome.delivered += 1
            demand.taken(now_s)
            slot_s, asked, free_s = None, False, now_s + infer_s
    return outcome


def test_a_fast_consumer_gets_every_frame() -> None:
    outcome = simulate(period_s=1 / 30, infer_s=0.008)
    assert outcome.developed == outcome.grabbed
    assert outcome.delivered >= outcome.grabbed - 1


@pytest.mark.parametrize("infer_s", [0.1, 0.11, 0.25, 0.333, 0.4])
def test_a_slow_consumer_never_waits_long_and_little_is_developed_in_vain(infer_s: float) -> None:
    outcome = simulate(period_s=1 / 30, infer_s=infer_s)
    assert outcome.developed <= 1.15 * outcome.delivered + 3, "work in vain"
    assert outcome.idle_s <= 0.05 * 60.0, "the consumer waits"
    assert outcome.worst_age_s <= 1 / 30 + 1e-6, "older than one frame"
    assert outcome.developed < 0.5 * outcome.grabbed


def test_pictures_are_looked_at_while_a_consumer_is_away_for_long() -> None:
    demand = Demand()
    demand.taken(0.0)
    demand.asked(100.0)
    demand.taken(100.0)  # and will be away as long again
    wanted = [demand.wants(100.0 + number / 30, 100.0 + number / 30) for number in range(300)]
    assert 10 / LOOK_S - 1 <= sum(wanted) <= 10 / LOOK_S + 1, "frozen and black pictures must be seen"


def test_before_the_first_visit_every_frame_is_ready() -> None:
    demand = Demand()
    assert all(demand.wants(number / 30, number / 30) for number in range(90))


def test_late_frames_are_passed_over_but_not_for_ever() -> None:
    demand = Demand()
    for number in range(30):
        assert demand.wants(number / 30, number / 30 - 0.02)
    # One long decoding later the driver's queue is full: four frames, all old.
    answers = [demand.wants(1.2 + 0.001 * number, 1.0) for number in range(QUEUE + 1)]
    assert answers == [False] * QUEUE + [True]


def test_a_camera_with_a_long_but_steady_delay_is_not_late() -> None:
    # libcamera's time stamp is the begin of exposure, two to three frames before the picture arrives.
    demand = Demand()
    assert all(demand.wants(number / 30, number / 30 - 0.09) for number in range(90))


@settings(max_examples=30)
@given(period_s=st.floats(0.005, 0.2), infer_s=st.floats(0.001, 0.6))
def test_law_the_consumer_is_served(period_s: float, infer_s: float) -> None:
    outcome = simulate(period_s=period_s, infer_s=infer_s, seconds=20.0)
    possible = 20.0 / max(infer_s, period_s)
    # Out of step, the consumer can lose up to one period a frame; it never loses more.
    assert outcome.delivered >= 20.0 / (infer_s + period_s) - 2
    assert outcome.delivered <= possible + 2
    assert outcome.worst_age_s <= period_s + 1e-6
