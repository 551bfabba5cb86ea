"""What light frames show: their grey levels and the sensor's noise. Pure.

In: raw frames, uint8 (h, w, 3) BGR. Out: :class:`Light`, 64 grey levels a channel and frame, which is 386 bytes in a
file, so that a reference is kept and travels without a picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.records import FloatArray, Pixels

Reals = npt.NDArray[np.floating[Any]]

LEVELS = 64
"""Quantiles a channel and frame; each stands for the same share of the picture."""

_MAGIC = b"LIGHT\x00\x01\x40"

LEAST_CONTRAST = 1.5
"""Grey levels between a frame's dark and bright parts; below, it is a covered lens or a wall, and shows no light."""

CLIPPED = 250.0
"""Above it a level may have been cut off, and says nothing of what it was."""

_ROWS = 45
_LEAST_BLOCK = 4
"""Blocks along the shorter side that a frame is averaged into, and the least side of one: that takes most of the noise
out of the levels, and gives dark frames levels between their few grey ones."""

_LEAST_SIDE = 32
_TILE = 6
"""Side of the tiles whose noise is compared, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """What light a set of frames shows.

    Attributes:
        levels: float32 (frames, 3, 64), blue, green, red; ascending: each stands for 1/64 of the frame.
        noise: float32 (frames,), the sensor's noise in grey levels, one standard deviation.
    """

    levels: FloatArray
    noise: FloatArray

    def __post_init__(self) -> None:
        if self.levels.shape != (len(self.noise), 3, LEVELS):
            raise ValueError(f"levels {self.levels.shape} and noise {self.noise.shape} do not belong together")

    def __len__(self) -> int:
        return len(self.noise)

    @property
    def shows(self) -> npt.NDArray[np.bool_]:
        """Which frames show anything at all, (frames,)."""
        contrast = (self.levels[:, :, -4] - self.levels[:, :, 3]).max(axis=1)
        # Blocks of pure noise lie within three of its deviations, divided by the side of a block.
        return np.asarray(contrast >= np.maximum(LEAST_CONTRAST, self.noise))

    def some(self, which: npt.NDArray[Any]) -> Light:
        """Some of the frames."""
        return Light(self.levels[which], self.noise[which])

    def to_bytes(self) -> bytes:
        """As a file: a magic word, then 386 bytes a frame, little-endian, in 1/256 of a grey level."""
        whole = np.concatenate([self.levels.reshape(len(self), 3 * LEVELS), self.noise[:, None]], axis=1)
        fixed: bytes = np.rint(np.clip(whole, 0.0, 255.0) * 256).astype("<u2").tobytes()
        return _MAGIC + fixed

    @classmethod
    def from_bytes(cls, data: bytes) -> Light:
        """The inverse of :meth:`to_bytes`, within 1/512 of a grey level.

        Raises:
            ValueError: it is no such file, or was cut or damaged.
        """
        size = 2 * (3 * LEVELS + 1)
        if data[: len(_MAGIC)] != _MAGIC or (len(data) - len(_MAGIC)) % size:
            raise ValueError(f"no light of frames: {len(data)} bytes that begin with {data[:8]!r}")
        whole = np.frombuffer(data, "<u2", offset=len(_MAGIC)).reshape(-1, size // 2).astype(np.float32)
        whole /= 256
        levels = whole[:, :-1].reshape(-1, 3, LEVELS)
        if (whole > 255).any() or (np.diff(levels, axis=2) < 0).any():
            raise ValueError("no light of frames: its levels do not ascend from 0 to 255")
        return cls(levels, whole[:, -1])

    def typical(self) -> Reals:
        """The middle frame of each level, (3, 64); a frame or two that show something else do not move it."""
        return np.asarray(np.median(self.levels, axis=0), np.float64)


def look(frames: Iterable[Pixels]) -> Light:
    """The light of frames.

    Raises:
        ValueError: a frame is no picture of at least 32 x 32 pixels in three channels.
    """
    seen = [(_levels(frame), _noise(frame)) for frame in frames]
    levels = np.array([levels for levels, _ in seen], np.float32).reshape(len(seen), 3, LEVELS)
    return Light(levels, np.array([noise for _, noise in seen], np.float32))


def _levels(frame: Pixels) -> Reals:
    if frame.ndim != 3 or frame.shape[2] != 3 or min(frame.shape[:2]) < _LEAST_SIDE or frame.dtype != np.uint8:
        raise ValueError(
            f"{frame.dtype} {frame.shape} is no frame of three channels, {_LEAST_SIDE} x {_LEAST_SIDE} at least"
        )
    size = max(_LEAST_BLOCK, min(frame.shape[:2]) // _ROWS)
    rows, cols = frame.shape[0] // size, frame.shape[1] // size
    whole = frame[: rows * size, : cols * size].reshape(rows, size, cols, size, 3)
    blocks = whole.mean(axis=(1, 3), dtype=np.float32).reshape(-1, 3)
    return np.asarray(np.quantile(blocks, (np.arange(LEVELS) + 0.5) / LEVELS, axis=0).T, np.float64)


def _noise(frame: Pixels) -> float:
    """Noise of the quieter parts, one standard deviation (Immerkaer 1996, over tiles, so that edges don't count)."""
    grey = frame[:, :, 1].astype(np.float32)
    cross = grey[:, :-2] - 2 * grey[:, 1:-1] + grey[:, 2:]
    both = np.abs(cross[:-2] - 2 * cross[1:-1] + cross[2:])
    rows, cols = both.shape[0] // _TILE, both.shape[1] // _TILE
    tiles = both[: rows * _TILE, : cols * _TILE].reshape(rows, _TILE, cols, _TILE).mean(axis=(1, 3))
    # Pixels cut off at either end have no noise to see, though there is some.
    lit = grey[1:-1, 1:-1][: rows * _TILE, : cols * _TILE].reshape(rows, _TILE, cols, _TILE).mean(axis=(1, 3))
    seen = tiles[(lit > 1) & (lit < CLIPPED)]
    return float(np.quantile(seen, 0.3) * np.sqrt(np.pi / 2) / 6) if len(seen) else 0.0
