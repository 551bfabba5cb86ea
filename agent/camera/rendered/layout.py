"""Which parts lie where: the belt in pieces, each laid out from its own random numbers, so any piece can be had first.

Parts may cover each other, but never so far that nobody could tell what lies below: at least :data:`LEAST_VISIBLE`
of every part can be seen. Boxes are of what can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from agent.camera.rendered import belt
from agent.camera.rendered.parts import CLASSES, NEW_CLASS
from agent.camera.rendered.sprite import TURNS, VARIANTS, Sprite, SpriteKey, Sprites
from agent.records import FloatArray, IntArray, Pixels

PIECE = 320
"""Length of a piece, pixels of belt."""

LEAST_VISIBLE = 0.5

DIRECTIONS = 32
"""A part's outline is kept as its farthest points in so many directions: enough for a box in any perspective."""

_ANGLES = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
_WAYS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)]).astype(np.float32)

_MARGIN = 130
_SHADOW = 12

_Owner = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of belt with its parts.

    Attributes:
        canvas: uint8 (belt.WIDTH, PIECE, 3).
        outlines: float32 (parts, DIRECTIONS, 2), x and y on the piece.
        class_id: int32 (parts,).
        owner: int8 (belt.WIDTH, PIECE), number of the part that is seen at each pixel, -1 for none.
    """

    canvas: Pixels
    outlines: FloatArray
    class_id: IntArray
    owner: _Owner


@dataclass(frozen=True, slots=True)
class _Pick:
    key: SpriteKey
    x: float
    y: float
    angle: float
    near: float


@dataclass(frozen=True, slots=True, eq=False)
class _Lying:
    class_id: int
    sprite: Sprite
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Supply:
    """What comes down the line.

    Attributes:
        new_class: share of parts that are of :data:`~agent.camera.rendered.parts.NEW_CLASS`.
        parts: share of the usual number of parts.
    """

    new_class: float = 0.0
    parts: float = 1.0


def lay_out(seed: int, number: int, empty: Pixels, supply: Supply, sprites: Sprites) -> Piece:
    """Make one piece.

    Args:
        seed: of the whole scene.
        number: of the piece along the belt.
        empty: the piece of belt without parts, uint8 (belt.WIDTH, PIECE, 3); left as it is.
        supply: what lies on it.
        sprites: where pictures of parts come from.
    """
    rng = np.random.default_rng((seed, 7, number))
    canvas = empty.copy()
    belt.litter(canvas, rng)
    lying, owner = _place(_picks(seed, number, supply), float(rng.uniform() ** 2), sprites)
    for part in lying:
        _blend(canvas, part)
    outlines = [_outline(owner, index, part) for index, part in enumerate(lying)]
    return Piece(
        canvas,
        np.array(outlines, np.float32).reshape(-1, DIRECTIONS, 2),
        np.array([part.class_id for part in lying], np.int32),
        owner,
    )


def _place(picks: list[_Pick], piles: float, sprites: Sprites) -> tuple[list[_Lying], _Owner]:
    # Wider than the piece: a sprite's empty margin may hang over its edge, what can be seen of a part never does.
    owner = np.full((belt.WIDTH, PIECE + 2 * _MARGIN), -1, np.int8)
    lying: list[_Lying] = []
    areas, visible = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for pick in picks:
        part = _drop(pick, sprites(pick.key), lying, piles)
        if part is None:
            continue
        mask = part.sprite.mask
        place = owner[part.top : part.top + len(mask), part.left + _MARGIN : part.left + _MARGIN + len(mask)]
        mask = mask[: len(place)]
        covered = place[mask]
        left = visible - np.bincount(covered[covered >= 0], minlength=len(lying))
        if (left < LEAST_VISIBLE * areas).any():
            continue
        place[mask] = len(lying)
        lying.append(part)
        areas, visible = np.append(areas, len(covered)), np.append(left, len(covered))
    return lying, owner[:, _MARGIN:-_MARGIN]


def wanted(seed: int, number: int, supply: Supply) -> list[SpriteKey]:
    """The sprites that a piece may need, for who wants to draw them beforehand."""
    return [pick.key for pick in _picks(seed, number, supply)]


def _picks(seed: int, number: int, supply: Supply) -> list[_Pick]:
    """Parts that are dropped one after another; the same random numbers whatever the knobs say."""
    rng = np.random.default_rng((seed, 3, number))
    picks = []
    for _ in range(int(rng.integers(3, 14))):
        class_id, variant, turn = (int(rng.integers(limit)) for limit in (len(CLASSES), VARIANTS, TURNS))
        strange, x, y, angle, near = (float(value) for value in rng.uniform(0, 1, 5))
        picks.append(_Pick((NEW_CLASS if strange < supply.new_class else class_id, variant, turn), x, y, angle, near))
    there = np.random.default_rng((seed, 8, number)).uniform(0, 1, len(picks)) < supply.parts
    return [pick for pick, is_there in zip(picks, there, strict=True) if is_there]


def _drop(pick: _Pick, sprite: Sprite, lying: list[_Lying], piles: float) -> _Lying | None:
    """Where a part comes to lie: anywhere, or on the edge of another; None when that is off the piece."""
    reach = sprite.reach + 1
    low, high = belt.RAIL + reach, belt.WIDTH - belt.RAIL - reach
    first, last = reach, PIECE - reach - _SHADOW
    along, across = first + pick.x * (last - first), low + pick.y * (high - low)
    if lying and pick.near < piles:
        other = lying[int(pick.x * len(lying))]
        gap = 0.8 * (reach + other.sprite.reach)
        along = other.left + other.sprite.half + gap * np.cos(2 * np.pi * pick.angle)
        across = other.top + other.sprite.half + gap * np.sin(2 * np.pi * pick.angle)
        if not (first <= along <= last and low <= across <= high):
            return None
    return _Lying(pick.key[0], sprite, int(along) - sprite.half, int(across) - sprite.half)


def _blend(canvas: Pixels, part: _Lying) -> None:
    sprite, size = part.sprite, len(part.sprite.mask)
    height, width = canvas.shape[:2]
    x0, y0 = max(0, -part.left), max(0, -part.top)
    x1, y1 = min(size, width - part.left), min(size, height - part.top)
    place = canvas[part.top + y0 : part.top + y1, part.left + x0 : part.left + x1]
    dimmed = cv2.multiply(place, sprite.through[y0:y1, x0:x1], scale=1 / 255)
    place[:] = cv2.add(dimmed, sprite.paint[y0:y1, x0:x1])


def _outline(owner: _Owner, number: int, part: _Lying) -> FloatArray:
    """The farthest seen points of a part in :data:`DIRECTIONS`, the outer corners of its pixels."""
    left, top = max(0, part.left), max(0, part.top)
    size = len(part.sprite.mask)
    rows, columns = np.nonzero(owner[top : part.top + size, left : part.left + size] == number)
    points = np.stack([columns + left, rows + top], axis=1).astype(np.float32)
    farthest = points[np.argmax(points @ _WAYS, axis=0)]
    outer: FloatArray = farthest + 0.5 * np.sign(np.round(_WAYS.T, 6)).astype(np.float32)
    return outer
