"""Which kept pictures measure and which judge: copies merged, neighbours that resemble each other in one block. Pure.

Twelve copies of one picture are one piece of evidence, and so are twenty frames of a view in which nothing moves: taken
for twelve, they prove a patch by their noise. And where the light of neighbouring pictures goes the same way, their
errors do too; then blocks of them count, as long as their own correlation asks for, with a gap between those that
measure and those that judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from agent.errors import CameraError
from agent.recalibrate.blocks import LEAST_BLOCKS, Split, gap, split
from agent.recalibrate.levels import Light
from agent.records import Pixels
from agent.resampling import Doubles, block_length

_SIZE = 32, 24
"""Cells of a picture whose luma is compared, across and down; the mean of each has nearly no noise left."""

_ALIKE = 2.5
_ALIKE_SHARE = 0.05
"""Pictures are alike while no cell differs by more grey levels than this, nor by this share of what the picture spans:
of rendered scenes by day the most alike two are twenty times that apart, copies with noise and JPEG less than once."""

_SURE = 1.645
"""Of 20 folders of pictures that have nothing to do with each other, one seems to have a correlation above this over
the square root of how many there are."""


def differing(frames: Iterable[Pixels]) -> tuple[int, ...]:
    """The pictures that differ from each one before them, by place; looked at one at a time.

    Args:
        frames: uint8 (h, w, 3) BGR, in the order in which they were taken.

    >>> dark, light = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 90, np.uint8)
    >>> differing([dark, light, dark])
    (0, 1)
    """
    kept: list[int] = []
    cells: list[npt.NDArray[np.float32]] = []
    for number, pixels in enumerate(frames):
        small = cv2.resize(pixels, _SIZE, interpolation=cv2.INTER_AREA)
        seen = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
        low, high = np.percentile(seen, [2, 98])
        limit = max(_ALIKE, _ALIKE_SHARE * float(high - low))
        if all(np.abs(seen - other).max() > limit for other in reversed(cells)):
            kept.append(number)
            cells.append(seen)
    return tuple(kept)


def arrange(frames: Sequence[Pixels], light: Light, length: int | None = None) -> Split:
    """Which frames measure and which judge.

    Args:
        frames: in the order in which they were taken.
        light: of the same frames.
        length: neighbours that count as one piece of evidence; None: as many as their light asks for.

    Raises:
        CameraError: too few of them differ, or resemble each other too little, for a proof.
    """
    places = differing(frames)
    if len(places) < 2 * LEAST_BLOCKS:
        alike = (
            f"only {len(places)} of {len(frames)} frames differ from each other" if len(places) < len(frames) else ""
        )
        few = alike or f"{len(frames)} frames are too few"
        raise CameraError(f"pictures: {few}: at least {2 * LEAST_BLOCKS} are needed for a proof")
    if length is None:
        length = _length(np.asarray(light.some(np.array(places)).levels.mean(axis=(1, 2)), np.float64))
    try:
        parts = split(len(places), length)
    except ValueError as error:
        raise CameraError(f"pictures: {error} for a proof") from None
    return replace(
        parts,
        calibration=tuple(places[index] for index in parts.calibration),
        held_out=tuple(tuple(places[index] for index in block) for block in parts.held_out),
        alike=len(frames) - len(places),
    )


def _length(series: Doubles) -> int:
    """Neighbours in a block: what the rule asks for, or what leaves just enough blocks where that is half of it.

    With half of it, the share of intervals that lie above zero by chance stays near the 2.5 % that they promise; with a
    quarter of it, in sequences whose neighbours correlate by 0.8 and 0.9, it is 7 to 18 %.
    """
    count = len(series)
    if _correlation(series) < _SURE / math.sqrt(count):
        return 1
    asked = length = block_length(series, 1)
    while length > 1 and (count + gap(length)) // (length + gap(length)) < 2 * LEAST_BLOCKS:
        length -= 1
    if 2 * length < asked:
        raise CameraError(
            f"pictures: neighbours resemble each other so much that {asked} count as one, and {count} frames are too "
            "few for that: give more of them, taken further apart (or say --block 1 where each shows another scene)"
        )
    return length


def _correlation(series: Doubles) -> float:
    """Of neighbours; 0 where nothing varies."""
    centred = series - series.mean()
    spread = float(np.square(centred).sum())
    return float((centred[1:] * centred[:-1]).sum()) / spread if spread > 0.0 else 0.0
