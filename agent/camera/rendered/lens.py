"""Where a point of the belt is seen in the picture, and which point of the belt a pixel shows. Pure.

The camera hangs over the belt and looks a little along it: what is at the picture's top is farther away. The lens bends
straight lines a little outwards. A knock moves and turns the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from agent.records import FloatArray

VIEW = 800
"""Length of belt that the widest picture row shows, pixels of belt."""

MARGIN = 240
"""Belt before and behind that, for a camera that was knocked."""

_SEEN = np.array([[8, 84], [792, 84], [704, 528], [96, 528]], np.float32)
"""Where the picture's corners lie on the belt: top left, top right, bottom right, bottom left."""

_BARREL = -0.035
"""Radial distortion at the picture's corners."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How the camera hangs: moved by so many pixels of a picture 640 wide, turned by so many degrees."""

    shift_x: float = 0.0
    shift_y: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """One pose and picture size.

    Attributes:
        width: of the picture, pixels.
        height: of the picture, pixels.
        matrix: belt to undistorted picture, homogeneous, (3, 3).
        map_x: for ``cv2.remap``: fixed-point part, int16 (height, width, 2).
        map_y: its fractions, uint16 (height, width).
    """

    width: int
    height: int
    matrix: npt.NDArray[np.float64]
    map_x: npt.NDArray[np.int16]
    map_y: npt.NDArray[np.uint16]

    def project(self, points: FloatArray) -> FloatArray:
        """Points of the belt (..., 2), as a picture of :data:`VIEW` shows them, in pixels of the picture."""
        flat = points.reshape(-1, 2) @ self.matrix[:, :2].T + self.matrix[:, 2]
        plane = flat[:, :2] / flat[:, 2:]
        bent: FloatArray = _bend(plane, self.width, self.height).reshape(points.shape).astype(np.float32)
        return bent


def make_lens(width: int, height: int, pose: Pose) -> Lens:
    """Work out the maps of one pose; takes some 20 ms for 640 x 480."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    upright = cv2.getPerspectiveTransform(_SEEN, corners - np.float32(0.5))
    knock = np.eye(3)
    knock[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), pose.turn, 1.0)
    knock[:2, 2] += np.array([pose.shift_x, pose.shift_y]) * (width / 640)
    matrix = knock @ upright
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    plane = pixels.copy()
    for _ in range(6):  # the bend has no closed inverse; it is so small that this converges to a thousandth of a pixel
        plane += pixels - _bend(plane, width, height)
    back = np.linalg.inv(matrix)
    flat = plane @ back[:, :2].T + back[:, 2]
    source = (flat[:, :2] / flat[:, 2:]).reshape(height, width, 2).astype(np.float32)
    map_x, map_y = cv2.convertMaps(source[..., 0] + MARGIN, source[..., 1], cv2.CV_16SC2)
    return Lens(width, height, matrix, np.asarray(map_x, np.int16), np.asarray(map_y, np.uint16))


def _bend(plane: npt.NDArray[np.float64], width: int, height: int) -> npt.NDArray[np.float64]:
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = plane - middle
    square = (offset**2).sum(axis=1, keepdims=True) / (middle**2).sum()
    # Bounded: a point far outside of the picture must not come back into it.
    bent: npt.NDArray[np.float64] = middle + offset * (1 + _BARREL * np.minimum(square, 2.0))
    return bent
