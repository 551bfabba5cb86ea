"""What one rung of the repair came to: a verdict, a reason, figures. For whoever reads a report. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.recalibrate.blocks import Interval
from agent.recalibrate.operating import Refit
from agent.recalibrate.proof import Proof
from agent.records import Correction, Detections, Pixels

Name = Literal["camera", "correct", "recalibrate"]
Verdict = Literal["sound", "helps", "cannot-help", "not-tried"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure before and after, and the gain where it has an interval."""

    name: str
    before: float | None
    after: float | None
    unit: str = ""
    gain: Interval | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """What became of one class's threshold.

    Attributes:
        class_name: or its number, where it has no name.
        refit: the figures.
    """

    class_name: str
    refit: Refit


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One held-out picture with what the model finds on it before and after, and the light that it sees it in."""

    rung: Name
    pixels: Pixels
    before: Detections
    after: Detections
    light_before: Correction | None = None
    light_after: Correction | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung.

    Attributes:
        name: which.
        verdict: ``sound``: nothing is wrong there; ``helps``: proven; ``cannot-help``: tried, and not proven;
            ``not-tried``: what it needs is not there.
        reason: one sentence or two.
        details: what was done, a sentence each.
        rows: figures before and after.
        thresholds: of the classes that were found.
    """

    name: Name
    verdict: Verdict
    reason: str
    details: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    thresholds: tuple[Threshold, ...] = ()


def rows(retuned: Proof | None, proof: Proof) -> tuple[Row, ...]:
    """The table of a range patch.

    Args:
        retuned: the proof at the thresholds that are to be in force; None: the deployed ones stay.
        proof: at the deployed ones; the raw heads are of no threshold, and always from here.
    """
    shown = retuned or proof
    old, new, frames = shown.old.agreement, shown.new.agreement, shown.frames
    found = [
        Row("agreement", old.quality, new.quality, "", shown.gain),
        Row("recall", old.recall, new.recall, "", shown.recall_gain),
        Row("extra boxes a frame", old.extra / frames, new.extra / frames, "", shown.extra_gain),
        Row("IoU of matched boxes", _mean(old.iou, old.matched), _mean(new.iou, new.matched)),
        Row("score error", _mean(old.score_error, old.matched), _mean(new.score_error, new.matched)),
        Row("worst score error", old.worst_score_error, new.worst_score_error),
        Row("box error", _mean(old.box_error_px, old.matched), _mean(new.box_error_px, new.matched), "px"),
    ]
    heads = zip(proof.old.sqnr_db, proof.new.sqnr_db, proof.sqnr_gain_db, strict=True)
    names = ("SQNR of boxes", "SQNR of scores")
    return (*found, *(Row(name, *values[:2], "dB", values[2]) for name, values in zip(names, heads, strict=False)))


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
