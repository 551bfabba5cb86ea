"""From frame after frame to intervals and a verdict. Pure; the same frames give the same figures.

Neighbouring frames are alike, so whole blocks of them are drawn (circular block bootstrap), as long as the frames' own
correlation asks for: see :mod:`agent.resampling`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.parity.match import FrameDiff
from agent.parity.record import Figures, Interval, Verdict
from agent.resampling import Doubles, block_length, block_sums, drawn_sums

DRAWS = 2000
SEED = 20261121
LEAST_BLOCKS = 8
"""A block is at most an eighth of the frames: fewer blocks than that say nothing of their spread."""

LEAST_FRAMES = 16
"""Before that nothing is judged: the interval of a single frame has no width, and would be sure of itself."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two sides may differ and still be the same.

    Attributes:
        lone_share: of all boxes, those that only one side sees.
        iou: least mean IoU of the pairs.
        score: greatest mean absolute score difference.
    """

    lone_share: float = 0.05
    iou: float = 0.9
    score: float = 0.03


DEFAULT = Tolerance()


def figures(frames: Sequence[FrameDiff], draws: int = DRAWS) -> Figures:
    """Everything about a sample of frames, in their order; ``draws``: of the bootstrap."""
    table = _table(frames)
    pairs, missed, extra = (int(table[:, column].sum()) for column in (0, 1, 2))
    boxes = pairs + missed + extra
    series = (table[:, 1] + table[:, 2], table[:, 3], table[:, 5])
    block = max(block_length(each, LEAST_BLOCKS) for each in series)
    sums = _resampled(table, block, draws)
    seen, lone = sums[:, :3].sum(axis=1), sums[:, 1] + sums[:, 2]
    return Figures(
        frames=len(frames),
        boxes=boxes,
        pairs=pairs,
        missed=missed,
        extra=extra,
        lone_share=_lone_share(lone, seen, (missed + extra, boxes), len(frames) / block) if boxes else None,
        mean_iou=_ratio(sums[:, 3], sums[:, 0], (float(table[:, 3].sum()), pairs)),
        score_bias=_ratio(sums[:, 4], sums[:, 0], (float(table[:, 4].sum()), pairs)),
        score_error=_ratio(sums[:, 5], sums[:, 0], (float(table[:, 5].sum()), pairs)),
        block_frames=block,
    )


def _table(frames: Sequence[FrameDiff]) -> Doubles:
    """Of each frame: pairs, missed, extra, sum of IoUs, of score differences, and of their absolute values."""
    rows = [
        (
            len(frame.ious),
            sum(frame.missed.values()),
            sum(frame.extra.values()),
            math.fsum(frame.ious),
            math.fsum(frame.score_differences),
            math.fsum(map(abs, frame.score_differences)),
        )
        for frame in frames
    ]
    return np.array(rows, np.float64).reshape(-1, 6)


def _resampled(table: Doubles, block: int, draws: int) -> Doubles:
    """Column sums of each draw, (draws, 6)."""
    count = len(table)
    if not count:
        return np.zeros((draws, 6))
    return drawn_sums(block_sums(table, block), max(1, count // block), draws, SEED)


def _ratio(top: Doubles, bottom: Doubles, whole: tuple[float, int]) -> Interval | None:
    if not whole[1]:
        return None
    drawn = top[bottom > 0] / bottom[bottom > 0]
    value = whole[0] / whole[1]
    low, high = (float(edge) for edge in np.quantile(drawn, (0.025, 0.975))) if len(drawn) else (value, value)
    return Interval(value, min(low, value), max(high, value))


def _lone_share(lone: Doubles, seen: Doubles, whole: tuple[int, int], blocks: float) -> Interval | None:
    found = _ratio(lone, seen, (float(whole[0]), whole[1]))
    if found is None:
        return None
    # Where nothing differs the bootstrap says [0, 0] after three frames as after three thousand. What has not been
    # seen in n independent looks may still be as common as 1 - 0.05^(1/n) (the "rule of three").
    unseen = 1.0 - 0.05 ** (1.0 / max(blocks, 1.0))
    return Interval(found.value, found.low, max(found.high, unseen)) if not whole[0] else found


def _needed(interval: Interval, limit: float, sign: float, frames: int) -> int:
    """About how many frames would tell, if the figure stayed as it is: an interval narrows as their root."""
    room = sign * (limit - interval.value)
    reach = (interval.high - interval.value) if sign * room > 0 else (interval.value - interval.low)
    if not room:
        return 0
    # Where nothing was seen the end follows from the number of frames itself (the rule of three), not from its root.
    return math.ceil(frames * (reach / abs(room)) ** (2 if interval.value else 1) / 10) * 10


def judge(found: Figures, tolerance: Tolerance) -> tuple[Verdict, str]:
    """The verdict, and its reason in a sentence.

    ``differs``: one interval lies wholly beyond its tolerance; ``same``: all lie within; else more frames are needed.
    """
    if not found.boxes or found.lone_share is None:
        return "cannot tell", f"neither side sees anything in {found.frames} frames; take frames with objects"
    if found.frames < LEAST_FRAMES:
        return "cannot tell", f"{found.frames} frames are too few to judge; give {LEAST_FRAMES} at the very least"
    limits = (
        ("boxes that one side alone sees", found.lone_share, tolerance.lone_share, 1.0),
        ("overlap of pairs", found.mean_iou, tolerance.iou, -1.0),
        ("score difference", found.score_error, tolerance.score, 1.0),
    )
    doubt, about = "", 0
    for name, interval, limit, sign in limits:
        if interval is None:
            continue
        best, worst = sorted((sign * interval.low, sign * interval.high))
        told = f"{name}: {interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}], tolerance {limit:g}"
        if best > sign * limit:
            return "differs", told
        if worst > sign * limit:
            doubt, about = doubt or told, max(about, _needed(interval, limit, sign, found.frames))
    if doubt:
        return "cannot tell", f"{doubt}; give more frames" + (f", about {about}" if about else "")
    return "same", f"all within tolerance over {found.frames} frames and {found.boxes} boxes"
