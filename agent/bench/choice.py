"""Which row of a sweep is the best, and what of it is written down: pure, fed with rows.

What counts is what ran, not what was asked for: the agent takes one thread where more of them would lose a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.bench.result import Result, Score
from agent.bench.sweep import Row

NEAR = 0.02
"""Rows that are no further behind the fastest are as fast: two processes that do the same may differ by as much (twice
the standard deviation of such a difference, sqrt(2) of the 0.7 % that ``edge-tools compare`` assumes)."""


def best(rows: Sequence[Row], *, p99_s: float | None = None, celsius: float | None = None) -> Row | None:
    """The fastest valid row within the limits; of those within :data:`NEAR` of it, the one with the fewest threads.

    Of rows that are the same setting in effect, the first counts. None: no row is left.

    Args:
        rows: what was measured.
        p99_s: longest p99 of a query.
        celsius: highest temperature of any window's end; a row that does not know its own is out.
    """
    fitting: dict[tuple[str, ...], tuple[Row, Result, Score]] = {}
    for row in rows:
        result = row.result
        if result is not None and result.score is not None and _fits(result, result.score, p99_s, celsius):
            fitting.setdefault(_effect(result), (row, result, result.score))
    if not fitting:
        return None
    fastest = max(score.samples_per_s for _, _, score in fitting.values())
    near = [each for each in fitting.values() if each[2].samples_per_s > (1.0 - NEAR) * fastest]
    return min(near, key=lambda each: (each[1].environment.runtime.num_threads, -each[2].samples_per_s))[0]


def to_write(row: Row) -> dict[str, Any]:
    """The settings of a row for the configuration, by dotted name, with the threads that really ran.

    Which model runs is no matter of speed alone: it is left to the person.
    """
    changes = {key: value for key, value in row.settings.items() if key.startswith("runtime.")}
    if row.result is not None and "runtime.num_threads" in changes:
        changes["runtime.num_threads"] = row.result.environment.runtime.num_threads
    return changes


def _fits(result: Result, score: Score, p99_s: float | None, celsius: float | None) -> bool:
    if not result.valid or (p99_s is not None and score.p99_s > p99_s):
        return False
    degrees = [window.soc_celsius for window in result.windows]
    return celsius is None or all(each is not None and each <= celsius for each in degrees)


def _effect(result: Result) -> tuple[str, ...]:
    ran, model = result.environment.runtime, result.environment.model
    return ran.backend, ran.version, str(ran.num_threads), ran.delegate, model.sha256
