"""The conveyor without parts: rubber with weave and wear between two steel rails, and the litter on it.

The belt repeats after :data:`LENGTH` pixels, so far apart that a repetition is never in the picture twice.
"""

from __future__ import annotations

import cv2
import numpy as np

from agent.records import FloatArray, Pixels

LENGTH = 1600
WIDTH = 600
RAIL = 44
"""Rows of steel at both sides of the belt."""

_DARK = np.array([62, 60, 56], np.float32)
_PALE = np.array([150, 134, 112], np.float32)


def texture(seed: int) -> FloatArray:
    """How light the belt is at each point, float32 (:data:`WIDTH`, :data:`LENGTH`), 1.0 on average."""
    rng = np.random.default_rng((seed, 1))
    light = np.ones((WIDTH, LENGTH), np.float32)
    for cells, depth in (((5, 12), 0.10), ((20, 50), 0.06), ((100, 260), 0.05)):
        light += depth * _smooth(rng, cells)
    light += 0.09 * rng.standard_normal((WIDTH, LENGTH), np.float32)
    x, y = np.arange(LENGTH, dtype=np.float32), np.arange(WIDTH, dtype=np.float32)
    light += 0.035 * np.sin(2 * np.pi * x * 400 / LENGTH) * np.sin(2 * np.pi * y / 4.3)[:, None]
    _scratch(light, rng)
    seam = int(rng.integers(LENGTH))
    light[:, seam : seam + 5] *= 0.62
    light[:, seam + 5 : seam + 7] *= 1.3
    return light


def coloured(light: FloatArray, belt: float, seed: int) -> Pixels:
    """The empty conveyor, uint8 (:data:`WIDTH`, :data:`LENGTH`, 3), for a ``belt`` knob from 0 to 1."""
    rng = np.random.default_rng((seed, 2))
    tint = _DARK + belt * (_PALE - _DARK)
    depth = 1.0 - 0.55 * belt
    conveyor = np.clip((1 + depth * (light - 1))[..., None] * tint, 0, 255).astype(np.uint8)
    profile = 120 + 60 * np.sin(np.linspace(0.4, 2.9, RAIL)) + rng.normal(0, 6, RAIL)
    profile[-4:] *= 0.35
    rail = np.clip(profile[:, None, None] * np.array([1.0, 0.99, 0.96]), 0, 255).astype(np.uint8)
    conveyor[:RAIL] = rail
    conveyor[WIDTH - RAIL :] = rail[::-1]
    return np.asarray(conveyor)


def litter(canvas: Pixels, rng: np.random.Generator) -> None:
    """Drop what is no part onto a piece of belt: swarf, stains, labels, chalk, tape."""
    height, width = canvas.shape[:2]
    for _ in range(rng.integers(4, 26)):
        _swarf(canvas, rng, (int(rng.integers(width)), int(rng.integers(RAIL, height - RAIL))))
    for draw, chance in ((_stain, 0.7), (_stain, 0.4), (_label, 0.3), (_ring, 0.35), (_tape, 0.12)):
        if rng.uniform() < chance:
            # Away from the ends: what hangs over would be cut off where the next piece begins.
            draw(canvas, rng, (int(rng.integers(64, width - 64)), int(rng.integers(RAIL + 30, height - RAIL - 30))))


