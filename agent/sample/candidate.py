"""What choosing is about: one answered frame going in, a choice with its reasons coming out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from agent.records import Detections, FloatArray, Pixels

Reason = Literal["command", "evidence", "coverage", "threshold", "audit"]
"""Why a frame is kept, the most telling first: of several, the first with a budget pays."""

REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One frame that was answered, as far as choosing goes.

    Attributes:
        at_s: monotonic time. One that goes backwards counts as the latest before it.
        sequence: the camera's number of the frame.
        thumbnail: uint8 (36, 64) luma, as :class:`~agent.records.Frame` carries it.
        features: float32 (n,), where distance means difference, as :func:`~agent.sample.likeness.features` gives; with
            one that is not finite the frame takes no part in coverage.
        detections: every box that is known, also those below the threshold, which is where a drift shows first; None:
            there was no answer, which is not "no objects".
        drift: what a drift alarm says while it is on; else empty.
        disagreement: how a second opinion on this frame differs; else empty.
    """

    at_s: float
    sequence: int
    thumbnail: Pixels
    features: FloatArray
    detections: Detections | None
    drift: str = ""
    disagreement: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Keep this frame.

    Attributes:
        why: the reasons, the one whose budget pays first.
        told: each in words.
    """

    why: tuple[Reason, ...]
    told: tuple[str, ...]
