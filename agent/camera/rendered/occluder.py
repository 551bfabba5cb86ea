"""Something near the lens that covers a part of the picture: an arm in a glove, out of focus, never quite still."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from agent.records import FloatArray, Pixels

_SWAY = 16

_GLOVE = np.array([52, 74, 96], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Occluder:
    """One arm; every picture is larger than the frame by :data:`_SWAY` on each side.

    Attributes:
        colour: uint8 (h, w, 3), multiplied by its opacity.
        through: uint8 (h, w, 3), share of the picture that shows through, of 255.
        mask: bool (h, w), where it covers more than half.
    """

    colour: Pixels
    through: Pixels
    mask: npt.NDArray[np.bool_]

    def paint(self, picture: Pixels, index: int, light: float) -> None:
        """Lay it over a picture, in place."""
        place = self._place(index, picture.shape[0], picture.shape[1])
        cv2.multiply(picture, self.through[place], dst=picture, scale=1 / 255)
        cv2.addWeighted(picture, 1.0, self.colour[place], min(light, 2.5), 0.0, dst=picture)

    def uncovered(self, xyxy: FloatArray, index: int) -> FloatArray:
        """Share of each box that is not covered, float32 (n,)."""
        height, width = (size - 2 * _SWAY for size in self.mask.shape)
        mask = self.mask[self._place(index, height, width)]
        shares = [
            1.0 - float(mask[int(top) : int(bottom) + 1, int(left) : int(right) + 1].mean())
            for left, top, right, bottom in xyxy
        ]
        return np.array(shares, np.float32)

    def _place(self, index: int, height: int, width: int) -> tuple[slice, slice]:
        top = _SWAY + round(_SWAY * np.sin(0.11 * index))
        left = _SWAY + round(_SWAY * np.sin(0.07 * index + 1.0))
        return slice(top, top + height), slice(left, left + width)


def make_occluder(width: int, height: int, share: float) -> Occluder:
    """An arm that covers ``share`` of a picture, give or take its swaying."""
    mask = _arm(width + 2 * _SWAY, height + 2 * _SWAY, share)
    soft = np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.008 * width), np.float32)[..., None]
    y, x = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]]
    folds = 1 + 0.25 * np.sin(0.05 * x + 0.02 * y) * np.sin(0.013 * x - 0.03 * y)
    colour = np.clip(soft * _GLOVE * folds[..., None], 0, 255).astype(np.uint8)
    through = np.repeat((255 * (1 - soft)).astype(np.uint8), 3, axis=2)
    return Occluder(colour, through, soft[..., 0] > 0.5)


def _arm(width: int, height: int, share: float) -> npt.NDArray[np.uint8]:
    """The size that covers the asked-for share, found by halving."""
    low, high = 0.0, 2.0
    mask = np.zeros((height, width), np.uint8)
    for _ in range(14):
        scale = (low + high) / 2
        mask = _draw(width, height, scale)
        low, high = (scale, high) if mask.mean() < share else (low, scale)
    return mask


def _draw(width: int, height: int, scale: float) -> npt.NDArray[np.uint8]:
    """A sleeve from the lower right, a hand, four fingers."""
    mask = np.zeros((height, width), np.uint8)
    radius = 1 + int(0.2 * scale * np.hypot(width, height))
    hand = (int(width * (1 - 0.55 * scale)), int(height * 0.6))
    cv2.line(mask, hand, (int(1.2 * width), int(1.05 * height)), 1, min(int(1.4 * radius) + 1, 32000))
    cv2.circle(mask, hand, radius, 1, -1)
    for finger in range(4):
        angle = np.pi * (0.86 + 0.13 * finger)
        tip = (int(hand[0] + 1.9 * radius * np.cos(angle)), int(hand[1] + 1.9 * radius * np.sin(angle)))
        cv2.line(mask, hand, tip, 1, int(0.42 * radius) + 1)
    return mask
