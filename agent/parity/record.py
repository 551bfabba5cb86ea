"""What a comparison says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["same", "differs", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SideReport:
    """One way of running the model.

    Attributes:
        name: ``one`` or ``other``.
        what: model, runtime and delegate, in words.
        sha256: of the model's file.
        state: ``ok``, or why it gave no answers (any more).
        reason: one sentence, unless ``ok``.
        exit_code: 0, or the error's.
        frames: answered.
        load_s: time to load, seconds; None when it did not.
        invoke_p50_s: median of ``invoke``, seconds; None without an answer.
    """

    name: str
    what: str
    sha256: str
    state: Literal["ok", "failed"] = "ok"
    reason: str = ""
    exit_code: int = 0
    frames: int = 0
    load_s: float | None = None
    invoke_p50_s: float | None = None


@dataclass(frozen=True, slots=True)
class ClassDiff:
    """Boxes of one class that only one side sees."""

    name: str
    missed: int
    extra: int


@dataclass(frozen=True, slots=True)
class RawDiff:
    """How the models' answers differ before thresholds, where both files and their outputs are the same.

    Attributes:
        max_score: greatest difference of a score.
        mean_score: mean of the absolute differences.
        max_box: greatest difference of a box coordinate or code; None for a graph that sorts its boxes.
    """

    max_score: float
    mean_score: float
    max_box: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Over all frames that both sides answered.

    Attributes:
        frames: how many.
        boxes: pairs, and boxes that only one side sees.
        pairs: boxes that both see.
        missed: that only the first side sees.
        extra: that only the second side sees.
        lone_share: ``(missed + extra) / boxes``; None without a box.
        mean_iou: of the pairs; None without one.
        score_bias: mean score difference, other minus one.
        score_error: mean absolute score difference.
        block_frames: frames in a block of the bootstrap: neighbours are alike, so that they are drawn together.
    """

    frames: int
    boxes: int
    pairs: int
    missed: int
    extra: int
    lone_share: Interval | None
    mean_iou: Interval | None
    score_bias: Interval | None
    score_error: Interval | None
    block_frames: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides on the same frames; ``format`` names this record's shape."""

    verdict: Verdict
    reason: str
    sides: tuple[SideReport, SideReport]
    figures: Figures
    classes: tuple[ClassDiff, ...] = ()
    raw: RawDiff | None = None
    corrupt_frames: int = 0
    notes: tuple[str, ...] = ()
    format: Literal["edge-agent.parity/1"] = "edge-agent.parity/1"

    @property
    def exit_code(self) -> int:
        """0 same, 65 differs, 75 cannot tell; of a side that failed, its own."""
        failed = next((side.exit_code for side in self.sides if side.exit_code), 0)
        return failed or {"same": 0, "differs": 65, "cannot tell": 75}[self.verdict]
