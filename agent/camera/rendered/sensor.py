"""The sensor and what comes after it: noise, torn frames, JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from agent.records import Pixels

_SPARE = 128
"""So much larger than a picture is the tile of noise, pixels."""

_TAKEN = 24.0
"""Strength at which the tile goes through the JPEG: weak noise alone would be quantized away."""


class NoiseBank:
    """Noise from a bank: fresh gaussian noise for one frame would take longer than everything else together.

    One tile larger than the picture, laid on with another offset for each frame; split into what is added and what is
    taken away, so that both are saturating operations on bytes. The tile went through a JPEG, so that it has the blocks
    and the smeared colours of one, and offsets keep to its grid.
    """

    def __init__(self, width: int, height: int, seed: int) -> None:
        rng = np.random.default_rng((seed, 5))
        shape = (height + _SPARE, width + _SPARE)
        luma = rng.standard_normal((*shape, 1), np.float32)
        chroma = rng.standard_normal((*shape, 3), np.float32)
        grey = np.clip(128 + _TAKEN * (0.85 * luma + 0.5 * chroma), 0, 255).astype(np.uint8)
        blocks = jpeg(grey, 90).astype(np.float32)
        self._unit = (blocks - blocks.mean()) / blocks.std()
        self._sigma = -1.0
        self._plus = self._minus = np.zeros((1, 1, 3), np.uint8)

    def apply(self, picture: Pixels, sigma: float, rng: np.random.Generator) -> None:
        """Add noise of this standard deviation, in place."""
        top, left = (int(8 * rng.integers(_SPARE // 8 + 1)) for _ in range(2))
        if sigma <= 0:
            return
        # In steps of a tenth: each new strength costs a new tile.
        if round(sigma, 1) != self._sigma:
            self._develop(round(sigma, 1))
        rows, columns = slice(top, top + picture.shape[0]), slice(left, left + picture.shape[1])
        cv2.add(picture, self._plus[rows, columns], dst=picture)
        cv2.subtract(picture, self._minus[rows, columns], dst=picture)

    def _develop(self, sigma: float) -> None:
        self._plus = np.clip(sigma * self._unit + 0.5, 0, 255).astype(np.uint8)
        self._minus = np.clip(0.5 - sigma * self._unit, 0, 255).astype(np.uint8)
        self._sigma = sigma


def jpeg(picture: Pixels, quality: int) -> Pixels:
    """The picture after a JPEG round trip."""
    _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def tear(picture: Pixels, rng: np.random.Generator) -> None:
    """Spoil a frame as a bad cable does, in place: the lower part out of step, and a band of grey that never came."""
    height, width = picture.shape[:2]
    cut = int(rng.integers(height // 5, 4 * height // 5))
    picture[cut:] = np.roll(picture[cut:], int(rng.integers(width // 8, width - width // 8)), axis=1)
    tall = int(rng.integers(4, height // 6))
    picture[cut : cut + tall] = (135, 128, 121)


def black(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """A covered lens: next to nothing, and never twice the same."""
    return rng.integers(0, 4, (height, width, 3), np.uint8)


def soften(picture: Pixels, sigma: float) -> Pixels:
    """Blur as a dirty lens does.

    Above 1 pixel by three passes of a box, which are a gaussian to within 3 % and cost a quarter of one.
    """
    if sigma < 0.05:
        return picture
    if sigma < 1.0:
        return np.asarray(cv2.GaussianBlur(picture, (5, 5), sigma), np.uint8)
    for box in _boxes(sigma):
        picture = np.asarray(cv2.blur(picture, (box, box)), np.uint8)
    return picture


def _boxes(sigma: float) -> tuple[int, int, int]:
    """Widths of three odd boxes whose variances add up to that of the gaussian, as nearly as odd numbers can."""
    ideal = np.sqrt(4 * sigma**2 + 1)
    low = int(ideal) - (int(ideal) + 1) % 2
    many = round((12 * sigma**2 - 3 * low**2 - 12 * low - 9) / (-4 * low - 4))
    first, second, third = (low if index < many else low + 2 for index in range(3))
    return first, second, third
