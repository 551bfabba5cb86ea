"""How far held-out frames are from the reference's light, and how surely a correction brings them nearer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.recalibrate.blocks import LEAST_BLOCKS, Interval
from agent.recalibrate.levels import Light, Reals
from agent.records import Correction
from agent.resampling import drawn_sums, widening

_REFERENCES = 200
_DRAWS = 10
"""Draws of the reference, and of the held-out blocks for each of them."""

_SEED = 20191108
"""Any fixed number: the same frames give the same verdict."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far frames are from the reference's light, grey levels, mean over held-out frames.

    Attributes:
        frames, blocks: how many were held out and show something.
        before, after: with what is in force now, and with the correction.
        nearer: before less after, with its interval.
    """

    frames: int
    blocks: int
    before: float
    after: float
    nearer: Interval


def measure(
    light: Light, held_out: Sequence[Sequence[int]], corrections: tuple[Correction, Correction], reference: Light
) -> Distance | None:
    """The light's way back, on held-out frames that show something; None where too few blocks do.

    Both are drawn for the interval: the held-out blocks, and the reference's frames, whose middle is no more certain.

    Args:
        light: of all frames.
        held_out: which of them judge, block by block.
        corrections: the one in force, and the other one.
        reference: of the frames that nothing was fitted to.
    """
    made = []
    for block in held_out:
        levels = light.some(np.array(block)[light.shows[list(block)]]).levels
        if len(levels):
            made.append(tuple(_corrected(levels, correction) for correction in corrections))
    if len(made) < LEAST_BLOCKS:
        return None
    before, after, count = _sums(made, reference.typical()).sum(axis=0)
    nearer = _nearer(made, reference, max(map(len, held_out)))
    return Distance(int(count), len(made), float(before / count), float(after / count), nearer)


def _corrected(levels: Reals, correction: Correction) -> Reals:
    return np.asarray(correction.apply(levels.transpose(0, 2, 1)).transpose(0, 2, 1))


def _sums(made: Sequence[tuple[Reals, ...]], then: Reals) -> Reals:
    """Of each block: the distances of its frames before and after, and how many there are, (blocks, 3)."""
    return np.array([[*(np.abs(side - then).mean(axis=(1, 2)).sum() for side in both), len(both[0])] for both in made])


def _nearer(made: Sequence[tuple[Reals, ...]], reference: Light, size: int) -> Interval:
    random = np.random.default_rng(_SEED)
    count = len(reference)
    parts = np.array_split(np.arange(count), max(min(LEAST_BLOCKS, count), count // size))
    drawn = []
    for _ in range(_REFERENCES):
        chosen = np.concatenate([parts[number] for number in random.integers(0, len(parts), len(parts))])
        sums = _sums(made, reference.some(chosen).typical())
        drawn.append(_gain(drawn_sums(np.asarray(sums, np.float64), len(sums), _DRAWS, random)))
    value = float(_gain(_sums(made, reference.typical()).sum(axis=0)))
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5]) - value
    wider = widening(max(2, min(len(made), len(parts))))
    return Interval(value, value + float(low) * wider, value + float(high) * wider)


def _gain(sums: Reals) -> Reals:
    return np.asarray((sums[..., 0] - sums[..., 1]) / sums[..., 2])
