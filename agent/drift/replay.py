"""What the reference itself says of the alarm rate: its blocks are played again, many times over. Pure.

The bets of each block, made as if its neighbours had not been learned from, are drawn in runs (moving-block bootstrap,
Kuensch, 1989, Annals of Statistics 17:1217), so that what blocks remember of each other stays. Where this stream alarms
more often than was asked for, the threshold is raised until it does not; and the limit of the warnings is found in it.

It cannot tell how often scenes come that the reference never saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.drift.betting import cusum, shiryaev_roberts
from agent.drift.features import Reals
from agent.drift.reference import Reference

SLACK = 0.75
"""What CUSUM takes off in each step, in spreads of the reference."""

_WARNINGS_FOR_AN_ALARM = 10.0
_INFLATION = 1.3
"""The limit of the warnings is so much above what the replay asks for: a bootstrap knows nothing of other scenes."""

_STREAMS = 64
_MOST_STEPS = 1500
_ALARMS = 8.0
"""The replay is so many times as long as one false alarm is to take."""
_LEAST_RUN = 12
_RUN_TIMES = 4.0
_RAISED = 4.0
_MOST_RAISES = 12
_LOWEST_LIMIT = 3.0
_LIMIT_STEP = 1.15
_MOST_LIMIT = 1000.0
_SEED = 20210203


@dataclass(frozen=True, slots=True)
class Plan:
    """How a detector judges, found before it begins.

    Attributes:
        false_alarm_per: frames to one false alarm, as asked for.
        threshold: what the e-detector has to reach; at least ``false_alarm_per`` in blocks.
        warning_limit: what CUSUM has to reach.
        replayed_frames: length of the replay.
        replayed_alarms: alarms in it.
        holds: the replay kept the rate.
    """

    false_alarm_per: int
    threshold: float
    warning_limit: float
    replayed_frames: int
    replayed_alarms: int
    holds: bool


def plan(reference: Reference, false_alarm_per: int) -> Plan:
    """Find the threshold of alarms and the limit of warnings by replay; takes a second or so.

    Args:
        reference: what was learned.
        false_alarm_per: frames to one false alarm.

    Raises:
        ValueError: fewer frames than one block has.
    """
    per = false_alarm_per / reference.block_frames
    if not 1.0 <= per < 1e12:
        raise ValueError(
            f"one false alarm in {false_alarm_per} frames: at least one block of {reference.block_frames} is needed"
        )
    factors, z = reference.series()
    run = _run_length(reference)
    drawn = _drawn(len(factors), run, per)
    threshold = per
    alarms = _alarms(factors, drawn, threshold)
    for _ in range(_MOST_RAISES):
        if alarms <= drawn.size / per:
            break
        threshold *= _RAISED
        alarms = _alarms(factors, drawn, threshold)
    warnings = _drawn(len(z), run, max(1.0, per / _WARNINGS_FOR_AN_ALARM))
    limit = _limit(z, warnings, max(1.0, min(per / _WARNINGS_FOR_AN_ALARM, warnings.size / _ALARMS)))
    frames = drawn.size * reference.block_frames
    return Plan(false_alarm_per, threshold, limit, frames, alarms, alarms <= drawn.size / per)


def _run_length(reference: Reference) -> int:
    times = np.concatenate([each.times[each.used] for each in reference.conditions] or [np.ones(1)])
    return max(_LEAST_RUN, int(np.ceil(_RUN_TIMES * float(np.median(times))))) if len(times) else _LEAST_RUN


def _drawn(count: int, run: int, per: float) -> np.ndarray[tuple[int, int], np.dtype[np.intp]]:
    """Which block comes when, (steps, streams): runs that begin anywhere, beyond the last block comes the first."""
    steps = int(min(max(np.ceil(_ALARMS * per / _STREAMS), 2 * run), _MOST_STEPS))
    rng = np.random.default_rng(_SEED)
    runs = -(-steps // run)
    starts = np.repeat(rng.integers(0, count, (runs, _STREAMS)), run, axis=0)[:steps]
    return np.asarray((starts + (np.arange(steps) % run)[:, None]) % count)


def _alarms(factors: Reals, drawn: np.ndarray[tuple[int, int], np.dtype[np.intp]], threshold: float) -> int:
    used = np.isfinite(factors).any(axis=0)
    bets = factors[:, used]
    if not bets.shape[1]:
        return 0
    most = cap(threshold, bets.shape[1])
    level, alarms = np.zeros((drawn.shape[1], bets.shape[1])), 0
    for blocks in drawn:
        level = np.minimum(shiryaev_roberts(level, bets[blocks]), most)
        over = level.mean(axis=1) >= threshold
        alarms += int(over.sum())
        level[over] = 0.0
    return alarms


def cap(threshold: float, bets: int) -> float:
    """The most one bet may reach: alone it makes the mean four thresholds; more would keep an alarm from ending."""
    return 4.0 * threshold * bets


def _limit(z: Reals, drawn: np.ndarray[tuple[int, int], np.dtype[np.intp]], per: float) -> float:
    used = np.isfinite(z).any(axis=0)
    limit = _LOWEST_LIMIT
    while limit < _MOST_LIMIT and _warnings(z[:, used], drawn, limit) > drawn.size / per:
        limit *= _LIMIT_STEP
    return limit * _INFLATION


def _warnings(z: Reals, drawn: np.ndarray[tuple[int, int], np.dtype[np.intp]], limit: float) -> int:
    if not z.shape[1]:
        return 0
    level, warnings = np.zeros((drawn.shape[1], 2 * z.shape[1])), 0
    for blocks in drawn:
        level = cusum(level, z[blocks], SLACK)
        over = level.max(axis=1) >= limit
        warnings += int(over.sum())
        level[over] = 0.0
    return warnings
