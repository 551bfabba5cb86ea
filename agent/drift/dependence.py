"""How long a series remembers: frames resemble the ones before, and only what is forgotten is new evidence. Pure."""

from __future__ import annotations

import numpy as np

from agent.drift.features import Reals

_WINDOW = 5.0
"""The sum of correlations ends at so many times its own value (Sokal, 1997, "Monte Carlo methods in statistical
mechanics", section 3): beyond it there is noise only."""


def correlation_times(series: Reals) -> Reals:
    """Integrated autocorrelation time of each column, in rows: 1 + 2 * the sum of its correlations.

    n rows of a column are worth n / time independent ones. A constant column has a time of 1, and so has one in which
    nothing was seen; rows that are missing are passed over.

    Args:
        series: (n, k), in order of time; NaN where missing.

    Returns:
        float64 (k,), from 1 to n.
    """
    count = len(series)
    if count < 4:
        return np.ones(series.shape[1])
    rho = _correlations(series)
    sums = 2.0 * np.cumsum(rho, axis=0) - 1.0
    lags = np.arange(len(rho))[:, None]
    ends = lags >= _WINDOW * sums
    last = np.where(ends.any(axis=0), ends.argmax(axis=0), len(rho) - 1)
    return np.asarray(np.clip(np.take_along_axis(sums, last[None], axis=0)[0], 1.0, count))


def _correlations(series: Reals) -> Reals:
    """Autocorrelation at lags 0 to n / 2, (lags, k); 0 beyond lag 0 for a column that does not move."""
    there = np.isfinite(series)
    known = np.where(there, series, 0.0).astype(np.float64)
    means = known.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    centred = np.where(there, series - means, 0.0)
    scale = np.abs(centred).max(axis=0)
    moves = scale > 1e-7 * np.maximum(np.abs(means), 1e-3)  # less is what float32 rounds away
    centred = np.where(moves, centred / np.where(moves, scale, 1.0), 0.0)
    lags = len(series) // 2 + 1
    covered, seen = (_products(each, lags) for each in (centred, there.astype(np.float64)))
    variance = np.where(moves, covered[0], 1.0)
    # Missing rows leave fewer pairs; without them this is the usual, biased estimate, which is never noisier.
    share = np.maximum(seen, 0.5) / np.maximum(seen[0], 1.0)
    full = (1.0 - np.arange(lags) / len(series))[:, None]
    rho = covered / variance * np.minimum(full / share, 4.0)
    rho[0] = 1.0
    return np.asarray(rho)


def _products(columns: Reals, lags: int) -> Reals:
    size = 1 << (2 * len(columns) - 1).bit_length()
    spectrum = np.fft.rfft(columns, size, axis=0)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:lags])