def _smooth(rng: np.random.Generator, cells: tuple[int, int]) -> FloatArray:
    """Noise in blobs, repeating sideways."""
    coarse = rng.standard_normal(cells, np.float32)
    padded = np.concatenate([coarse[:, -2:], coarse, coarse[:, :2]], axis=1)
    step = LENGTH // cells[1]
    wide = cv2.resize(padded, (padded.shape[1] * LENGTH // cells[1], WIDTH), interpolation=cv2.INTER_LINEAR)
    blobs: FloatArray = wide[:, 2 * step : 2 * step + LENGTH].astype(np.float32)
    return blobs


def _scratch(light: FloatArray, rng: np.random.Generator) -> None:
    for _ in range(70):
        x, y = int(rng.integers(LENGTH - 1)), int(rng.integers(WIDTH))
        end = (x + int(rng.normal(0, 120)), y + int(rng.normal(0, 9)))
        cv2.line(light, (x, y), end, float(rng.choice([0.7, 0.82, 1.25, 1.4])), 1, cv2.LINE_AA)


def _swarf(canvas: Pixels, rng: np.random.Generator, at: tuple[int, int]) -> None:
    """A curl of metal, a few pixels long."""
    axes = (int(rng.integers(1, 7)), int(rng.integers(1, 4)))
    start = int(rng.integers(360))
    grey = int(rng.integers(70, 215))
    colour = (grey, grey, int(0.96 * grey))
    cv2.ellipse(
        canvas, at, axes, int(rng.integers(180)), start, start + int(rng.integers(60, 260)), colour, 1, cv2.LINE_AA
    )


def _stain(canvas: Pixels, rng: np.random.Generator, at: tuple[int, int]) -> None:
    """Oil: a darker blot with a soft edge."""
    size = int(rng.integers(12, 60))
    left, top = max(0, at[0] - size), max(0, at[1] - size)
    piece = canvas[top : at[1] + size, left : at[0] + size]
    if piece.size == 0:
        return
    mask = np.zeros(piece.shape[:2], np.float32)
    for _ in range(4):
        middle = (at[0] - left + int(rng.normal(0, 0.25 * size)), at[1] - top + int(rng.normal(0, 0.25 * size)))
        axes = (int(size * rng.uniform(0.2, 0.5)) + 1, int(size * rng.uniform(0.2, 0.5)) + 1)
        cv2.ellipse(mask, middle, axes, float(rng.integers(180)), 0, 360, 1.0, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.1 * size + 0.5), np.float32)
    piece[:] = (piece * (1 - rng.uniform(0.15, 0.5) * mask[..., None])).astype(np.uint8)


def _label(canvas: Pixels, rng: np.random.Generator, at: tuple[int, int]) -> None:
    """A paper label: print, bars, sometimes a drawn washer."""
    wide, tall, turn = float(rng.integers(36, 84)), float(rng.integers(22, 44)), float(rng.integers(-180, 180))
    size = int(wide) + 8
    paper = np.zeros((size, size, 3), np.uint8)
    half_x, half_y, middle = int(wide / 2), int(tall / 2), size // 2
    shade = int(rng.integers(165, 235))
    cv2.rectangle(paper, (middle - half_x, middle - half_y), (middle + half_x, middle + half_y), (shade,) * 3, -1)
    for x in range(middle - half_x + 4, middle + half_x - 4, 3):
        if rng.uniform() < 0.6:
            cv2.line(paper, (x, middle + 2), (x, middle + half_y - 3), (40,) * 3, 1)
    text = f"{rng.integers(1000, 9999)}"
    cv2.putText(paper, text, (middle - half_x + 3, middle - 2), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (50, 50, 60), 1)
    if rng.uniform() < 0.5:
        cv2.circle(paper, (middle + half_x - 10, middle - 4), 6, (70, 70, 80), 2, cv2.LINE_AA)
    spun = cv2.warpAffine(paper, cv2.getRotationMatrix2D((middle, middle), turn, 1.0), (size, size))
    _paste(canvas, np.asarray(spun, np.uint8), at)


def _paste(canvas: Pixels, piece: Pixels, at: tuple[int, int]) -> None:
    half = len(piece) // 2
    left, top = at[0] - half, at[1] - half
    x0, y0 = max(0, left), max(0, top)
    target = canvas[y0 : top + len(piece), x0 : left + len(piece)]
    part = piece[y0 - top : y0 - top + target.shape[0], x0 - left : x0 - left + target.shape[1]]
    np.copyto(target, part, where=part.any(axis=2, keepdims=True))


def _ring(canvas: Pixels, rng: np.random.Generator, at: tuple[int, int]) -> None:
    """What a washer left behind: the print of a ring, flat and without a shadow."""
    grey = int(rng.integers(30, 110))
    cv2.circle(canvas, at, int(rng.integers(8, 26)), (grey, grey, grey), int(rng.integers(1, 4)), cv2.LINE_AA)


def _tape(canvas: Pixels, rng: np.random.Generator, at: tuple[int, int]) -> None:
    """A strip of adhesive tape across the belt."""
    end = (at[0] + int(rng.integers(-50, 50)), at[1] + int(rng.integers(40, 160)))
    colour = tuple(int(part) for part in rng.integers(60, 190, 3))
    cv2.line(canvas, at, end, colour, int(rng.integers(8, 16)))
