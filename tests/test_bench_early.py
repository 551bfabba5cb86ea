"""MLPerf's early-stopping estimate: LoadGen's own published figures, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench.early import discards, estimate


@pytest.mark.parametrize(
    ("queries", "percentile", "left_out"),
    [(2048, 0.9, 172), (1_179_125, 0.99, 11_539), (2_091_550, 0.99, 20_579)],
)
def test_as_loadgen_prints_it(queries: int, percentile: float, left_out: int) -> None:
    """Lines "Would discard N highest latency queries" of mlperf_log_summary.txt in mlcommons' result repositories."""
    assert discards(queries, percentile) == left_out


@pytest.mark.parametrize(("queries", "percentile"), [(64, 0.9), (662, 0.99)])
def test_the_least_number_of_queries_is_loadgens(queries: int, percentile: float) -> None:
    assert discards(queries, percentile) == 0
    assert discards(queries - 1, percentile) is None
    assert estimate(np.ones(queries - 1), percentile) is None


@given(st.integers(64, 4000), st.sampled_from([0.5, 0.9]))
def test_it_is_never_below_the_plain_percentile_and_nears_it(count: int, percentile: float) -> None:
    values = np.arange(1, count + 1) / count
    found = estimate(values, percentile)
    assert found is not None
    assert np.percentile(values, percentile * 100, method="inverted_cdf") <= found <= values.max()
    left_out = discards(count, percentile)
    assert left_out is not None
    assert left_out <= (discards(count + 1, percentile) or 0) <= left_out + 1, "one more query never changes it by more"


def test_the_order_of_queries_does_not_matter() -> None:
    values = np.random.default_rng(1).gamma(4, 1, 1024)
    assert estimate(values, 0.9) == estimate(np.sort(values)[::-1], 0.9)
