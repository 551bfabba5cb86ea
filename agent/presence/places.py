"""Which zones an object lies in, by the centre of its box. Plain Python: numpy costs more for a handful of boxes."""

from __future__ import annotations

from collections.abc import Sequence

from agent.config import ZoneConfig

Corners = Sequence[tuple[float, float]]


class Places:
    """The zones that are counted.

    Args:
        zones: all zones of the settings.
        wanted: names of those to count; empty: all of mode ``include`` and ``count``.
    """

    def __init__(self, zones: list[ZoneConfig], wanted: list[str]) -> None:
        counted = [zone for zone in zones if zone.mode in {"include", "count"} and (not wanted or zone.name in wanted)]
        self.names = tuple(zone.name for zone in counted)
        self._zones = [(zone.name, list(zone.polygon), frozenset(zone.classes)) for zone in counted]

    def of(self, label: str, x: float, y: float) -> tuple[str, ...]:
        """Names of the zones that an object of this class lies in, its centre relative to the frame."""
        return tuple(
            name
            for name, polygon, classes in self._zones
            if (not classes or label in classes) and contains(polygon, x, y)
        )


def contains(polygon: Corners, x: float, y: float) -> bool:
    """Whether a point lies in a polygon, by the even-odd rule, as the filters of ``postprocess`` have it.

    >>> contains([(0, 0), (1, 0), (1, 1)], 0.9, 0.2)
    True
    """
    inside = False
    bx, by = polygon[-1]
    for ax, ay in polygon:
        if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            inside = not inside
        bx, by = ax, ay
    return inside
