"""Laws of the bets: what must hold whatever the features are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift.betting import bets, cusum, p_values, shiryaev_roberts
from agent.drift.dependence import correlation_times
from agent.drift.features import FEATURES, GRAIN, LUMA
from agent.drift.reference import Condition

pools = st.lists(st.integers(0, 8), min_size=3, max_size=40)
"""Few values, so that there are ties."""
times = st.floats(1.0, 6.0)


def left_out(pool: list[int], time: float) -> np.ndarray:
    """The p-value of each member, for rising, with the others as the reference."""
    values = np.array(pool)
    above = (values[None, :] >= values[:, None]).sum(axis=1) - 1
    counts = np.full(len(pool), len(pool) - 1)
    both = p_values(above[:, None], above[:, None], counts[:, None], np.array([time]))
    return np.asarray(both[:, 0])


@settings(deadline=None)
@given(pools, times)
def test_among_exchangeable_values_a_p_value_is_seldom_small(pool: list[int], time: float) -> None:
    """Each member is as likely as any other to be the one that is judged: at most a share p has a p-value of p."""
    p = left_out(pool, time)
    for limit in set(p.tolist()) - {1.0}:
        assert np.mean(p <= limit) <= limit + 1e-12


@settings(deadline=None)
@given(pools, times)
def test_among_exchangeable_values_a_bet_wins_nothing_in_the_mean(pool: list[int], time: float) -> None:
    floor = np.minimum(1.0, np.full(1, time / len(pool)))
    assert bets(left_out(pool, time)[:, None], floor).mean() <= 1.0 + 1e-12


@settings(deadline=None)
@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0), st.floats(1e-6, 1.0))
def test_the_rarer_the_more_a_bet_pays(one: float, other: float, floor: float) -> None:
    few, many = sorted((one, other))
    paid = bets(np.array([few, many]), np.array([floor, floor]))
    assert paid[0] >= paid[1] > 0


@settings(deadline=None, max_examples=30)
@given(st.floats(1e-5, 0.5))
def test_a_bet_on_a_uniform_p_value_is_fair(floor: float) -> None:
    """The mean over all p-values is 1 but for what the cut at the floor leaves."""
    p = (np.arange(200_000) + 0.5) / 200_000
    mean = float(bets(p[:, None], np.array([floor])).mean())
    assert 0.7 < mean <= 1.0 + 1e-3


def test_the_detector_grows_by_one_a_block_in_the_mean() -> None:
    rng = np.random.default_rng(5)
    level, floor = np.zeros((20_000, 1)), np.array([0.02])
    for _ in range(8):
        level = shiryaev_roberts(level, bets(np.maximum(rng.uniform(size=level.shape), 0.02), floor))
    assert level.mean() <= 8.0


def test_time_stands_still_where_nothing_was_seen() -> None:
    assert shiryaev_roberts(np.array([3.0, 3.0]), np.array([np.nan, 2.0])).tolist() == [3.0, 8.0]
    assert cusum(np.array([1.0, 1.0]), np.array([np.nan]), 0.5).tolist() == [1.0, 1.0]


def test_cusum_counts_both_sides_and_never_below_zero() -> None:
    assert cusum(np.array([1.0, 1.0]), np.array([2.0]), 0.75).tolist() == [2.25, 0.0]


def condition(seed: int = 0, count: int = 200, memory: float = 0.0) -> Condition:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, len(FEATURES))) * 10 * GRAIN
    for row in range(1, count):
        rows[row] = memory * rows[row - 1] + np.sqrt(1 - memory**2) * rows[row]
    return Condition(rows.astype(np.float32), np.arange(count, dtype=np.int32), np.zeros(11, np.float32))


@settings(deadline=None, max_examples=50)
@given(st.floats(-200, 200), st.floats(0, 200))
def test_the_farther_it_rose_the_more_is_won_on_rising(start: float, more: float) -> None:
    known = condition()
    near, far = (np.full(len(FEATURES), np.nan) for _ in range(2))
    near[LUMA], far[LUMA] = start, start + more
    rose = slice(0, len(FEATURES))
    assert known.factors(far)[rose][LUMA] >= known.factors(near)[rose][LUMA]
    assert known.factors(far)[len(FEATURES) :][LUMA] <= known.factors(near)[len(FEATURES) :][LUMA]


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_bets_on_its_own_blocks_are_those_of_a_reference_without_them(memory: float) -> None:
    known = condition(3, 240, memory)
    own = known.own_factors()
    column = int(np.argmax(known.used))
    assert known.used[column]
    values = known.blocks[:, column].astype(float)
    for number in (0, 100, 239):
        others = values[np.abs(np.arange(240) - number) >= known.times[column]]
        above = (others >= values[number] - known.margin[column]).sum()
        p = min(1.0, known.times[column] * (1 + above) / (len(others) + 1))
        assert own[number, column] == pytest.approx(float(bets(np.array([p]), known.floors[[column]])[0]))


def test_a_feature_that_is_constant_wins_nothing_by_less_than_a_grain() -> None:
    rows = np.zeros((200, len(FEATURES)), np.float32)
    known = Condition(rows, np.arange(200, dtype=np.int32), np.zeros(11, np.float32))
    assert (known.factors(0.9 * GRAIN) < 1).all()
    assert (known.factors(1.5 * GRAIN)[: len(FEATURES)] > 5).all()


@pytest.mark.parametrize(("memory", "expected"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_the_correlation_time_of_a_known_process(memory: float, expected: float) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(20_000, 3))
    for row in range(1, len(rows)):
        rows[row] = memory * rows[row - 1] + np.sqrt(1 - memory**2) * rows[row]
    assert correlation_times(rows) == pytest.approx(np.full(3, expected), rel=0.3)
    holes = np.where(rng.uniform(size=rows.shape) < 0.3, np.nan, rows)
    assert correlation_times(holes) == pytest.approx(np.full(3, expected), rel=0.4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 100), st.floats(0.01, 100.0), st.floats(-100.0, 100.0))
def test_the_correlation_time_knows_no_units(seed: int, scale: float, offset: float) -> None:
    rows = np.random.default_rng(seed).normal(size=(300, 2)).cumsum(axis=0)
    assert correlation_times(scale * rows + offset) == pytest.approx(correlation_times(rows), rel=1e-3)


@pytest.mark.parametrize(
    "rows",
    [np.zeros((50, 2)), np.full((50, 2), np.nan), np.zeros((0, 2)), np.full((2, 2), 7.0), np.full((50, 2), 1e30)],
)
def test_a_series_that_shows_nothing_has_a_time_of_one(rows: np.ndarray) -> None:
    assert correlation_times(rows).tolist() == [1.0, 1.0]
