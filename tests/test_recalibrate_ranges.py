"""From histograms to ranges: laws, and a worked case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agent.recalibrate.ranges import Estimator, Histogram, estimate

HOW: list[Estimator] = ["min-max", "mse", "percentile"]


def histogram(counts: np.ndarray, low: float = -1.0, step: float = 0.01) -> Histogram:
    return Histogram(low + step * np.arange(len(counts)), counts.astype(np.int64), step)


def error(found: Histogram, low: float, high: float) -> float:
    """Mean squared error of real quantization to 256 codes."""
    scale = max(high - low, 1e-12) / 255
    zero = round(-low / scale)
    codes = np.clip(np.rint(found.centres / scale) + zero, 0, 255)
    return float((found.counts * ((codes - zero) * scale - found.centres) ** 2).sum() / found.total)


@given(hnp.arrays(np.int64, st.integers(2, 300), elements=st.integers(0, 1000)), st.floats(-3, 3))
def test_every_estimate_lies_within_what_was_seen_and_holds_zero(counts: np.ndarray, low: float) -> None:
    found = histogram(counts, low)
    if not found.total:
        with pytest.raises(ValueError, match="no value was seen"):
            estimate(found, "mse")
        return
    widest = estimate(found, "min-max")
    for how in HOW:
        first, last = estimate(found, how)
        assert widest[0] <= first <= 0.0 <= last <= widest[1]


@given(hnp.arrays(np.int64, 256, elements=st.integers(0, 50)))
def test_a_hundred_percent_is_everything(counts: np.ndarray) -> None:
    found = histogram(counts)
    if found.total:
        assert estimate(found, "percentile", 100.0) == estimate(found, "min-max")


def test_rare_far_values_are_clipped_only_where_that_pays() -> None:
    counts = np.zeros(2001, np.int64)
    counts[900:1101] = 10_000  # within 1 of zero
    counts[2000] = 1  # one value at 10
    found = histogram(counts, low=-10.0)
    low, high = estimate(found, "mse")
    assert high < 6.0
    assert error(found, low, high) < error(found, *estimate(found, "min-max"))


def test_rounding_and_clipping_are_weighed_as_real_quantization_does() -> None:
    random = np.random.default_rng(5)
    counts, edges = np.histogram(random.laplace(0, 1, 200_000), 2048)
    found = Histogram((edges[:-1] + edges[1:]) / 2, counts, float(edges[1] - edges[0]))
    chosen = error(found, *estimate(found, "mse"))
    low, high = estimate(found, "min-max")
    best = min(error(found, a * low, b * high) for a in np.linspace(0.2, 1, 33) for b in np.linspace(0.2, 1, 33))
    assert chosen <= 1.05 * best


def test_a_percentile_that_wrecks_box_regression_is_refused() -> None:
    with pytest.raises(ValueError, match="clips too much"):
        estimate(histogram(np.ones(10)), "percentile", 99.9)
