"""What a board has learned about its model, as it is put in force when the model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.records.correction import Correction


@dataclass(frozen=True, slots=True)
class Retuned:
    """One class's score threshold, found anew; both numbers 0 to 1.

    Attributes:
        given: the threshold of the settings that it was found for; it counts for as long as they say that.
        threshold: the one to use in its place.
    """

    given: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Learned:
    """Everything but the range patch, which is a file of its own.

    Attributes:
        correction: of the light, before the model sees a frame; None: none.
        typical: the light that it leads to, as :mod:`agent.recalibrate.typical` packs it; empty: not known.
        thresholds: by class name.
        notes: what lies over the model, the patch too, one sentence each; for people.
    """

    correction: Correction | None = None
    typical: str = ""
    thresholds: Mapping[str, Retuned] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


NOTHING_LEARNED = Learned()
