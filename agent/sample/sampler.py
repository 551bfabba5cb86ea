"""Which frames to keep: four policies with budgets, frames on command, and no near-duplicates. Pure, deterministic.

In: :class:`Candidate`. Out: :class:`Choice`, or None. Runs on the main thread. What it cannot tell: whether the
frame can be stored; that is the store's affair, and a frame that was chosen counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.config import SampleConfig
from agent.records import FloatArray, Pixels
from agent.sample.budget import Limits
from agent.sample.candidate import REASONS, Candidate, Choice, Reason
from agent.sample.likeness import Duplicates, tiles
from agent.sample.reasons import Audit, Coverage, Evidence, NearThreshold, Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """A frame that was kept before this start.

    Attributes:
        reason: whose budget paid.
        age_s: how long ago that was, in time that the agent ran.
        tiles: uint8 (144,), see :func:`~agent.sample.likeness.tiles`.
        features: float32 (n,).
    """

    reason: Reason
    age_s: float
    tiles: Pixels
    features: FloatArray


class Sampler:
    """Fed with every answered frame.

    Args:
        config: budgets and margins.
        scores: float32, score threshold by class number; the last entry stands for every number beyond.

    Attributes:
        duplicates_total: frames that had a reason and a budget, and look like a kept one.
        over_budget_total: frames that had a reason and no budget.
    """

    def __init__(self, config: SampleConfig, scores: FloatArray) -> None:
        thresholds = Thresholds(scores)
        self._coverage = Coverage(config.coverage_frames, config.max_age_s)
        self._evidence = Evidence(thresholds, config.low_score, config.rare_share)
        self._near = NearThreshold(thresholds, config.near_margin)
        self._audit = Audit(config.audit_every_s, config.seed)
        self._duplicates = Duplicates(config.duplicate_luma)
        self._limits: dict[Reason, Limits] = {
            "evidence": Limits(config.evidence),
            "coverage": Limits(config.coverage),
            "threshold": Limits(config.threshold),
            "audit": Limits(config.audit),
        }
        self._off = {reason for reason, limits in self._limits.items() if limits.is_none}
        self._wanted = 0
        self._now_s = float("-inf")
        self.duplicates_total = 0
        self.over_budget_total = 0

    def resume(self, kept: Iterable[Remembered], now_s: float) -> None:
        """Go on where the former start ended: what it kept is covered, and counts in the budgets.

        Args:
            kept: the oldest first.
            now_s: monotonic time of this start.
        """
        for each in sorted(kept, key=lambda one: -one.age_s):
            at_s = now_s - max(each.age_s, 0.0)
            if each.reason in self._limits:
                self._limits[each.reason].spend(at_s)
            self._duplicates.add(each.tiles)
            self._coverage.kept(each.features, at_s)
        self._now_s = max(self._now_s, now_s)

    def want(self, frames: int) -> None:
        """Keep the next frames whatever they show, on command; neither budgets nor likeness hinder it."""
        self._wanted = max(self._wanted, frames)

    def look(self, candidate: Candidate) -> Choice | None:
        """Whether to keep this frame, and why."""
        now_s = self._now_s = max(self._now_s, candidate.at_s)
        said = self._said(candidate, now_s)
        payable = [reason for reason in said if reason == "command" or self._limits[reason].has_room(now_s)]
        if not payable:
            self.over_budget_total += bool(said)
            return None
        seen = tiles(candidate.thumbnail)
        if payable[0] != "command" and self._duplicates.has(seen):
            self.duplicates_total += 1
            return None
        self._count(payable[0], now_s)
        self._duplicates.add(seen)
        self._coverage.kept(candidate.features, now_s)
        why = (payable[0], *(reason for reason in said if reason != payable[0]))
        return Choice(why, tuple(said[reason] for reason in why))

    def _said(self, candidate: Candidate, now_s: float) -> dict[Reason, str]:
        """What each policy says of it, the most telling first; one that is switched off says nothing."""
        said: dict[Reason, str] = {
            "command": "on command" if self._wanted else "",
            "evidence": self._evidence.says(candidate),
            "coverage": self._coverage.says(candidate, now_s),
            "threshold": self._near.says(candidate),
            "audit": self._audit.says(now_s),
        }
        return {reason: said[reason] for reason in REASONS if said[reason] and reason not in self._off}

    def _count(self, reason: Reason, now_s: float) -> None:
        if reason == "command":
            self._wanted -= 1
        else:
            self._limits[reason].spend(now_s)
