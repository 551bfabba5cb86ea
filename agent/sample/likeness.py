"""How alike two frames look, and a vector for those who have no better one. Pure; from the thumbnail alone."""

from __future__ import annotations

from collections import deque

import numpy as np

from agent.records import FloatArray, Pixels

TILE_ROWS, TILE_COLUMNS = 9, 16
REMEMBERED = 256
"""Kept frames that a new one is compared with, the newest; as bytes, 36 KB."""

_SHARPNESS = 4.0
"""A sharp and a blurred picture differ in few grey levels; without this, distance would hardly see it."""


def tiles(thumbnail: Pixels) -> Pixels:
    """Mean luma of 9 x 16 tiles, uint8 (144,): noise is averaged away, an object that fills a tile is not.

    Raises:
        ValueError: it is no thumbnail of 36 x 64.
    """
    if thumbnail.shape != (36, 64):
        raise ValueError(f"a thumbnail is 36 x 64, not {thumbnail.shape}")
    means = thumbnail.reshape(TILE_ROWS, 4, TILE_COLUMNS, 4).mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(np.round(means).ravel(), np.uint8)


def difference(one: Pixels, other: Pixels) -> int:
    """Greatest difference of two frames' tiles, grey levels."""
    return int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())


def features(thumbnail: Pixels) -> FloatArray:
    """A vector for coverage, float32 (146,): the tiles, the spread and the sharpness, in parts of the whole range."""
    luma = thumbnail.astype(np.float32)
    edges = np.abs(np.diff(luma, axis=1)).mean() + np.abs(np.diff(luma, axis=0)).mean()
    return np.concatenate([tiles(thumbnail), [luma.std(), _SHARPNESS * edges]]).astype(np.float32) / 255.0


class Duplicates:
    """Knows the newest kept frames by their tiles.

    Args:
        most_luma: up to this difference, in grey levels, a frame is one of them again.
    """

    def __init__(self, most_luma: float) -> None:
        self._most_luma = most_luma
        self._kept: deque[Pixels] = deque(maxlen=REMEMBERED)

    def has(self, seen: Pixels) -> bool:
        """Whether a kept frame looks like this one."""
        if not self._kept:
            return False
        apart = np.abs(np.array(self._kept, np.int16) - seen.astype(np.int16)).max(axis=1)
        return bool(apart.min() <= self._most_luma)

    def add(self, seen: Pixels) -> None:
        """Remember the tiles of a kept frame."""
        self._kept.append(seen)
