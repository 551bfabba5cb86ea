"""What the thermal governor is told, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PaceState = Literal["free", "paced", "slowest", "blind"]


@dataclass(frozen=True, slots=True)
class Heat:
    """One look at the board; ``None`` is "not there".

    Attributes:
        at_s: monotonic time.
        soc_celsius: the processor's temperature.
        accelerator_celsius: a Coral on PCIe or M.2.
        throttled: the firmware holds the clock back now.
        fps: frames answered a second, newest window.
        invoke_p50_s: median time of one invoke, newest window.
    """

    at_s: float
    soc_celsius: float | None = None
    accelerator_celsius: float | None = None
    throttled: bool | None = None
    fps: float | None = None
    invoke_p50_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How many frames are taken, and why.

    Attributes:
        state: ``free``: as many as come; ``paced``: fewer; ``slowest``: as few as allowed, and still too hot;
            ``blind``: there is no temperature to go by, so as many as come.
        interval_s: least time from one frame to the next; 0: none.
        share: of the frames that it takes when cool, 0 to 1.
        is_acted: it is done; else it would be.
        why: one sentence.
    """

    state: PaceState = "free"
    interval_s: float = 0.0
    share: float = 1.0
    is_acted: bool = False
    why: str = ""

    @property
    def fps(self) -> float | None:
        """Frames a second at most; None: as many as come."""
        return 1.0 / self.interval_s if self.interval_s > 0.0 else None
