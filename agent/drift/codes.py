"""The features of quantization: how a model's activations use their codes. Pure.

In: how often each of 256 codes was used, by group of tensors that share a scale, lowest code first, as a second
interpreter counts them every so many frames. Both ends are looked at: light beyond the calibration overflows a range,
darkness shrinks what is used of it; and where activations are bounded (ReLU6) neither shows, only the histogram does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.drift.features import CODE_BINS, Schema
from agent.records import FloatArray

CODES = 256


@dataclass(frozen=True, slots=True, eq=False)
class CodeUse:
    """How groups use their codes; float32 (groups,) each, NaN for a group that held nothing.

    Attributes:
        low: share of values in the lowest code.
        high: share of values in the highest one.
        utilisation: codes from the lowest used to the highest used one, as a share of 256.
    """

    low: FloatArray
    high: FloatArray
    utilisation: FloatArray


def code_use(counts: npt.NDArray[Any]) -> CodeUse:
    """Saturation at both ends and utilisation, group by group.

    Args:
        counts: integers (groups, 256), lowest code first.

    Raises:
        ValueError: they have another shape, or a count is negative.
    """
    if counts.ndim != 2 or counts.shape[1] != CODES or (counts < 0).any():
        raise ValueError(f"counts of codes are {counts.shape}; groups of {CODES} that are not negative are wanted")
    totals = counts.sum(axis=1, dtype=np.float64)
    used = counts > 0
    first, last = used.argmax(axis=1), CODES - 1 - used[:, ::-1].argmax(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = counts[:, 0] / totals, counts[:, -1] / totals
    there = totals > 0
    span = (last - first + 1) / CODES
    low, high, span = (np.where(there, each, np.nan).astype(np.float32) for each in (low, high, span))
    return CodeUse(low, high, span)


def code_values(counts: npt.NDArray[Any]) -> FloatArray:
    """Saturation below and above and utilisation, each the mean over groups, float32 (3,).

    Raises:
        ValueError: as :func:`code_use`.
    """
    use = code_use(counts)
    there = np.isfinite(use.low)
    if not there.any():
        return np.full(3, np.nan, np.float32)
    return np.array([each[there].mean() for each in (use.low, use.high, use.utilisation)], np.float32)


def code_profile(counts: npt.NDArray[Any], schema: Schema) -> FloatArray:
    """Histograms of codes, 8 bins a group, each group with the same weight, float32 (8 * groups,).

    Raises:
        ValueError: the counts are of another number of groups, or of another shape.
    """
    if counts.shape != (schema.groups, CODES):
        raise ValueError(f"counts of codes are {counts.shape}; ({schema.groups}, {CODES}) is wanted")
    bins = counts.reshape(schema.groups, CODE_BINS, CODES // CODE_BINS).sum(axis=2, dtype=np.float64)
    shares = bins / np.maximum(bins.sum(axis=1, keepdims=True), 1.0)
    return np.asarray(shares.ravel(), np.float32)
