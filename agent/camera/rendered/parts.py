"""The shapes of the parts, as height fields over a grid of pixels. Pure.

Every shape is given by its signed distance (negative inside, so that edges can be smoothed), its height over the belt
in pixels, and how dark its material is at each point. ``u`` and ``v`` are the part's own axes, float32 (rows, columns);
``size`` is its radius or half its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agent.records import FloatArray

CLASSES = ("bolt", "nut", "washer", "gear", "bearing", "spring")
"""What a model learns to find; the place in this tuple is the class number."""

NEW_CLASS = len(CLASSES)
"""Class number of the parts that no model knows (``Knobs.new_class``): brackets."""


@dataclass(frozen=True, slots=True, eq=False)
class Relief:
    """A part as a relief: arrays of the same shape (rows, columns), float32.

    Attributes:
        distance: pixels to the edge, negative inside.
        height: pixels over the belt.
        albedo: 0 to about 1.
    """

    distance: FloatArray
    height: FloatArray
    albedo: FloatArray


class Build(NamedTuple):
    """What tells one variant of a class from the other: size in pixels, and three proportions from 0 to 1."""

    size: float
    a: float
    b: float
    c: float


Shape = Callable[[FloatArray, FloatArray, Build], Relief]


def washer(u: FloatArray, v: FloatArray, build: Build) -> Relief:
    """A flat ring; one in four is a spring washer, cut and offset."""
    size, a, b, c = build
    r = np.hypot(u, v)
    distance = np.maximum(r - size, size * (0.42 + 0.2 * a) - r)
    height = np.clip(-distance, 0, 1.5 + b) + 0.03 * size
    albedo = 0.95 + 0.05 * np.sin(r * 2.3 + 6 * c)
    if b > 0.75:
        distance = np.maximum(distance, 0.05 * size - np.abs(v - 0.3 * u) - np.where(u > 0, 0, 99))
        height = height + 0.06 * size * v / size
    return _relief(distance, height, albedo)


def nut(u: FloatArray, v: FloatArray, build: Build) -> Relief:
    """A hexagon with chamfered corners and a threaded hole."""
    size, a, b, c = build
    r = np.hypot(u, v)
    flat = 0.9 * size
    hexagon = np.maximum(np.abs(v), np.abs(u) * 0.866 + np.abs(v) * 0.5) - flat
    bore = size * (0.44 + 0.1 * a)
    depth = size * (0.25 + 0.2 * b)
    inner = np.clip((r - bore) / (0.14 * size), 0, 1)
    height = depth * inner - np.clip(r - 0.88 * flat, 0, None) * 0.6
    albedo = np.where(r < bore + 0.12 * size, 0.75 + 0.2 * np.sin(r * 3.1 + 6 * c), 0.97)
    return _relief(np.maximum(hexagon, bore - r), height, albedo)


def bearing(u: FloatArray, v: FloatArray, build: Build) -> Relief:
    """Two rings with balls between them, or with a seal over the balls."""
    size, a, b, c = build
    r = np.hypot(u, v)
    bore, inner, outer = size * (0.3 + 0.1 * a), size * (0.5 + 0.06 * a), size * 0.79
    rings = (r < inner) | (r > outer)
    height = np.where(rings, 0.2 * size, 0.12 * size)
    height -= np.clip(1.5 + np.maximum(r - size, bore - r), 0, 1.5)
    if b < 0.55:
        count, middle, ball = 7 + int(4 * c), (inner + outer) / 2, 0.46 * (outer - inner)
        turn = np.arctan2(v, u)
        near = (turn * count / (2 * np.pi)) % 1.0 - 0.5
        gap = np.hypot(near * 2 * np.pi / count * middle, r - middle)
        dome = np.sqrt(np.clip(ball**2 - gap**2, 0, None))
        albedo = np.where(rings, 0.95, np.where(gap < ball, 1.05, 0.22))
        height = np.where(rings, height, 0.08 * size + dome)
    else:
        groove = np.abs(r - (inner + outer) / 2) < 0.05 * size
        albedo = np.where(rings, 0.95, np.where(groove, 0.2, 0.3 if c < 0.6 else 0.62))
    return _relief(np.maximum(r - size, bore - r), height, albedo)


def gear(u: FloatArray, v: FloatArray, build: Build) -> Relief:
    """A spur gear: teeth, a recess, a hub, a bore with a keyway, sometimes holes in the web."""
    size, a, b, c = build
    r, turn = np.hypot(u, v), np.arctan2(v, u)
    teeth, depth = 11 + int(14 * a), 0.2 - 0.09 * a
    profile = np.clip(1.9 * np.sin(teeth * turn), -1, 1)
    edge = 0.92 * (r - size * (1 - depth * (0.5 - 0.5 * profile)))
    bore = size * (0.13 + 0.12 * b)
    hole = np.minimum(r - bore, np.maximum(np.abs(v) - 0.05 * size, np.abs(u - bore) - 0.06 * size))
    if c > 0.6 and size > 22:
        count = 4 + int(3 * b)
        near = ((turn * count / (2 * np.pi)) % 1.0 - 0.5) * 2 * np.pi / count
        hole = np.minimum(hole, np.hypot(near * 0.55 * size, r - 0.55 * size) - 0.12 * size)
    hub, rim = r < bore + 0.16 * size, r > 0.72 * size
    height = np.where(hub, 0.3 * size, np.where(rim, 0.22 * size, 0.14 * size))
    albedo = np.where(hub | rim, 0.95, 0.8) + 0.03 * np.sin(r * 2.0)
    return _relief(np.maximum(edge, -hole), height, albedo)


def bolt(u: FloatArray, v: FloatArray, build: Build) -> Relief:
    """A hexagon-head bolt lying on its side: facets, shank, thread."""
    size, a, b, c = build
    wide = size * (0.34 + 0.16 * a)
    shank, head = 0.52 * wide, size * (0.26 + 0.1 * b)
    at = u + size
    flats = 1 - np.clip((np.abs(v) / wide - 0.48) / 0.52, 0, 1) * 0.75
    cap = _box(at - head / 2, v, head / 2, wide)
    taper = np.clip((at - (2 * size - 0.5 * shank)) / (0.5 * shank), 0, 1)
    rod = np.maximum(np.abs(v) - shank * (1 - 0.35 * taper), np.maximum(at - 2 * size, head - at))
    threaded = at > head + size * (0.1 + 0.5 * c)
    pitch = max(2.4, 0.34 * shank)
    ridge = np.where(threaded, np.sin(2 * np.pi * (at + 0.25 * v) / pitch), 0.0)
    round_height = np.sqrt(np.clip(1 - (v / shank) ** 2, 0, 1)) * shank
    height = np.where(cap < 0, wide * flats, round_height + 0.1 * shank * ridge + 0.3 * shank)
    albedo = np.where((cap >= 0) & threaded, 0.82 + 0.16 * ridge, 0.96)
    if c > 0.7:
        collar = _box(at - head - 0.03 * size, v, 0.05 * size, 1.25 * wide)
        height, albedo = np.where(collar < 0, 0.9 * wide, height), np.where(collar < 0, 0.95, albedo)
        cap = np.minimum(cap, collar)
    return _relief(np.minimum(cap, rod), height, albedo)


def spring(u: FloatArray, v: FloatArray, build: Build) -> Relief:
    """A helical spring lying on its side: strands in front, and darker ones seen through them."""
    size, a, b, c = build
    tall = size * (0.3 + 0.14 * a)
    wire = max(1.3, size * (0.045 + 0.03 * b))
    reach = tall - wire
    pitch = max(3.4 * wire, size * (0.2 + 0.1 * c))
    front = _strands(u, v, pitch, reach, 0.0)
    back = _strands(-u, v, pitch, reach, 0.5 * pitch)
    ends = np.minimum(*(np.hypot(u - side * (size - wire), np.clip(np.abs(v) - reach, 0, None)) for side in (-1, 1)))
    limit = np.abs(u) - (size - wire)
    front = np.minimum(np.maximum(front, limit), ends)
    back = np.maximum(back, limit)
    above = front < wire
    bow = np.sqrt(np.clip(1 - (v / tall) ** 2, 0, 1)) * tall
    over = np.sqrt(np.clip(wire**2 - front**2, 0, None))
    under = np.sqrt(np.clip(wire**2 - back**2, 0, None))
    height = np.where(above, over + bow + tall, under + 0.4 * tall)
    return _relief(np.minimum(front, back) - wire, height, np.where(above, 1.0, 0.5))


def bracket(u: FloatArray, v: FloatArray, build: Build) -> Relief:
    """An angle of sheet metal with two holes: the part that nobody told the model of."""
    size, a, b, c = build
    arm = size * (0.28 + 0.12 * a)
    shape = np.minimum(
        _box(u, v + size - arm, size, arm), _box(u + size - arm, v + 0.25 * size * b, arm, size * (1 - 0.25 * b))
    )
    hole = np.hypot(u - 0.55 * size, v + size - arm) - 0.4 * arm
    hole = np.minimum(hole, np.hypot(u + size - arm, v - 0.45 * size) - 0.4 * arm)
    height = np.clip(-shape, 0, 2.0) + 0.05 * size
    return _relief(np.maximum(shape, -hole), height, np.full_like(u, 0.9 + 0.1 * c))


SHAPES: tuple[Shape, ...] = (bolt, nut, washer, gear, bearing, spring, bracket)
"""By class number; the last one is :data:`NEW_CLASS`."""

SIZES: tuple[tuple[float, float], ...] = ((26, 66), (17, 38), (17, 40), (22, 60), (21, 54), (24, 62), (22, 48))
"""Smallest and largest ``size`` by class number, in pixels of a picture of 640 x 480."""


def _strands(u: FloatArray, v: FloatArray, pitch: float, reach: float, phase: float) -> FloatArray:
    """Distance to slanted wires that climb from -reach to +reach in half a pitch."""
    lean = 0.5 * pitch / (2 * reach)
    inside = np.clip(v, -reach, reach)
    along = u + phase - lean * (inside + reach)
    gap = (along + 0.5 * pitch) % pitch - 0.5 * pitch
    distance: FloatArray = np.hypot(gap / np.hypot(1.0, lean), np.abs(v) - np.abs(inside)).astype(np.float32)
    return distance


def _box(x: FloatArray, y: FloatArray, half_x: float, half_y: float) -> FloatArray:
    distance: FloatArray = np.maximum(np.abs(x) - half_x, np.abs(y) - half_y)
    return distance


def _relief(distance: npt.NDArray[Any], height: npt.NDArray[Any], albedo: npt.NDArray[Any]) -> Relief:
    return Relief(distance.astype(np.float32), height.astype(np.float32), albedo.astype(np.float32))
