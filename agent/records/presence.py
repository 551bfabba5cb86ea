"""What the camera sees, ready to be told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Box:
    """One object of one frame; it has no identity that lasts from frame to frame.

    Attributes:
        label: the class's name.
        confidence: 0 to 1.
        xyxy: left, top, right, bottom, relative to the frame: 0 to 1.
        zones: the counted zones that its centre lies in.
    """

    label: str
    confidence: float
    xyxy: tuple[float, float, float, float]
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """Held counts, and the boxes of the newest frame.

    Attributes:
        at_s: monotonic time of the newest answer; of the telling while nothing is known.
        known: False: there is no answer (no picture, or none for long enough), which is not "no objects".
        reason: one sentence while nothing is known.
        sequence: the newest frame's number.
        age_s: how old that frame was when it was answered.
        counts: objects by class. A class without an entry has none.
        zones: the same for each counted zone.
        boxes: what the newest frame shows, best first; may differ from the counts, which need to last.
    """

    at_s: float
    known: bool
    reason: str = ""
    sequence: int = 0
    age_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    zones: dict[str, dict[str, int]] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
