"""When a board is steady: pure, fed with windows.

The rule: over the last :data:`SPAN` windows the medians of latency lie within :data:`LATENCY_SPREAD` of their middle,
and the temperature rises or falls by no more than :data:`SLOPE_CELSIUS_PER_MIN` (a straight line through them). Where
the board tells no temperature, latency alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from agent.bench.result import Window

SPAN = 6
"""Windows: a minute of the usual ten seconds."""

LATENCY_SPREAD = 0.03
SLOPE_CELSIUS_PER_MIN = 0.5
"""A Pi in a closed case takes a quarter of an hour to its end temperature; its sensor steps by half a degree."""


def is_steady(windows: Sequence[Window]) -> bool:
    """The last windows look alike."""
    last = windows[-SPAN:]
    if len(last) < SPAN:
        return False
    medians = [window.p50_s for window in last]
    middle = median(medians)
    if not middle > 0.0 or max(medians) - min(medians) > LATENCY_SPREAD * middle:
        return False
    slope = slope_celsius_per_min(last)
    return slope is None or abs(slope) <= SLOPE_CELSIUS_PER_MIN


def slope_celsius_per_min(windows: Sequence[Window]) -> float | None:
    """Of a straight line through the temperatures; None when a window has none or no time passed."""
    celsius = [window.soc_celsius for window in windows if window.soc_celsius is not None]
    minutes = [(window.started_s + window.duration_s) / 60.0 for window in windows]
    if len(celsius) < len(windows) or len(celsius) < 2 or max(minutes) <= min(minutes):
        return None
    return float(np.polyfit(minutes, celsius, 1)[0])
