"""From a seed, a frame's number and the knobs to its pixels and what is really in it.

The belt with its parts is flat and rigid: pieces are drawn once and slide under the camera. Per frame there is one
look through the lens (``cv2.remap``), and a few operations on bytes for light, shadow, veil and noise.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np

from agent.camera.rendered import belt, light, sensor
from agent.camera.rendered.knobs import DAY, Knobs
from agent.camera.rendered.layout import PIECE, Piece, Supply, lay_out, wanted
from agent.camera.rendered.lens import MARGIN, VIEW, Lens, Pose, make_lens
from agent.camera.rendered.occluder import Occluder, make_occluder
from agent.camera.rendered.sprite import SpriteKey, Sprites
from agent.records import Detections, FloatArray, IntArray, Pixels

WIDTH, HEIGHT = 640, 480

SPEED = 4
"""Pixels of belt from one frame to the next."""

SMEAR = 3
"""Pixels of belt that pass while the shutter is open: motion blur."""

LEAST_SEEN = 0.3
"""A part of which less is inside the picture and uncovered is not in the truth."""

_ACROSS = -(-(VIEW + 2 * MARGIN + PIECE - 1) // PIECE)
_Key = tuple[float, ...]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, eq=False)
class _Strip:
    """Neighbouring pieces side by side, motion blur applied."""

    canvas: Pixels
    outlines: FloatArray
    class_id: IntArray


class Renderer:
    """Renders frames; the same arguments give the same pixels, in any order. Used by one thread.

    Args:
        seed: everything random comes from it.
        width: of the picture, pixels.
        height: of the picture, pixels.
        sprites: pictures of parts, shared between renderers where many are made.
    """

    def __init__(self, seed: int = 0, width: int = WIDTH, height: int = HEIGHT, sprites: Sprites | None = None) -> None:
        self._seed, self._width, self._height = seed, width, height
        self._sprites = sprites or Sprites()
        self._texture = belt.texture(seed)
        self._noise = sensor.NoiseBank(width, height, seed)
        self._lamps = light.lamps(width, height)
        self._shadows = light.shadow_field(width, height, seed)
        self._belt: _Last[Pixels] = _Last()
        self._lens: _Last[Lens] = _Last()
        self._gain: _Last[Pixels] = _Last()
        self._veil: _Last[Pixels] = _Last()
        self._shadow: _Last[Pixels] = _Last()
        self._occluder: _Last[Occluder] = _Last()
        self._strip: _Last[_Strip] = _Last()
        self._wanted: _Last[list[SpriteKey]] = _Last()
        self._pieces: OrderedDict[_Key, Piece] = OrderedDict()

    def frame(self, index: int, knobs: Knobs = DAY, time_s: float = 0.0) -> tuple[Pixels, Detections]:
        """One picture and its truth.

        Args:
            index: number of the frame, from 0.
            knobs: as they stand now; ``frozen`` is the source's business and does nothing here.
            time_s: time of day, for ``knobs.cycle_s``.

        Returns:
            uint8 (height, width, 3) BGR, freshly made; and the parts that can be seen in it, confidence 1.
        """
        rng = np.random.default_rng((self._seed, 6, index))
        if knobs.black >= 0.5:
            return sensor.black(self._width, self._height, rng), Detections.empty()
        level = light.at_time(knobs.light, knobs.cycle_s, time_s)
        lens = self._lens_at(knobs)
        strip, start = self._strip_at(index, knobs)
        picture = np.empty((self._height, self._width, 3), np.uint8)
        seen = strip.canvas[:, start : start + VIEW + 2 * MARGIN]
        cv2.remap(seen, lens.map_x, lens.map_y, cv2.INTER_LINEAR, picture, cv2.BORDER_REPLICATE)
        self._light(picture, index, level, knobs)
        truth = self._truth(strip, lens, start)
        if knobs.occlusion > 0:
            truth = self._cover(picture, truth, index, knobs)
        picture = sensor.soften(picture, knobs.blur)
        self._noise.apply(picture, knobs.noise * (1 + knobs.gain * max(1 / max(level, 0.05) - 1, 0.0)), rng)
        self._look_ahead(index, knobs)
        return self._transmitted(picture, knobs, rng), truth

    def _lens_at(self, knobs: Knobs) -> Lens:
        pose = Pose(round(knobs.shift_x), round(knobs.shift_y), round(4 * knobs.turn) / 4)
        key = (pose.shift_x, pose.shift_y, pose.turn)
        return self._lens(key, lambda: make_lens(self._width, self._height, pose))

    def _strip_at(self, index: int, knobs: Knobs) -> tuple[_Strip, int]:
        """The belt under the camera, and how far into the strip the view begins."""
        first, start = divmod(index * SPEED, PIECE)
        colour, supply = round(16 * knobs.belt) / 16, _supply(knobs)
        key = (first, colour, supply.new_class, supply.parts)
        return self._strip(key, lambda: self._join(first, colour, supply)), start

    def _join(self, first: int, colour: float, supply: Supply) -> _Strip:
        pieces = [self._piece(number, colour, supply) for number in range(first, first + _ACROSS)]
        canvas = np.concatenate([piece.canvas for piece in pieces], axis=1)
        cv2.blur(canvas, (SMEAR, 1), dst=canvas)
        moved = [piece.outlines + np.array([place * PIECE, 0], np.float32) for place, piece in enumerate(pieces)]
        return _Strip(canvas, np.concatenate(moved), np.concatenate([piece.class_id for piece in pieces]))

    def _piece(self, number: int, colour: float, supply: Supply) -> Piece:
        key = (number, colour, supply.new_class, supply.parts)
        if key not in self._pieces:
            conveyor = self._belt((colour,), lambda: belt.coloured(self._texture, colour, self._seed))
            left = number * PIECE % belt.LENGTH
            empty = conveyor[:, left : left + PIECE]
            self._pieces[key] = lay_out(self._seed, number, empty, supply, self._sprites)
            if len(self._pieces) > _ACROSS + 1:
                self._pieces.popitem(last=False)
        return self._pieces[key]

    def _look_ahead(self, index: int, knobs: Knobs) -> None:
        """Draw one part of the next piece: all of them at once would be a frame that takes ten times as long."""
        following, supply = index * SPEED // PIECE + _ACROSS, _supply(knobs)
        asked = (following, supply.new_class, supply.parts)
        for key in self._wanted(asked, lambda: wanted(self._seed, following, supply)):
            if not self._sprites.has(key):
                self._sprites(key)
                return

    def _light(self, picture: Pixels, index: int, level: float, knobs: Knobs) -> None:
        haze, kelvin = round(knobs.haze, 2), round(knobs.kelvin, -2)
        gain = self._gain((kelvin,), lambda: light.gain_picture(self._lamps, kelvin))
        cv2.multiply(picture, gain, dst=picture, scale=light.EXPOSURE * level * (1 - haze) / light.UNIT)
        depth = round(knobs.shadow, 2)
        if depth > 0:
            shadow = self._shadow((depth,), lambda: light.shadow_picture(self._shadows, depth))
            left = 3 * index % (2 * self._width)
            cv2.multiply(picture, shadow[:, left : left + self._width], dst=picture, scale=1 / 255)
        if haze > 0:
            step = _step(level)
            veil = self._veil((step, kelvin, haze), lambda: light.veil_picture(self._lamps, step, kelvin, haze))
            cv2.add(picture, veil, dst=picture)

    def _truth(self, strip: _Strip, lens: Lens, start: int) -> Detections:
        """The boxes of what can be seen of each part, clipped to the picture."""
        corners = lens.project(strip.outlines - np.array([start + MARGIN, 0], np.float32))
        low, high = corners.min(axis=1) + 0.5, corners.max(axis=1) + 0.5
        size = np.array([self._width, self._height], np.float32)
        inside_low, inside_high = np.clip(low, 0, size), np.clip(high, 0, size)
        inside = (inside_high - inside_low).prod(axis=1)
        keep = inside >= np.maximum(LEAST_SEEN * (high - low).prod(axis=1), 1.0)
        xyxy = np.concatenate([inside_low, inside_high], axis=1)[keep].astype(np.float32)
        return Detections(xyxy, np.ones(len(xyxy), np.float32), strip.class_id[keep])

    def _cover(self, picture: Pixels, truth: Detections, index: int, knobs: Knobs) -> Detections:
        share = round(knobs.occlusion, 2)
        occluder = self._occluder((share,), lambda: make_occluder(self._width, self._height, share))
        occluder.paint(picture, index, min(knobs.light, 1.5))
        keep = occluder.uncovered(truth.xyxy, index) >= LEAST_SEEN
        return Detections(truth.xyxy[keep], truth.confidence[keep], truth.class_id[keep])

    def _transmitted(self, picture: Pixels, knobs: Knobs, rng: np.random.Generator) -> Pixels:
        if rng.uniform() < knobs.torn:
            sensor.tear(picture, rng)
        return sensor.jpeg(picture, int(knobs.jpeg)) if knobs.jpeg >= 1 else picture


class _Last(Generic[Made]):
    """Keeps what was made last, and makes it anew when it is asked for another."""

    def __init__(self) -> None:
        self._key: _Key | None = None
        self._made: Made | None = None

    def __call__(self, key: _Key, make: Callable[[], Made]) -> Made:
        if self._made is None or key != self._key:
            self._made, self._key = make(), key
        return self._made


def _supply(knobs: Knobs) -> Supply:
    """In steps, for each new one lays the belt out anew."""
    return Supply(round(50 * knobs.new_class) / 50, round(50 * knobs.parts) / 50)


def _step(level: float) -> float:
    """Light in steps of 1.5 %: finer ones cannot be seen, and each one costs a new veil."""
    return 0.0 if level < 0.001 else float(1.015 ** round(np.log(level) / np.log(1.015)))
