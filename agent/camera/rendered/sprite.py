"""From a shape to a picture of it: metal, light from the upper left, dirt, and the shadow on the belt.

A sprite is laid onto a background by ``background * through / 255 + paint``: two cheap operations on bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from agent.camera.rendered.parts import NEW_CLASS, SHAPES, SIZES, Build, Relief
from agent.records import FloatArray, Pixels

VARIANTS = 24
"""Different parts of each class; size, proportions, metal and wear belong to the variant."""

TURNS = 48
"""Different directions in which each lies."""

SpriteKey = tuple[int, int, int]
"""Class number, variant, turn."""

SHADOW_REACH = 24.0
"""Longest shadow, pixels."""

_LIGHT = np.array([-0.52, -0.6, 0.61])
_UP = np.array([0.0, 0.0, 1.0])
_HALF = (_LIGHT + _UP) / np.linalg.norm(_LIGHT + _UP)

# BGR: steel, zinc, yellow chromate, brass, black oxide, copper.
_METALS = np.array(
    [[172, 166, 160], [190, 188, 184], [112, 168, 184], [88, 150, 178], [66, 62, 60], [94, 118, 172]], np.float32
)
_SHARE = (0.34, 0.24, 0.12, 0.1, 0.14, 0.06)


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """One part as it lies.

    Attributes:
        paint: uint8 (n, n, 3) BGR, already multiplied by its opacity.
        through: uint8 (n, n, 3), share of the background that shows through, of 255; the shadow is in it.
        mask: bool (n, n), where the part covers more than half of the pixel.
        reach: farthest covered pixel from the middle.
    """

    paint: Pixels
    through: Pixels
    mask: npt.NDArray[np.bool_]
    reach: int

    @property
    def half(self) -> int:
        """From its edge to its middle pixel."""
        return len(self.mask) // 2


class Sprites:
    """Makes sprites when they are asked for and keeps the last ``limit`` of them."""

    def __init__(self, limit: int = 160) -> None:
        self._limit = limit
        self._kept: OrderedDict[SpriteKey, Sprite] = OrderedDict()

    def __call__(self, key: SpriteKey) -> Sprite:
        """One sprite; the same key gives the same pixels."""
        sprite = self._kept.get(key)
        if sprite is None:
            sprite = self._kept[key] = draw(*key)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return sprite

    def has(self, key: SpriteKey) -> bool:
        """Whether it is drawn already."""
        return key in self._kept


def draw(class_id: int, variant: int, turn: int) -> Sprite:
    """Draw a variant of a class, turned by ``turn`` / :data:`TURNS` of a circle."""
    rng = np.random.default_rng((7919, class_id, variant))
    low, high = SIZES[class_id]
    size = float(low * (high / low) ** rng.uniform(0, 1))
    build = Build(size, *(float(part) for part in rng.uniform(0, 1, 3)))
    half = int(np.ceil(size * (1.45 if class_id == NEW_CLASS else 1.1) + SHADOW_REACH)) + 2
    angle = 2 * np.pi * (turn + rng.uniform(0, 1)) / TURNS
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    relief = SHAPES[class_id](u, v, build)
    opaque = np.clip(0.5 - relief.distance, 0, 1)
    colour = _shade(relief, u, v, rng)
    shadow = _shadow(relief, opaque)
    through = (1 - opaque) * (1 - shadow)
    mask = opaque > 0.5
    reach = int(np.abs(np.argwhere(mask) - half).max())
    return Sprite(
        _bytes(colour * opaque[..., None]), _bytes(np.repeat(255 * through[..., None], 3, axis=2)), mask, reach
    )


def _shade(relief: Relief, u: FloatArray, v: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The lit surface, float32 (n, n, 3), 0 to 255 and beyond."""
    slope_x = cv2.Sobel(relief.height, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    slope_y = cv2.Sobel(relief.height, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    up = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    facing = np.clip((-slope_x * _LIGHT[0] - slope_y * _LIGHT[1] + _LIGHT[2]) * up, 0, 1)
    glint = np.clip((-slope_x * _HALF[0] - slope_y * _HALF[1] + _HALF[2]) * up, 0, 1)
    kind = int(rng.choice(len(_METALS), p=_SHARE))
    gloss, wear = rng.uniform(0.3, 1.0), rng.uniform(0, 1) ** 2
    # What a bright metal mirrors is the hall around it: bands that turn with the surface.
    hall = 0.5 + 0.5 * np.sin(3.1 * slope_x * up + 2.3 * slope_y * up + 0.05 * (u + 0.4 * v) + rng.uniform(0, 6))
    grain = _grain(u.shape, rng)
    lit = (0.3 + 0.62 * facing + 0.24 * gloss * (hall - 0.5)) * relief.albedo * grain
    colour = lit[..., None] * _METALS[kind] + (235 * gloss * glint**38 * relief.albedo)[..., None]
    colour = _worn(colour, u, v, wear, rng)
    occluded = 1 - 0.35 * np.clip(1 + relief.distance / 2.5, 0, 1)
    shaded: FloatArray = colour * occluded[..., None]
    return shaded


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Brushed or cast: fine streaks along the part, or specks."""
    noise = rng.standard_normal(shape, np.float32)
    wide = cv2.blur(noise, (5, 1)) if rng.uniform() < 0.5 else cv2.blur(noise, (2, 2))
    streaks: FloatArray = 1 + 0.09 * np.asarray(wide, np.float32)
    return streaks


def _worn(colour: FloatArray, u: FloatArray, v: FloatArray, wear: float, rng: np.random.Generator) -> FloatArray:
    """Rust and oil in blotches."""
    waves = rng.uniform(0.08, 0.3, (3, 2)) * rng.choice([-1, 1], (3, 2))
    phases = rng.uniform(0, 6.3, 3)
    field = sum(np.sin(wave[0] * u + wave[1] * v + phase) for wave, phase in zip(waves, phases, strict=True))
    blotch = np.clip((np.asarray(field) - 2.4 + 2.2 * wear) * 0.5, 0, 0.7)[..., None]
    stain = np.array([28, 62, 118] if rng.uniform() < 0.6 else [30, 32, 36], np.float32)
    stained: FloatArray = (colour * (1 - blotch) + stain * blotch).astype(np.float32)
    return stained


def _shadow(relief: Relief, opaque: FloatArray) -> FloatArray:
    """The shadow on the belt, 0 to 1: soft, away from the light, as long as the part is tall."""
    tall = min(0.7 * float(np.percentile(relief.height[opaque > 0.5], 80)), 0.5 * SHADOW_REACH)
    move = np.array([[1, 0, 0.62 * tall], [0, 1, 0.72 * tall]], np.float32)
    size = opaque.shape[::-1]
    cast = cv2.warpAffine(opaque.astype(np.float32), move, size)
    cast = np.maximum(cv2.GaussianBlur(cast, (0, 0), 1.2 + 0.12 * tall), 0.8 * cv2.GaussianBlur(opaque, (0, 0), 1.6))
    soft: FloatArray = 0.62 * np.asarray(cast, np.float32)
    return soft


def _bytes(values: npt.NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
