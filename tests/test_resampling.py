"""Draws of whole blocks: their laws, and the numbers that they have given since they were first published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.parity import FrameDiff
from agent.parity.sample import figures
from agent.recalibrate.blocks import interval
from agent.recalibrate.operating import rate_interval
from agent.resampling import block_length, block_sums, drawn_sums, student, widening


@st.composite
def rows_and_block(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int]:
    rows = draw(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9)), min_size=1, max_size=50))
    return rows, draw(st.integers(1, len(rows)))


@given(rows_and_block())
def test_each_place_begins_one_block_and_each_row_is_in_as_many_as_it_is_long(
    drawn: tuple[list[tuple[int, int]], int],
) -> None:
    rows, block = drawn
    table = np.array(rows)
    sums = block_sums(table, block)
    assert [tuple(each) for each in sums] == [
        tuple(sum(rows[(at + step) % len(rows)][column] for step in range(block)) for column in range(2))
        for at in range(len(rows))
    ]
    assert (sums.sum(axis=0) == block * table.sum(axis=0)).all()
    assert (block_sums(table[:, 0], block) == sums[:, 0]).all()


@given(st.integers(1, 50), st.integers(1, 12), st.integers(1, 9))
def test_each_draw_is_of_whole_blocks(count: int, block: int, blocks: int) -> None:
    block = min(block, count)
    drawn = drawn_sums(block_sums(np.ones((count, 2)), block), blocks, 20, seed=1)
    assert drawn.shape == (20, 2)
    assert set(drawn.ravel()) == {float(blocks * block)}


def test_the_same_seed_gives_the_same_draws_and_another_others() -> None:
    sums = np.arange(20.0)
    one, same, other = (drawn_sums(sums, 20, 5, seed) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
    assert one.min() >= 0
    assert one.max() <= 19 * 20


@given(st.lists(st.floats(0, 5), max_size=200))
def test_a_block_is_at_most_an_eighth_of_the_frames(series: list[float]) -> None:
    assert 1 <= block_length(np.array(series), 8) <= max(1, len(series) // 8)


@pytest.mark.parametrize(("freedom", "point"), [(4, 2.776), (7, 2.365), (39, 2.023), (10**6, 1.960)])
def test_students_points_are_those_of_the_tables(freedom: int, point: float) -> None:
    assert student(freedom) == pytest.approx(point, rel=0.01)


def test_few_blocks_are_stretched_and_many_are_left() -> None:
    assert widening(5) == pytest.approx(2.776 / 1.960 * (5 / 4) ** 0.5, rel=0.01)
    assert widening(10**6) == pytest.approx(1.0, abs=1e-3)
    assert [widening(n) for n in range(5, 50)] == sorted((widening(n) for n in range(5, 50)), reverse=True)


def test_the_intervals_are_those_that_were_published() -> None:
    """Verdicts on boards rest on them: another draw gives another verdict on the same frames."""
    rng = np.random.default_rng(7)
    table = rng.normal(1.0, 0.5, (12, 2)) ** 2
    ratio = interval(list(table), lambda sums: sums[..., 0] / sums[..., 1])
    rate = rate_interval(rng.poisson(0.5, 97), 5)
    lone = [int(many) for many in rng.poisson(0.4, 90)]
    share = figures([FrameDiff((0.9,) * 5, (), {"bolt": many} if many else {}, {}) for many in lone]).lone_share
    assert share is not None
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx(
        (0.6870444983107022, 0.36667579175328624, 1.1950798393083546), abs=1e-9
    )
    assert rate == pytest.approx((0.35, 0.59), abs=1e-9)
    assert (share.value, share.low, share.high) == pytest.approx(
        (0.0625, 0.0425531914893617, 0.08354962495653444), abs=1e-9
    )
