"""What a figure would have been on other frames like these: draws of whole blocks. Pure; the same seed, the same draws.

Neighbouring frames resemble each other and are no independent evidence: drawn one by one they would give intervals that
are far too narrow. So blocks of neighbours are drawn: every block that there is, the end joined to the begin
(:func:`block_sums`: Politis and Romano 1992), or blocks that were laid side by side beforehand (Kuensch 1989).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

NORMAL = 1.959964
"""The 97.5 % point of the normal distribution."""

_MOST_CORRELATED = 0.99


def block_sums(values: npt.NDArray[Any], block: int) -> Doubles:
    """The sum of each block of neighbours, the end joined to the begin.

    Args:
        values: (n,) or (n, k), in the order that they were taken.
        block: neighbours in one, 1 to n.

    Returns:
        float64, of the block that begins at each place, shape as ``values``.

    >>> block_sums(np.array([1, 2, 4]), 2)
    array([3., 6., 5.])
    """
    ring = np.concatenate([values, values[: block - 1]])
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(ring, axis=0, dtype=np.float64)])
    return np.asarray(total[block:] - total[:-block])


def drawn_sums(sums: Doubles, blocks: int, draws: int, seed: int | np.random.Generator) -> Doubles:
    """The sums of ``blocks`` blocks drawn with replacement, ``draws`` times.

    Args:
        sums: (n,) or (n, k), of the blocks that are drawn from; n at least 1.
        blocks: how many make up a draw.
        draws: how many draws.
        seed: the same one gives the same draws; or a generator, which goes on.

    Returns:
        (draws,) or (draws, k).
    """
    chosen = np.random.default_rng(seed).integers(0, len(sums), (draws, blocks))
    # In small steps: numpy holds the interpreter's lock while it gathers, and somebody may share it with the frames.
    return np.array([sums[one].sum(axis=0) for one in chosen])


def block_length(series: Doubles, least_blocks: int) -> int:
    """How many neighbours to draw together, as their own correlation asks for.

    (6 r^2 / (1 - r^2)^2)^(1/3) * n^(1/3), the rule for a first-order autoregression (Carlstein 1986), with r the
    correlation of neighbours.

    Args:
        series: (n,), in the order that they were taken.
        least_blocks: a block is at most this part of the whole: fewer blocks say nothing of their spread.

    >>> block_length(np.array([0.0, 1.0] * 50), 8), block_length(np.repeat([0.0, 1.0], 50), 8)
    (1, 12)
    """
    count, root = len(series), math.pow(len(series), 1 / 3)
    spread = float(series.var()) if count else 0.0
    if count < 2 * least_blocks or spread == 0.0:
        return max(1, min(count // least_blocks, math.ceil(root)))
    centred = series - series.mean()
    r = min(max(float((centred[1:] * centred[:-1]).sum() / (count * spread)), 0.0), _MOST_CORRELATED)
    asked = math.pow(6 * r**2 / (1 - r**2) ** 2, 1 / 3) * root
    return max(1, min(count // least_blocks, math.ceil(asked)))


def widening(blocks: int) -> float:
    """What a percentile interval over so many blocks is stretched by, 2 at least: few show less spread than there is.

    What Student's distribution is wider than the normal one, and sqrt(n / (n - 1)) (Efron and Tibshirani, 1993,
    chapters 12, 13).
    """
    return student(blocks - 1) / NORMAL * math.sqrt(blocks / (blocks - 1))


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t; within 1 % from 4 degrees of freedom on (Abramowitz and Stegun, 26.7.5)."""
    z = NORMAL
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / float(freedom**power) for power, term in enumerate(terms, start=1))
