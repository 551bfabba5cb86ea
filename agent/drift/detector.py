"""The detector: blocks in, reports out. Pure: no clock, no thread, no file; one owner.

Each block is compared with the reference's condition of its own light. Bets on every feature and both sides grow while
it lies farther out than the reference ever did, and shrink while it does not; their mean against the plan's threshold
is the alarm. A CUSUM over the same features, which is quicker and may be wrong ten times as often, gives warnings.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agent.drift.betting import cusum, shiryaev_roberts
from agent.drift.features import FEATURES, Observation, Reals
from agent.drift.reference import LEAST_INDEPENDENT, Reference
from agent.drift.replay import SLACK, Plan, cap
from agent.drift.report import Evidence, Report, Standing, worded
from agent.drift.state import State, fresh

_ENDS_BELOW = 0.1
"""Of the threshold: an alarm ends after so long below it that it is not raised again at once."""
_CALM_BLOCKS = 10
_MOST_EVIDENCE = 3
_STRONG = 0.1
"""Of the strongest bet: what is weaker than that is not told of."""


class Detector:
    """Judges blocks.

    Args:
        reference: what they are compared with.
        planned: threshold and limit for that reference, by :func:`agent.drift.plan`.
        identity: 16 bytes that stand for the reference (:func:`agent.drift.fingerprint`).
        state: where an earlier detector stood; one of another reference is not gone on with.
    """

    def __init__(self, reference: Reference, planned: Plan, identity: bytes, state: State | None = None) -> None:
        self._reference, self._plan = reference, planned
        self.state = state if state is not None and state.reference == identity else fresh(identity)
        """Where it stands; to be kept for the next start."""
        active = np.array([each.used for each in reference.conditions]).any(axis=0)
        self._active = np.concatenate([active, active])
        self._cap = cap(planned.threshold, max(1, int(self._active.sum())))

    @property
    def e_value(self) -> float:
        """Of all bets together."""
        return float(self.state.level[self._active].mean()) if self._active.any() else 0.0

    def update(self, block: Observation) -> Report:
        """Judge one block.

        Args:
            block: of as many frames as the reference's blocks have.

        Raises:
            ValueError: it has another number of frames.
        """
        if block.frames != self._reference.block_frames:
            raise ValueError(f"a block of {block.frames} frames; {self._reference.block_frames} are wanted")
        number = self._reference.condition_of(block)
        if (block.width, block.height) != (self._reference.width, self._reference.height):
            return self._unjudged("other-size", number, self._other_size(block))
        condition = self._reference.conditions[number]
        if condition.independent < LEAST_INDEPENDENT:
            return self._unjudged(
                "seen-too-little",
                number,
                f"the reference has seen too little of this light: {len(condition.at)} blocks, worth "
                f"{condition.independent:.0f} independent ones of {LEAST_INDEPENDENT:.0f}",
            )
        seen = self._reference.features(block, number)
        factors = condition.factors(seen)
        if not np.isfinite(factors).any():
            return self._unjudged("blind", number, "nothing was seen in this block that could be judged")
        self._step(factors, condition.z(seen), seen)
        self._judge()
        return self._report(number)

    def _step(self, factors: Reals, z: Reals, seen: Reals) -> None:
        before, blocks = self.state, self.state.blocks + 1
        level = np.minimum(shiryaev_roberts(before.level, factors), self._cap)
        known = np.isfinite(factors)
        won = np.log(np.where(known, factors, 1.0))
        climb = np.clip(before.climb + won, 0.0, np.log(self._cap))
        # What is going on began after the bets had last won nothing; where nothing was seen, time stands still.
        still = climb <= 0.0
        self.state = replace(
            before,
            blocks=blocks,
            level=level,
            cusum=np.minimum(cusum(before.cusum, z, SLACK), 2.0 * self._plan.warning_limit),
            since=np.where(still, blocks, np.where(known, before.since, before.since + 1)),
            sums=np.where(still, 0.0, before.sums + np.where(known, np.concatenate([seen, seen]), 0.0)),
            climb=climb,
        )

    def _judge(self) -> None:
        state, e_value = self.state, self.e_value
        calm = state.calm + 1 if e_value < _ENDS_BELOW * self._plan.threshold else 0
        alarmed_at = state.alarmed_at
        if alarmed_at < 0 and e_value >= self._plan.threshold:
            alarmed_at = state.blocks
        elif alarmed_at >= 0 and calm >= _CALM_BLOCKS:
            alarmed_at = -1
        highest = float(state.cusum.max())
        warned_at = state.warned_at
        if warned_at < 0 and highest >= self._plan.warning_limit:
            warned_at = state.blocks
        elif warned_at >= 0 and highest < 0.5 * self._plan.warning_limit:
            warned_at = -1
        self.state = replace(state, calm=calm, alarmed_at=alarmed_at, warned_at=warned_at)

    def _report(self, number: int) -> Report:
        state = self.state
        standing: Standing = "alarm" if state.alarmed_at >= 0 else "warning" if state.warned_at >= 0 else "normal"
        if standing == "normal":
            return self._made("normal", number, "the frames are like those of the reference")
        evidence = self._evidence(number, state.level if standing == "alarm" else state.cusum)
        told = [worded(FEATURES[_place(each)], each) for each in evidence]
        sentence = "; ".join(told) or "what moved is moving back"
        return self._made(standing, number, sentence, evidence)

    def _evidence(self, number: int, strength: Reals) -> tuple[Evidence, ...]:
        """Of each feature the stronger side, where it is strong; those that moved farthest first."""
        state, condition = self.state, self._reference.conditions[number]
        strongest = float(strength[self._active].max())
        found: dict[int, Evidence] = {}
        for bet in np.flatnonzero(self._active & (strength >= _STRONG * strongest) & (state.since < state.blocks)):
            feature = int(bet) % len(FEATURES)
            blocks = int(state.blocks - state.since[bet])
            now, before = float(state.sums[bet]) / blocks, float(condition.middle[feature])
            spreads = (now - before) / float(condition.spread[feature])
            rose = int(bet) < len(FEATURES)
            if rose == (spreads > 0) and feature not in found:
                named = FEATURES[feature]
                word = named.more if rose else named.less
                found[feature] = Evidence(
                    named.name, named.family, word, before, now, spreads, blocks, float(state.level[bet])
                )
        return tuple(sorted(found.values(), key=lambda each: -abs(each.spreads))[:_MOST_EVIDENCE])

    def _unjudged(self, standing: Standing, number: int, sentence: str) -> Report:
        return self._made(standing, number, sentence)

    def _made(self, standing: Standing, number: int, sentence: str, evidence: tuple[Evidence, ...] = ()) -> Report:
        since = evidence[0].blocks if evidence else 0
        threshold = self._plan.threshold
        return Report(standing, sentence, self.e_value, threshold, self.state.blocks, since, number, evidence)

    def _other_size(self, block: Observation) -> str:
        known = f"{self._reference.width} x {self._reference.height}"
        return f"frames of {block.width} x {block.height} cannot be compared with a reference of {known}: relearn"


def _place(found: Evidence) -> int:
    return next(number for number, each in enumerate(FEATURES) if each.name == found.name)
