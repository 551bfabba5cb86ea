"""What a detector says after each block. Frozen values, words for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.drift.features import Family, Feature

Standing = Literal["normal", "warning", "alarm", "seen-too-little", "other-size", "blind"]
"""``seen-too-little``: the reference cannot judge this light. ``other-size``: frames of another size than it was
learned from. ``blind``: nothing was seen that could be judged. None of these is an alarm, and none says all is well."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One feature that moved.

    Attributes:
        name: the feature.
        family: what it is read from.
        word: what happened to it.
        before: the reference's median, in the feature's unit.
        now: its mean since it moved.
        spreads: by how many spreads of the reference.
        blocks: since when, in blocks.
        e_value: how strongly its own bets speak; what an alarm needs is stated by the report.
    """

    name: str
    family: Family
    word: str
    before: float
    now: float
    spreads: float
    blocks: int
    e_value: float


@dataclass(frozen=True, slots=True)
class Report:
    """Where things stand after one block.

    Attributes:
        standing: in one word.
        sentence: the same for people, with the evidence.
        e_value: of all bets together; at ``threshold`` an alarm is raised.
        threshold: the same number for as long as the detector lives.
        blocks: blocks judged so far.
        since_blocks: blocks since what is told of began, by the strongest evidence; 0 when nothing is told of.
        condition: which light the block was compared with, 0 the darkest.
        evidence: what moved, the farthest first; at most three. Empty when normal.
    """

    standing: Standing
    sentence: str
    e_value: float
    threshold: float
    blocks: int
    since_blocks: int
    condition: int
    evidence: tuple[Evidence, ...] = ()


def worded(feature: Feature, found: Evidence) -> str:
    """One feature's evidence as a sentence.

    >>> from agent.drift.features import FEATURES, LUMA
    >>> worded(FEATURES[LUMA], Evidence("luma_median", "picture", "darker", 118.0, 41.0, -20.0, 12, 4.1e6))
    'darker: luma_median 118 -> 41; 12 blocks; e = 4.1e+06'
    """
    moved = f"{feature.shown(found.before)} -> {feature.shown(found.now)}"
    return f"{found.word}: {found.name} {moved}; {found.blocks} blocks; e = {found.e_value:.2g}"
