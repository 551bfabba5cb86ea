"""Frames in blocks: consecutive pictures resemble each other, so blocks and not frames are what counts. Pure.

``split`` keeps calibration and proof apart in time; ``interval`` bootstraps over blocks (Kuensch, 1989, Annals of
Statistics 17:1217, non-overlapping blocks), because frames that resemble each other are no independent evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.recalibrate.ranges import Reals
from agent.resampling import drawn_sums, widening

LEAST_BLOCKS = 5
"""Fewer held-out blocks say nothing about their spread."""

_RESAMPLES = 2000
_SEED = 20191108
"""Any fixed number: the same frames give the same verdict."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and where it may lie, at 95 %."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """It is a difference that is surely there."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, slots=True)
class Split:
    """Which frames measure ranges and which judge.

    Attributes:
        calibration: those that measure.
        held_out: those that judge, block by block.
        length: frames in a block.
        alike: frames left out because they look like an earlier one.
    """

    calibration: tuple[int, ...]
    held_out: tuple[tuple[int, ...], ...]
    length: int = 1
    alike: int = 0


def gap(length: int) -> int:
    """Frames between two blocks that neither measure nor judge: the nearest neighbours of either side.

    >>> gap(1), gap(8)
    (0, 2)
    """
    return length // 4


def split(count: int, length: int) -> Split:
    """Blocks of ``length`` consecutive frames, in turn for calibration and for proof, with a gap between them.

    Raises:
        ValueError: there are too few frames for a verdict.

    >>> split(10, 1).held_out
    ((1,), (3,), (5,), (7,), (9,))
    """
    step = length + gap(length)
    blocks = [tuple(range(start, start + length)) for start in range(0, count - length + 1, step)]
    held_out = tuple(blocks[1::2])
    if len(held_out) < LEAST_BLOCKS:
        least = 2 * LEAST_BLOCKS * step - gap(length)
        raise ValueError(f"{count} frames are too few: at least {least} are needed")
    return Split(tuple(index for block in blocks[::2] for index in block), held_out, length)


def interval(blocks: Sequence[Reals], statistic: Callable[[Reals], Reals]) -> Interval:
    """95 % interval of a statistic of sums: percentiles over resampled blocks, widened for how few there are.

    Args:
        blocks: the sums of each block, all of shape (k,).
        statistic: from sums, shape (..., k), to values, shape (...).
    """
    sums = np.stack(blocks).astype(np.float64)
    drawn = drawn_sums(sums, len(sums), _RESAMPLES, _SEED)
    value = float(statistic(sums.sum(axis=0)[None])[0])
    low, high = np.percentile(statistic(drawn), [2.5, 97.5]) - value
    wider = widening(len(sums))
    return Interval(value, value + float(low) * wider, value + float(high) * wider)


def interval_of_two(
    blocks: Sequence[Reals], others: Sequence[Reals], statistic: Callable[[Reals, Reals], Reals]
) -> Interval:
    """As :func:`interval`, of a statistic of two sets of frames that have nothing to do with each other.

    Args:
        blocks: the sums of each block of the one set.
        others: of the other set.
        statistic: from the sums of both, shapes (..., k) and (..., m), to values, shape (...).
    """
    sums = [np.stack(each).astype(np.float64) for each in (blocks, others)]
    drawn = [drawn_sums(each, len(each), _RESAMPLES, _SEED + place) for place, each in enumerate(sums)]
    value = float(statistic(*(each.sum(axis=0)[None] for each in sums))[0])
    low, high = np.percentile(statistic(*drawn), [2.5, 97.5]) - value
    wider = widening(min(map(len, sums)))
    return Interval(value, value + float(low) * wider, value + float(high) * wider)
