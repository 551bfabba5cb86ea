"""What normal looks like: blocks of frames, learned once and then frozen. Pure.

A :class:`Reference` holds one :class:`Condition` for each kind of light that was seen (day and night), and of each the
features of its blocks in order of time. No picture is in it: the finest is a mean picture of 8 x 6 cells.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent.drift.betting import bets, p_values
from agent.drift.dependence import correlation_times
from agent.drift.features import FEATURES, GRAIN, LUMA, Observation, Reals, Schema, statistics
from agent.records import FloatArray

LEAST_INDEPENDENT = 30.0
"""Independent blocks of a condition below which it judges nothing: the rarest would be one in thirty."""

_LEAST_USE = 10.0
"""The same of a single feature: below, no bet is made on it."""

_MARGIN = 1.0
"""Of a feature's spread: what lies no farther than this beyond a block of the reference lies no farther out than it.
Frames remember for long, so that a reference is narrower than what is to come; drift that matters moves farther."""

_LEAST_SPREAD = 0.5
"""Of a feature's grain: what CUSUM takes a step for where the reference is (nearly) constant."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a reference has seen.

    Attributes:
        frames: frames learned from.
        blocks: blocks by condition, darkest first.
        independent: what these are worth as independent ones.
        luma: median luma of each condition.
    """

    frames: int
    blocks: tuple[int, ...]
    independent: tuple[float, ...]
    luma: tuple[float, ...]

    @property
    def enough(self) -> tuple[bool, ...]:
        """Which conditions may be judged by."""
        return tuple(each >= LEAST_INDEPENDENT for each in self.independent)


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One kind of light.

    Attributes:
        blocks: float32 (n, 26), features of blocks in order of time; NaN where not looked at.
        at: int32 (n,), ascending: the blocks' places in the whole reference.
        template: float32 (p,), the mean profile.
        counts: (26,) blocks in which each feature was seen.
        times: (26,) correlation times in blocks.
        used: (26,) features that bets are made on.
        middle: (26,) medians.
        spread: (26,) 1.4826 times the median absolute deviation, at least half a grain.
        margin: (26,) difference that is none: a grain, or a spread where that is more.
    """

    blocks: FloatArray
    at: npt.NDArray[np.int32]
    template: FloatArray
    counts: Reals = field(init=False, repr=False)
    times: Reals = field(init=False, repr=False)
    used: npt.NDArray[np.bool_] = field(init=False, repr=False)
    middle: Reals = field(init=False, repr=False)
    spread: Reals = field(init=False, repr=False)
    margin: Reals = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.blocks.shape != (len(self.at), len(FEATURES)) or not len(self.at):
            raise ValueError(
                f"blocks are {self.blocks.shape}; ({len(self.at)}, {len(FEATURES)}) and not none is wanted"
            )
        if (np.diff(self.at) <= 0).any() or self.at[0] < 0:
            raise ValueError("the blocks' places do not ascend")
        counts = np.isfinite(self.blocks).sum(axis=0).astype(np.float64)
        times = correlation_times(self.blocks)
        used = (counts >= 0.5 * len(self.at)) & ((counts + 1) / times >= _LEAST_USE)
        middle = _medians(self.blocks)
        spread = np.maximum(1.4826 * _medians(np.abs(self.blocks - middle)), _LEAST_SPREAD * GRAIN)
        for name, value in (("counts", counts), ("times", times), ("used", used), ("middle", middle)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "spread", spread)
        object.__setattr__(self, "margin", np.maximum(GRAIN, _MARGIN * spread))

    @property
    def floors(self) -> Reals:
        """The least p-value of each feature and side, (52,)."""
        least = np.minimum(1.0, self.times / (self.counts + 1.0))
        return np.concatenate([least, least])

    @property
    def independent(self) -> float:
        """What the blocks are worth as independent ones, by the middle one of the features that were seen."""
        seen = self.counts >= 0.5 * len(self.at)
        return float(np.median(self.counts[seen] / self.times[seen])) if seen.any() else 0.0

    def factors(self, seen: Reals) -> Reals:
        """The bets on one block, (52,): that each feature rose, then that it fell; NaN where none is made.

        Args:
            seen: float64 (26,), the block's features.
        """
        with np.errstate(invalid="ignore"):
            above = (self.blocks >= seen - self.margin).sum(axis=0)
            below = (self.blocks <= seen + self.margin).sum(axis=0)
        return self._factors(above, below, self.counts, np.isfinite(seen))

    def own_factors(self) -> Reals:
        """The bets on each of its own blocks as if it had never seen that one nor those it remembers, (n, 52)."""
        found = [self._left_out(column) for column in range(len(FEATURES))]
        above, below, counts = (np.stack(each, axis=1) for each in zip(*found, strict=True))
        return self._factors(above, below, counts, np.isfinite(self.blocks))

    def z(self, seen: Reals) -> Reals:
        """How far beyond a grain features lie, in units of their spread, (..., 26).

        At most 3, because one wild block is no drift; NaN where no bet is made either.
        """
        moved = seen - self.middle
        beyond = np.sign(moved) * np.maximum(np.abs(moved) - GRAIN, 0.0)
        return np.asarray(np.where(self.used, np.clip(beyond / self.spread, -3.0, 3.0), np.nan))

    def _factors(self, above: Reals, below: Reals, counts: Reals, seen: npt.NDArray[np.bool_]) -> Reals:
        made = bets(p_values(above, below, counts, self.times), self.floors)
        usable = seen & self.used
        return np.asarray(np.where(np.concatenate([usable, usable], axis=-1), made, np.nan))

    def _left_out(self, column: int) -> tuple[Reals, Reals, Reals]:
        """Blocks as high, blocks as low and all blocks, but for those within the correlation time, (n,) each."""
        values, margin, long = self.blocks[:, column].astype(np.float64), self.margin[column], self.times[column]
        there = np.isfinite(values)
        ordered = np.sort(values[there])
        counts = np.full(len(values), float(len(ordered)))
        above = len(ordered) - np.searchsorted(ordered, values - margin, side="left").astype(np.float64)
        below = np.searchsorted(ordered, values + margin, side="right").astype(np.float64)
        steps = range(int(np.ceil(long))) if self.used[column] else range(0)
        for step in steps:
            first, second = slice(0, len(values) - step), slice(step, len(values))
            near = self.at[second] - self.at[first] < long
            for here, other in ((first, second), (second, first))[: 2 if step else 1]:
                counts[here] -= near & there[other]
                with np.errstate(invalid="ignore"):
                    above[here] -= near & (values[other] >= values[here] - margin)
                    below[here] -= near & (values[other] <= values[here] + margin)
        return above, below, counts


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What blocks are compared with.

    Attributes:
        model: what the answers come from, the sha256 of its file for one.
        schema: its classes and groups.
        width: of the frames, pixels.
        height: of the frames, pixels.
        block_frames: frames of one block.
        frames: frames that were learned from.
        edges: ascending median lumas that part one condition from the next, one fewer than conditions.
        conditions: darkest first.
    """

    model: str
    schema: Schema
    width: int
    height: int
    block_frames: int
    frames: int
    edges: tuple[float, ...]
    conditions: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.conditions) - 1 or list(self.edges) != sorted(self.edges):
            raise ValueError(f"{len(self.conditions)} conditions cannot be parted at {self.edges}")
        if min(self.width, self.height, self.block_frames, self.frames) < 1:
            raise ValueError("a reference without frames")
        if any(each.template.shape != (self.schema.profile_size,) for each in self.conditions):
            raise ValueError("a condition's mean profile is of another model")

    def condition_of(self, block: Observation) -> int:
        """Which condition's light is nearest to this block's."""
        luma = float(block.values[LUMA])
        return int(np.searchsorted(self.edges, luma, side="right")) if np.isfinite(luma) else 0

    def features(self, block: Observation, condition: int) -> Reals:
        """The block's features beside that condition, float64 (26,)."""
        return statistics(block.values, block.profile, self.conditions[condition].template, self.schema)

    def series(self) -> tuple[Reals, Reals]:
        """Its own blocks in order of time: bets (n, 52) and deviations (n, 26)."""
        order = np.argsort(np.concatenate([each.at for each in self.conditions]), kind="stable")
        factors = np.concatenate([each.own_factors() for each in self.conditions])
        z = np.concatenate([each.z(each.blocks) for each in self.conditions])
        return factors[order], z[order]

    @property
    def coverage(self) -> Coverage:
        """What it has seen."""
        return Coverage(
            self.frames,
            tuple(len(each.at) for each in self.conditions),
            tuple(round(each.independent, 1) for each in self.conditions),
            tuple(round(float(each.middle[LUMA]), 1) for each in self.conditions),
        )


def _medians(rows: Reals) -> Reals:
    """Column medians over what is there; 0 for a column that is empty."""
    ordered = np.sort(rows.astype(np.float64), axis=0)  # NaN comes last
    counts = np.isfinite(ordered).sum(axis=0)
    low, high = np.maximum(counts - 1, 0) // 2, counts // 2
    high = np.minimum(high, np.maximum(counts - 1, 0))
    pair = [np.take_along_axis(ordered, each[None], axis=0)[0] for each in (low, high)]
    return np.asarray(np.where(counts > 0, 0.5 * (pair[0] + pair[1]), 0.0))
