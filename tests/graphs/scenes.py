"""The pictures that the small graphs look at: one coloured patch on noise, drawn from a seed, 32 x 32.

What is to be found: which of three colours it is, and where its box lies (centre y, centre x, height, width, from 0 to
1). Light dims or floods the whole picture, so that ranges measured in one light do not fit another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIDE = 32
COLOURS = np.array([[0.9, 0.2, 0.1], [0.1, 0.8, 0.3], [0.2, 0.3, 0.95]])

Floats = npt.NDArray[np.float32]


def scenes(seed: int, count: int, light: float = 1.0) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Pictures float32 (count, 32, 32, 3) from -1 to 1, colour numbers (count,), boxes float32 (count, 4)."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, len(COLOURS), count)
    sides = random.integers(6, 16, (count, 2))
    corners = random.integers(0, SIDE - sides)
    pictures = random.uniform(0.0, 0.35, (count, SIDE, SIDE, 3)) + random.uniform(0, 0.2, (count, 1, 1, 3))
    for picture, colour, (height, width), (top, left) in zip(pictures, colours, sides, corners, strict=True):
        picture[top : top + height, left : left + width] = COLOURS[colour] + random.normal(0, 0.05, (height, width, 3))
    boxes = np.concatenate([corners + sides / 2, sides], axis=1) / SIDE
    seen = np.clip(light * pictures, 0, 1) * 2 - 1
    return seen.astype(np.float32), colours.astype(np.int64), boxes.astype(np.float32)
