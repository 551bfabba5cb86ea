"""Memory that is used again, and what is seen in a picture."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.eye import Eye, is_dark, thumbnail
from agent.camera.pool import Pool
from agent.records import Pixels

SHAPE = (36, 64, 3)


def picture(value: int = 0, shape: tuple[int, ...] = SHAPE) -> Pixels:
    return np.full(shape, value, np.uint8)


def test_an_array_that_nobody_holds_is_used_again() -> None:
    pool = Pool()
    assert pool.take() is None
    array = picture()
    pool.keep(array)
    assert pool.take() is None, "we hold it"
    address = id(array)
    del array
    again = pool.take()
    assert id(again) == address


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array,
        lambda array: array[2:4],
        lambda array: array[2:4][:, :, 0].T,
        memoryview,
        lambda array: [{"deep": array}],
        np.asarray,
    ],
    ids=["array", "slice", "slice of a slice", "memoryview", "inside a record", "asarray"],
)
def test_whoever_holds_any_part_keeps_it(hold: object) -> None:
    pool = Pool()
    pool.keep(picture())
    array = pool.take()
    assert array is not None
    held = hold(array)  # type: ignore[operator]
    del array
    assert pool.take() is None
    del held
    assert pool.take() is not None


def test_a_frame_in_other_hands_is_never_written_over() -> None:
    pool, held = Pool(limit=3), []
    for value in range(20):
        array = pool.take()
        if array is None:
            array = picture()
            pool.keep(array)
        array[:] = value
        held.append((value, array))
        del array
        held = held[-5:]  # more hands than the pool has arrays
        assert all(int(kept[0, 0, 0]) == wanted for wanted, kept in held)


def test_another_size_makes_the_old_arrays_worthless() -> None:
    pool = Pool()
    for _ in range(3):
        pool.keep(picture())
    pool.keep(picture(shape=(4, 4, 3)))
    again = pool.take()
    assert again is not None
    assert again.shape == (4, 4, 3)
    assert pool.take() is None


def test_the_pool_is_bounded_and_keeps_each_array_once() -> None:
    pool = Pool(limit=2)
    arrays = [picture(value) for value in range(5)]
    for array in arrays:
        pool.keep(array)
        pool.keep(array)
    del array
    counts = [sys.getrefcount(kept) for kept in arrays]
    assert [count - counts[4] for count in counts] == [1, 1, 0, 0, 0]


def test_a_thumbnail_is_luma_at_its_place() -> None:
    pixels = picture(shape=(720, 1280, 3))
    pixels[:360, :640] = (255, 0, 0)  # blue, the darkest primary
    pixels[360:, 640:] = 255
    thumb = thumbnail(pixels)
    assert (thumb.shape, thumb.dtype) == ((36, 64), np.uint8)
    assert thumb[5, 5] == 29
    assert thumb[30, 60] == 255
    assert thumb[30, 5] == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3000, 3), (36, 64, 3), (2160, 3840, 3)])
def test_any_size_has_a_thumbnail(shape: tuple[int, int, int]) -> None:
    assert thumbnail(picture(77, shape)).tolist() == [[77] * 64] * 36


@given(st.integers(0, 255), st.floats(0.0, 255.0))
def test_law_dark_is_what_the_percentile_says(value: int, luma: float) -> None:
    thumb = np.full((36, 64), value, np.uint8)
    thumb.reshape(-1)[:20] = 255  # less than one percent of bright specks: dead pixels, a clock in the corner
    assert is_dark(thumb, luma) == (np.percentile(thumb, 99) < luma)


def test_a_bright_spot_of_two_percent_is_not_dark() -> None:
    thumb = np.zeros((36, 64), np.uint8)
    thumb.reshape(-1)[:46] = 200
    assert not is_dark(thumb, 16.0)


def test_one_bit_anywhere_is_a_change() -> None:
    eye, pixels = Eye(), picture(9, (720, 1280, 3))
    assert not eye.is_same(thumbnail(pixels), pixels), "the first picture has none before it"
    assert eye.is_same(thumbnail(pixels), pixels.copy())
    changed = pixels.copy()
    changed[719, 3, 1] ^= 1
    assert (thumbnail(changed) == thumbnail(pixels)).all(), "the thumbnail alone would not see it"
    assert not eye.is_same(thumbnail(changed), changed)
    assert eye.is_same(thumbnail(changed), changed.copy())


def test_another_size_is_a_change() -> None:
    eye = Eye()
    eye.is_same(thumbnail(picture(9)), picture(9))
    bigger = picture(9, (72, 128, 3))
    assert not eye.is_same(thumbnail(bigger), bigger)
