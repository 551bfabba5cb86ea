"""What counts as an object: thresholds, classes, size, zones."""

from __future__ import annotations

import difflib

import numpy as np
import numpy.typing as npt

from agent.config import ModelConfig, ZoneConfig
from agent.errors import ConfigError
from agent.records import Detections, FloatArray, IntArray, Labels, Placement

_NEVER = np.inf
"""A threshold that no score reaches: for classes that were not asked for."""


class Filters:
    """The settings as arrays, made once."""

    def __init__(self, config: ModelConfig, labels: Labels, zones: list[ZoneConfig]) -> None:
        self.thresholds = thresholds(config, labels)
        self._min_size = config.min_size
        self._zones = [
            (zone.mode == "include", np.array(zone.polygon), _ids(labels, zone.classes, f"zone {zone.name!r}"))
            for zone in zones
            if zone.mode in {"include", "exclude"}
        ]

    def __call__(self, found: Detections, placement: Placement, most: int) -> Detections:
        """Those with an area, of at least the least size, in the right zones; at most ``most``."""
        sides = found.xyxy[:, 2:] - found.xyxy[:, :2]
        least = placement.size[:2] * np.float32(self._min_size)
        return self.zoned(_only(found, np.all((sides > 0) & (sides >= least), axis=1)), placement, most)

    def zoned(self, found: Detections, placement: Placement, most: int) -> Detections:
        """Those in the right zones; at most ``most``."""
        if self._zones:
            centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / (2 * placement.size[:2])
            found = _only(found, self._in_zones(centres, found.class_id))
        if len(found) <= most:
            return found
        return Detections(found.xyxy[:most], found.confidence[:most], found.class_id[:most])

    def _in_zones(self, centres: FloatArray, classes: IntArray) -> npt.NDArray[np.bool_]:
        wanted = np.zeros(len(classes), bool)
        bound = np.zeros(len(classes), bool)
        excluded = np.zeros(len(classes), bool)
        for include, polygon, ids in self._zones:
            concerns = np.isin(classes, ids) if ids else np.ones(len(classes), bool)
            inside = contains(polygon, centres) & concerns
            if include:
                wanted |= inside
                bound |= concerns
            else:
                excluded |= inside
        return (wanted | ~bound) & ~excluded


def _only(found: Detections, keep: npt.NDArray[np.bool_]) -> Detections:
    return Detections(found.xyxy[keep], found.confidence[keep], found.class_id[keep])


def thresholds(config: ModelConfig, labels: Labels) -> FloatArray:
    """Score threshold by class number; the last entry stands for every number beyond.

    Raises:
        ConfigError: a class is named that the labels do not have.
    """
    named = _ids(labels, config.classes, "model.classes")
    special = {
        number: share
        for name, share in config.class_thresholds.items()
        for number in _ids(labels, [name], "model.class_thresholds")
    }
    highest = max([*labels.names, *special, 0]) + 1
    limits = np.full(highest + 1, _NEVER if config.classes else config.score_threshold, np.float32)
    limits[named] = config.score_threshold
    for number, share in special.items():
        if not config.classes or number in named:
            limits[number] = share
    return limits


def contains(polygon: npt.NDArray[np.float64], points: FloatArray) -> npt.NDArray[np.bool_]:
    """Which points lie inside a polygon, by the even-odd rule.

    Args:
        polygon: float (corners, 2).
        points: float (n, 2).
    """
    inside = np.zeros(len(points), bool)
    x, y = points[:, 0], points[:, 1]
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (ay > y) != (by > y)
        if ay != by:
            inside ^= crosses & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return inside


def _known(labels: Labels, name: str) -> str:
    names = list(labels.names.values())
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"the labels have {', '.join(names[:8])}..." if names else "there are no labels: give model.labels"


def _ids(labels: Labels, names: list[str], where: str) -> list[int]:
    ids = []
    for name in names:
        numbers = labels.ids(name)
        if not numbers:
            raise ConfigError(f"{where}: no class is named {name!r}; {_known(labels, name)}")
        ids += numbers
    return ids
