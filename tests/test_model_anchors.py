"""Anchors against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import anchors
from agent.records import MOST_ANCHORS, AnchorMap, Heads
from tests.models import Case, square

SIDES = st.floats(0.001, 2.0)
MAPS = st.builds(
    AnchorMap,
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4).map(tuple),
    step=st.none() | st.tuples(SIDES, SIDES),
)


def plain(heads: Heads) -> list[list[float]]:
    """The definition: map by map, row by row, cell by cell, size by size."""
    found = []
    for item in heads.maps:
        step_x, step_y = item.step if item.step else (1 / item.cols, 1 / item.rows)
        for row in range(item.rows):
            for col in range(item.cols):
                found += [[(col + 0.5) * step_x, (row + 0.5) * step_y, w, h] for w, h in item.sizes]
    return found


@given(st.lists(MAPS, min_size=1, max_size=3).map(tuple))
@settings(deadline=None)
def test_are_those_of_the_definition(maps: tuple[AnchorMap, ...]) -> None:
    heads = Heads(maps=maps)
    laid_out = anchors(heads)
    assert laid_out.dtype == np.float32
    assert laid_out.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(laid_out, plain(heads), rtol=1e-6)


def test_of_the_face_mask_model(face_mask: Case) -> None:
    assert face_mask.config.heads is not None
    laid_out = anchors(face_mask.config.heads)
    assert laid_out.shape == (5972, 4)
    np.testing.assert_allclose(laid_out[0], [0.5 / 33, 0.5 / 33, 0.04, 0.04], rtol=1e-6)
    np.testing.assert_allclose(laid_out[2], [0.5 / 33, 0.5 / 33, 0.04 * 0.62**0.5, 0.04 / 0.62**0.5], rtol=1e-4)
    np.testing.assert_allclose(laid_out[-1], [2.5 / 3, 2.5 / 3, 0.64 * 0.42**0.5, 0.64 / 0.42**0.5], rtol=1e-4)


def test_of_the_rfb320_model(rfb320: Case) -> None:
    assert rfb320.config.heads is not None
    laid_out = anchors(rfb320.config.heads)
    assert laid_out.shape == (4420, 4)
    np.testing.assert_allclose(laid_out[2], [4 / 320, 4 / 240, 24 / 320, 24 / 240], rtol=1e-4)
    np.testing.assert_allclose(laid_out[-3], [4.5 * 64 / 320, 3.5 * 64 / 240, 128 / 320, 128 / 240], rtol=1e-4)
    assert laid_out.max() <= 1.0


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf")])
def test_a_specification_that_lays_out_nothing_is_no_record(bad: float) -> None:
    with pytest.raises(ValueError, match="no size or step"):
        square(1, 1, (bad, 1.0))
    with pytest.raises(ValueError, match="no size or step"):
        AnchorMap(1, 1, ((1.0, 1.0),), step=(1.0, bad))
    with pytest.raises(ValueError, match="variances"):
        square(1, 1, (1.0, 1.0), variances=(0.1, bad, 0.2, 0.2))


def test_a_specification_beyond_all_memory_is_no_record() -> None:
    assert len(anchors(square(MOST_ANCHORS, 1, (1.0, 1.0)))) == MOST_ANCHORS
    with pytest.raises(ValueError, match="lay out 200001 anchors"):
        square(MOST_ANCHORS + 1, 1, (1.0, 1.0))
