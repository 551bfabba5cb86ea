"""The features of a picture, from its thumbnail and from some of its own rows. Pure.

In: a :class:`~agent.records.Frame` as the camera gave it. Cost: what is read are 2,304 pixels of luma, about 24 rows at
full width and about 768 pixels in colour, whatever the frame's size.
"""

from __future__ import annotations

import numpy as np

from agent.drift.features import CELLS, Reals
from agent.records import FloatArray, Frame, Pixels

DARK, BRIGHT = 8, 250
"""Luma up to which a pixel is black, and from which on it is white: the sensor may have cut it off."""

_ROWS, _COLS = 24, 32
_TILE = 16
"""Pixels of a row whose noise is taken together."""
_QUIET = 0.3
"""The tile of this rank is taken for one without edges."""
_RANKED = 0.854
"""What that tile shows of pure white noise, against the mean of all tiles (by simulation)."""
_LEVELS = np.arange(256.0)


def picture_values(frame: Frame) -> FloatArray:
    """The twelve features of family "picture", in order; NaN where the frame is too small or no picture."""
    found = np.full(12, np.nan, np.float32)
    if frame.thumbnail.ndim == 2 and frame.thumbnail.size and frame.thumbnail.dtype == np.uint8:
        found[:7] = _light(frame.thumbnail)
    if _is_picture(frame.pixels):
        found[7:9] = _grain(frame.pixels)
        found[9:] = _colour(frame.pixels)
    return found


def picture_profile(frame: Frame) -> FloatArray:
    """Where it is bright and where its edges lie, float32 (96,): 6 x 8 cells each; NaN for another thumbnail."""
    thumb = frame.thumbnail
    if thumb.shape != (36, 64):
        return np.full(2 * CELLS, np.nan, np.float32)
    luma = thumb.astype(np.float32)
    edges = np.zeros_like(luma)
    edges[:, 1:] = np.abs(np.diff(luma, axis=1))
    edges[1:] += np.abs(np.diff(luma, axis=0))
    return np.concatenate([_cells(luma), _cells(edges)])


def _is_picture(pixels: Pixels) -> bool:
    return pixels.ndim == 3 and pixels.shape[2] == 3 and min(pixels.shape[:2]) >= 16 and pixels.dtype == np.uint8


def _cells(plane: Reals) -> FloatArray:
    return np.asarray(plane.reshape(6, 6, 8, 8).mean(axis=(1, 3)).ravel(), np.float32)


def _light(thumb: Pixels) -> list[float]:
    share = np.bincount(thumb.ravel(), minlength=256) / thumb.size
    below = share.cumsum()
    mean = float(_LEVELS @ share)
    spread = float(np.sqrt(max(0.0, float(_LEVELS**2 @ share) - mean**2)))
    p05, median, p95 = np.searchsorted(below, (0.05, 0.5, 0.95))
    return [mean, spread, float(p05), float(median), float(p95), float(below[DARK]), float(share[BRIGHT:].sum())]


def _grain(pixels: Pixels) -> tuple[float, float]:
    """Sharpness (log2 of the mean square of the second difference) and noise (one standard deviation, grey levels)."""
    step = max(1, pixels.shape[0] // _ROWS)
    rows = pixels[step // 2 :: step, :, 1].astype(np.int16)
    second = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]).astype(np.float32)
    sharpness = float(np.log2(np.mean(second**2) + 0.1))
    many = second.shape[1] // _TILE
    tiles, lit = (
        each[:, : many * _TILE].reshape(len(rows), many, _TILE).mean(axis=2) for each in (second, rows[:, 1:-1])
    )
    seen = tiles[(lit > 1) & (lit < BRIGHT)]
    if not len(seen):
        return sharpness, float("nan")
    quiet = float(np.partition(seen, int(_QUIET * (len(seen) - 1)))[int(_QUIET * (len(seen) - 1))])
    # The second difference of white noise has six times its variance; the mean of its size is sqrt(2 / pi) of that.
    return sharpness, quiet / _RANKED * float(np.sqrt(np.pi / 2 / 6))


def _colour(pixels: Pixels) -> tuple[float, float, float]:
    """Blue and red against green, base-2 logarithms of the means; and how far colours are from grey, 0 to 1."""
    some = pixels[:: max(1, pixels.shape[0] // _ROWS), :: max(1, pixels.shape[1] // _COLS)].astype(np.float32)
    blue, green, red = (float(mean) + 1.0 for mean in some.mean(axis=(0, 1)))
    top = some.max(axis=2)
    saturation = float(np.mean((top - some.min(axis=2)) / (top + 16.0)))  # 16: darkness has no colour but noise
    return float(np.log2(blue / green)), float(np.log2(red / green)), saturation
