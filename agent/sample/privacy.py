"""What may be written of a picture: pixels in, pixels out, or nothing. Pure; comes before anything is stored.

It hides what the detector finds, and whole zones. Somebody whom the detector misses altogether is in the picture: where
that must not be, hide zones, or keep statistics only. What is blurred is first averaged into at most 4 x 4 patches, and
everything shown is made of these: sharpening finds nothing, for there is nothing else left.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from agent.config import SampleConfig, ZoneConfig
from agent.config.sampling import EVERY_CLASS
from agent.errors import ConfigError
from agent.records import Detections, Labels, Pixels

GREY = 127
"""What is masked is painted with it, 0-255."""

_PATCHES = 4
_Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Privacy:
    """The policy.

    Attributes:
        mode: see the settings.
        class_ids: whose boxes are hidden; None: of every class.
        polygons: corners of zones that are hidden, relative to the frame.
        least_score: boxes below it are not hidden.
        margin: part of a box's sides by which it is widened, on each side.
    """

    mode: Literal["off", "statistics", "blur", "mask", "full"]
    class_ids: frozenset[int] | None = None
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()
    least_score: float = 0.0
    margin: float = 0.1


def plan(config: SampleConfig, zones: list[ZoneConfig], labels: Labels) -> Privacy:
    """The policy that the settings mean.

    Raises:
        ConfigError: a class is named that the labels do not have: nobody of it would be hidden.
    """
    every = EVERY_CLASS in config.private_classes
    return Privacy(
        mode=config.privacy,
        class_ids=None if every else frozenset(_ids(config.private_classes, labels)),
        polygons=tuple(tuple(zone.polygon) for zone in zones if zone.name in config.private_zones),
        least_score=config.private_score,
        margin=config.private_margin,
    )


def hide(pixels: Pixels, detections: Detections | None, privacy: Privacy) -> Pixels | None:
    """A copy of the picture as it may be written; None: it may not be written at all.

    Args:
        pixels: uint8 (h, w, 3) BGR; not changed.
        detections: every box that is known. None: nobody knows who is in the picture, so that one in which boxes are to
            be hidden is not shown.
        privacy: the policy.
    """
    if privacy.mode in {"off", "statistics"}:
        return None
    if privacy.mode == "full":
        return pixels.copy()
    boxes = _boxes(detections, privacy, pixels.shape)
    if boxes is None:
        return None
    picture = pixels.copy()
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = _hidden(pixels[top:bottom, left:right], privacy.mode)
    for polygon in privacy.polygons:
        _hide_polygon(picture, polygon, privacy.mode)
    return picture


def why_not(detections: Detections | None, privacy: Privacy) -> str:
    """Why :func:`hide` gave no picture, in a sentence."""
    if privacy.mode in {"off", "statistics"}:
        return f"sample.privacy is {privacy.mode}"
    answer = "no answer" if detections is None else "a box that lies nowhere"
    return f"{answer}: nobody knows what to hide"


def _boxes(detections: Detections | None, privacy: Privacy, shape: tuple[int, ...]) -> list[_Rectangle] | None:
    if privacy.class_ids is not None and not privacy.class_ids:
        return []
    if detections is None:
        return None
    # A score that is no number is a box all the same.
    concerned = ~(detections.confidence < privacy.least_score)
    if privacy.class_ids is not None:
        concerned &= np.isin(detections.class_id, list(privacy.class_ids))
    boxes = detections.xyxy[concerned].tolist()
    if not all(math.isfinite(side) for box in boxes for side in box):
        return None
    return [_widened(box, privacy.margin, shape[1], shape[0]) for box in boxes]


def _widened(box: list[float], margin: float, width: int, height: int) -> _Rectangle:
    (left, right), (top, bottom) = sorted(box[::2]), sorted(box[1::2])
    aside, above = margin * (right - left), margin * (bottom - top)
    return (
        _within(math.floor(left - aside), width),
        _within(math.floor(top - above), height),
        _within(math.ceil(right + aside), width),
        _within(math.ceil(bottom + above), height),
    )


def _within(place: int, size: int) -> int:
    return min(max(place, 0), size)


def _hide_polygon(picture: Pixels, polygon: tuple[tuple[float, float], ...], mode: str) -> None:
    """In place; what boxes have hidden already stays so."""
    height, width = picture.shape[:2]
    corners = np.round(np.array(polygon) * [width, height]).astype(np.int32)
    inside = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inside, [corners], 1)
    left, top, across, down = cv2.boundingRect(corners)
    place = (slice(top, top + down), slice(left, left + across))
    chosen = inside[place].astype(bool)
    picture[place][chosen] = _hidden(picture[place], mode)[chosen]


def _hidden(region: Pixels, mode: str) -> npt.NDArray[np.uint8]:
    height, width = region.shape[:2]
    if mode == "mask" or not height or not width:
        return np.full_like(region, GREY)
    patches = cv2.resize(region, (min(_PATCHES, width), min(_PATCHES, height)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(patches, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _ids(names: list[str], labels: Labels) -> list[int]:
    found = []
    for name in names:
        numbers = labels.ids(name)
        if not numbers:
            known = list(labels.names.values())
            near = difflib.get_close_matches(name, known, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"the labels have {', '.join(known[:8]) or 'no names'}"
            raise ConfigError(f"sample.private_classes: no class is named {name!r}; {mend}")
        found += numbers
    return found
