"""From ranks to p-values, from p-values to bets, from bets to an e-detector. Pure.

A p-value says how far out a block lies among those of the reference (conformal: by its rank). A bet turns it into a
factor whose mean is at most 1 while nothing has changed, whatever the features' distribution. The Shiryaev-Roberts
recursion R = (R + 1) * factor, averaged over all bets, is an e-detector (Shin, Ramdas and Rinaldo, arXiv 2203.03532):
while nothing has changed, its mean grows by at most 1 a block, so that it reaches A after A blocks in the mean or more.
That needs no model of how features depend on each other; it does need blocks that are new evidence, hence
:mod:`~agent.drift.dependence`.
"""

from __future__ import annotations

import numpy as np

from agent.drift.features import Reals


def p_values(above: Reals, below: Reals, counts: Reals, times: Reals) -> Reals:
    """Conformal p-values of both sides: how rarely the reference lay as high, or as low.

    The share of reference blocks is multiplied by the correlation time: neighbours within it are one piece of evidence,
    and the chance that the farthest of them lies so far out is at most so many times that of each (Bonferroni).

    Args:
        above: (..., k) reference blocks at least as high.
        below: (..., k) at least as low.
        counts: (..., k) reference blocks.
        times: (k,), in blocks, from 1.

    Returns:
        (..., 2k): that it rose, then that it fell; above 0, at most 1.
    """
    both = np.concatenate([above, below], axis=-1)
    many, long = np.concatenate([counts, counts], axis=-1), np.concatenate([times, times], axis=-1)
    return np.asarray(np.minimum(1.0, long * (1.0 + both) / (many + 1.0)))


def bets(p: Reals, floors: Reals) -> Reals:
    """The factor for each p-value: half of the stake on what is rarest, half on what is merely rare.

    The first half pays c / p with c = 1 / (1 + ln(1 / floor)), the second 0.5 / sqrt(p). Both fall with p and integrate
    to 1 over p from 0 to 1 (the first is cut off at ``floor``), so that the mean is at most 1 for any valid p-value.

    Args:
        p: (..., k).
        floors: (k,), the least p-value that can be.

    Returns:
        (..., k), above 0.
    """
    held = np.maximum(p, floors)
    return np.asarray(0.5 / (held * (1.0 - np.log(floors))) + 0.25 / np.sqrt(held))


def shiryaev_roberts(before: Reals, factors: Reals) -> Reals:
    """One step; where nothing was seen (NaN), time stands still."""
    return np.asarray(np.where(np.isfinite(factors), (before + 1.0) * factors, before))


def cusum(before: Reals, z: Reals, slack: float) -> Reals:
    """One step of Page's CUSUM for both sides.

    Args:
        before: (..., 2k).
        z: (..., k) deviations in units of the reference's spread; NaN: not seen.
        slack: what is taken off in each step.
    """
    moved = np.concatenate([z, -z], axis=-1)
    return np.asarray(np.where(np.isfinite(moved), np.maximum(0.0, before + moved - slack), before))
