"""What calibration frames show of what the model finds. Frames that do not show a thing must not narrow its ranges.

A face model fell to none of 209 faces when its ranges were measured on pictures without faces. So ranges narrow on
evidence only: none of them where too few frames show any object, none of the heads' where one class is shown by
too few. They may always widen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.recalibrate.proof import Answerer
from agent.records import Pixels

LEAST_FRAMES = 3
"""Frames that must show a class before its range may narrow: one may be a mistake of the reference, two neighbours."""

LEAST_SHARE = 0.2
"""And this share of them must show any object: 4 of 68 were too few for that face model."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the float reference finds on the frames whose ranges are measured, at the deployed thresholds.

    Attributes:
        frames: how many there are.
        showing: those with an object.
        classes: classes on at least :data:`LEAST_FRAMES` of them.
        of: classes that the model can find and is asked for; None where it does not say.
    """

    frames: int
    showing: int
    classes: int
    of: int | None

    @property
    def narrows(self) -> bool:
        """Enough frames show objects: inner ranges may become narrower."""
        return self.showing >= max(LEAST_FRAMES, LEAST_SHARE * self.frames)

    @property
    def narrows_heads(self) -> bool:
        """And every class is among them: the heads' ranges may too."""
        return self.narrows and self.of is not None and self.classes >= self.of

    @property
    def kept(self) -> str:
        """Which ranges keep at least what they had, and why, in a sentence; empty: none has to."""
        if not self.narrows:
            return f"{self.showing} of {self.frames} pictures show objects: no range was made narrower"
        if not self.narrows_heads:
            many = (
                f"{self.classes} of {self.of} classes are"
                if self.of is not None
                else "it is not known which classes are"
            )
            return f"{many} shown by {LEAST_FRAMES} pictures or more: the heads' ranges were not made narrower"
        return ""


def look_for(reference: Answerer, frames: Sequence[Pixels], classes: int | None) -> Evidence:
    """Ask the reference of each frame.

    Args:
        reference: the float model, or the twin.
        frames: those whose ranges are measured.
        classes: how many the model can find and is asked for; None: not known.
    """
    showing, seen = 0, Counter[int]()
    for pixels in frames:
        found = {int(number) for number in reference(pixels).detections.class_id}
        showing += bool(found)
        seen.update(found)
    return Evidence(len(frames), showing, sum(count >= LEAST_FRAMES for count in seen.values()), classes)
