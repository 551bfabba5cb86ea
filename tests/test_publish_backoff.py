"""When a fleet comes back after its broker's restart: spread over half a minute, then ever thinner."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import MqttConfig
from agent.publish import Publisher
from agent.publish.backoff import FIRST_S, SETTLED_S, SPREAD_S, Backoff
from tests.publish_fakes import Link, Rig

BOARDS = 10_000
MOST_A_SECOND = 650
"""Of 10,000 boards: 333 come for the first time in each second, and at its end some 190 for the second and third."""


class Highest(Random):
    def uniform(self, a: float, b: float) -> float:
        return b


@given(st.floats(0.1, 600), st.lists(st.none() | st.floats(0, 1e5), max_size=60), st.integers())
def test_delays_never_leave_zero_to_the_longest(max_s: float, history: list[float | None], seed: int) -> None:
    backoff = Backoff(max_s, Random(seed))  # noqa: S311  # jitter
    for connected_s in history:
        delay_s = backoff.failed() if connected_s is None else backoff.lost(connected_s)
        assert 0.0 <= delay_s <= max_s


def test_ceiling_doubles_up_to_the_longest_delay() -> None:
    backoff = Backoff(20.0, Highest())
    assert [backoff.failed() for _ in range(6)] == [FIRST_S, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_a_short_connection_is_no_success() -> None:
    backoff = Backoff(240.0, Highest())
    assert [backoff.lost(5.0) for _ in range(4)] == [30.0, 60.0, 120.0, 240.0]
    assert backoff.lost(61.0) == 30.0


@pytest.mark.parametrize("lasted_s", [0.0, SETTLED_S - 0.1])
def test_only_a_connection_that_lasted_begins_anew(lasted_s: float) -> None:
    backoff = Backoff(240.0, Highest())
    backoff.lost(3600.0)
    assert backoff.lost(lasted_s) == 60.0
    assert backoff.lost(SETTLED_S) == 30.0


def distance(delays_s: Sequence[float], longest_s: float) -> float:
    """Kolmogorov-Smirnov, against an even spread over 0 to ``longest_s``, times the root of the number."""
    ordered, count = sorted(delays_s), len(delays_s)
    far = max(
        max((place + 1) / count - delay / longest_s, delay / longest_s - place / count)
        for place, delay in enumerate(ordered)
    )
    return far * count**0.5


def retries(attempts: int, *, boards: int = BOARDS, max_s: float = 120.0) -> list[list[float]]:
    """The pauses of each board of a fleet, whose broker went away after an hour and does not come back."""
    fleet = [Backoff(max_s, Random(seed)) for seed in range(boards)]  # noqa: S311  # jitter
    return [[board.lost(3600.0), *(board.failed() for _ in range(attempts - 1))] for board in fleet]


@pytest.mark.parametrize(("max_s", "ceilings_s"), [(120.0, (30, 60, 120, 120)), (300.0, (30, 60, 120, 240, 300))])
def test_first_retries_fill_half_a_minute_evenly_and_later_ones_grow(max_s: float, ceilings_s: tuple[int]) -> None:
    fleet = retries(len(ceilings_s), max_s=max_s)
    for attempt, ceiling_s in enumerate(ceilings_s):
        delays_s = [pauses[attempt] for pauses in fleet]
        assert distance(delays_s, ceiling_s) < 1.95, "one in a thousand even spreads is further off"
        assert 0.0 <= min(delays_s) <= max(delays_s) <= ceiling_s
    first, second = ([pauses[attempt] for pauses in fleet] for attempt in (0, 1))
    means = sum(first) / BOARDS, sum(second) / BOARDS
    together = sum((a - means[0]) * (b - means[1]) for a, b in zip(first, second, strict=True)) / BOARDS
    assert abs(together) / (30 * 60 / 12) < 0.05, "who came early once comes early no more often than others"


def test_the_fleet_never_meets_in_one_second() -> None:
    arrivals_s = sorted(at_s for pauses in retries(8) for at_s in accumulate(pauses))
    most = max(bisect_left(arrivals_s, at_s + 1.0) - place for place, at_s in enumerate(arrivals_s))
    assert BOARDS / SPREAD_S < most <= MOST_A_SECOND
    settled = [at_s for at_s in arrivals_s if 120.0 <= at_s < 240.0]
    assert len(settled) / 120.0 < 200.0, "an absent broker is asked by each board once a minute"


def first_pause_s(seed: int) -> float:
    """From the loss of a connection of an hour to the next attempt, by the whole loop."""
    rig = Rig(seed=seed)
    rig.steps(3)
    rig.clock.now_s += 3600.0
    rig.links = [Link(rig.clock)]
    rig.link.cut()
    rig.network.step()
    lost_s = rig.clock()
    rig.run_until(lambda: len(rig.dialled) == 2)
    return rig.clock() - lost_s


def test_the_loop_dials_when_the_jitter_says_so() -> None:
    assert distance([first_pause_s(seed) for seed in range(300)], SPREAD_S) < 1.95


def test_the_loop_counts_a_short_connection_as_a_failure() -> None:
    rig = Rig()
    rig.network._backoff = Backoff(240.0, Highest())

    def pause_s(connected_s: float) -> float:
        rig.run_until(lambda: rig.network.status.connected)
        rig.clock.now_s += connected_s
        rig.link.cut()
        rig.run_until(lambda: not rig.network.status.connected)
        lost_s, count = rig.clock(), len(rig.dialled)
        rig.run_until(lambda: len(rig.dialled) > count)
        return rig.clock() - lost_s

    pauses_s = [pause_s(connected_s) for connected_s in (0.0, 5.0, 5.0, 3600.0, 5.0)]
    assert pauses_s == pytest.approx([30.0, 60.0, 120.0, 30.0, 60.0], abs=1.0)


def test_boards_are_seeded_apart() -> None:
    boards = [Publisher(MqttConfig(host="broker"), site="home", device="cam1") for _ in range(20)]
    assert len({board._backoff.lost(3600.0) for board in boards}) == 20
