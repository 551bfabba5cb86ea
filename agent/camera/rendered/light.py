"""Light, veil and what stands in the way: everything between the belt and the sensor that changes slowly.

Each is a picture of bytes that is made when its knobs are turned and then costs one cheap operation a frame.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from agent.records import FloatArray, Pixels

UNIT = 100.0
"""Value of a gain picture that leaves the light as it is."""

EXPOSURE = 1.4
"""What the camera's exposure makes of light 1.0."""

_NEUTRAL_KELVIN = 5500.0
_WAVES_M = np.array([450e-9, 540e-9, 610e-9])
_SECOND_RADIATION_CONSTANT = 1.4388e-2  # metre kelvin, CODATA


def tint(kelvin: float) -> npt.NDArray[np.float64]:
    """Gain of blue, green and red under a black body of this temperature (Planck's law); their mean is 1.

    >>> tint(5500.0).tolist()
    [1.0, 1.0, 1.0]
    """
    radiance, neutral = (
        1 / np.expm1(_SECOND_RADIATION_CONSTANT / (_WAVES_M * each)) for each in (kelvin, _NEUTRAL_KELVIN)
    )
    gains = radiance / neutral
    even: npt.NDArray[np.float64] = gains / gains.mean()
    return even


def at_time(level: float, cycle_s: float, time_s: float) -> float:
    """Light at a time of a day that lasts ``cycle_s``: full at its begin, a tenth half a day later.

    >>> [round(at_time(1.0, 60.0, time_s), 2) for time_s in (0.0, 15.0, 30.0, 60.0)]
    [1.0, 0.55, 0.1, 1.0]
    """
    return level if cycle_s <= 0 else level * (0.55 + 0.45 * float(np.cos(2 * np.pi * time_s / cycle_s)))


def lamps(width: int, height: int) -> FloatArray:
    """How the lamps and the lens's edge spread light over the picture, float32 (height, width, 1), about 1."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = 1 - 0.16 * (x**2 + y**2)
    spread = 1.02 + 0.16 * np.exp(-((x + 0.45) ** 2 + (y + 0.3) ** 2) / 0.35) - 0.05 * x
    return np.asarray((vignette * spread)[..., None], np.float32)


def gain_picture(spread: FloatArray, kelvin: float) -> Pixels:
    """What each pixel is multiplied by, uint8 (height, width, 3), :data:`UNIT` for 1; the level comes on top."""
    gain = spread * (UNIT * tint(kelvin)).astype(np.float32)
    return np.asarray(np.clip(gain + 0.5, 0, 255), np.uint8)


def veil_picture(spread: FloatArray, light: float, kelvin: float, haze: float) -> Pixels:
    """What haze adds to each pixel, uint8 (height, width, 3): as bright as the light that falls on it."""
    veil = spread * (205 * haze * min(light, 1.1) * tint(kelvin)).astype(np.float32)
    return np.asarray(np.clip(veil + 0.5, 0, 255), np.uint8)


def shadow_picture(field: FloatArray, depth: float) -> Pixels:
    """What each pixel is multiplied by, 255 for 1, three pictures wide so that any of its parts can be cut out."""
    wide = np.concatenate([field, field[:, : field.shape[1] // 2]], axis=1)
    dimmed = (255 - 255 * 0.7 * depth * wide).astype(np.uint8)
    return np.repeat(dimmed[..., None], 3, axis=2)


def shadow_field(width: int, height: int, seed: int) -> FloatArray:
    """Soft shadows of people in passing, float32, 0 to 1, twice as wide as the picture and repeating sideways."""
    rng = np.random.default_rng((seed, 4))
    small = np.zeros((height // 8, width // 4), np.float32)
    for _ in range(3):
        middle = (int(rng.integers(small.shape[1])), int(rng.integers(small.shape[0])))
        axes = (int(rng.integers(10, 26)), int(rng.integers(18, 50)))
        for copy in (-small.shape[1], 0, small.shape[1]):
            turn = 20.0 * (axes[0] % 5)
            cv2.ellipse(small, (middle[0] + copy, middle[1]), axes, turn, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(np.tile(small, 3), (0, 0), 4.0)[:, small.shape[1] : 2 * small.shape[1]]
    return np.asarray(cv2.resize(soft, (2 * width, height), interpolation=cv2.INTER_LINEAR), np.float32)
