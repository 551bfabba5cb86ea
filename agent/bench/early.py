"""MLPerf's early-stopping estimate: a percentile that few queries may not flatter.

A run of ``n`` queries states the percentile ``p`` as the latency above which at most ``t`` queries lie, with ``t`` the
greatest number for which a system whose true share of slow queries were ``1 - p`` would show ``t`` or fewer with a
chance of at most 1 %. So the estimate is at or above the plain percentile, and comes down to it as ``n`` grows.
LoadGen: mlcommons/inference ``loadgen/early_stopping.cc`` (``odds``, confidence 0.99, tolerance 0) and ``results.cc``.
Pure. It holds for independent queries, which those of a throttling board are not: read the windows beside it.
"""

from __future__ import annotations

from math import exp, lgamma, log

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.99


def discards(count: int, percentile: float, confidence: float = CONFIDENCE) -> int | None:
    """How many of the highest of ``count`` latencies the estimate leaves out; None when there are too few for any.

    Args:
        count: queries.
        percentile: 0 to 1, as 0.9.
        confidence: 0 to 1.

    >>> discards(63, 0.9), discards(64, 0.9), discards(661, 0.99), discards(662, 0.99)
    (None, 0, None, 0)
    """
    slow = log(1.0 - percentile)
    fast = log(percentile)
    whole = lgamma(count + 1)
    chance, below = 0.0, -1
    for many in range(count + 1):
        chance += exp(whole - lgamma(many + 1) - lgamma(count - many + 1) + many * slow + (count - many) * fast)
        if chance > 1.0 - confidence:
            break
        below = many
    return below - 1 if below >= 1 else None


def estimate(latencies: npt.ArrayLike, percentile: float) -> float | None:
    """The estimate of one percentile, in the latencies' own unit; None when there are too few queries for it."""
    values = np.asarray(latencies, np.float64)
    out = discards(len(values), percentile)
    if out is None:
        return None
    place = len(values) - 1 - out
    return float(np.partition(values, place)[place])
