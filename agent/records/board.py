"""What is read of a board beside plain gauges: cooling devices, how memory grows, and episodes of being held back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HoldCause = Literal["under-voltage", "frequency-cap", "throttled", "soft-limit"]
"""Bits 0 to 3 of the Raspberry Pi firmware's word, in that order."""

HOLD_CAUSES: tuple[HoldCause, ...] = ("under-voltage", "frequency-cap", "throttled", "soft-limit")

BlindCause = Literal["start", "restart", "reboot", "camera", "frozen", "black", "invoke", "switch", "bench"]
"""Why there was no answer: see :mod:`agent.measure.blind`."""


@dataclass(frozen=True, slots=True)
class CoolingDevice:
    """One of the kernel's cooling devices: 0 does nothing, ``max_state`` is all that it can."""

    kind: str
    state: int
    max_state: int


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """How private memory grows: a slope and its 95 % interval, bytes an hour, over the last ``span_s`` seconds."""

    bytes_hour: float
    low_bytes_hour: float
    high_bytes_hour: float
    span_s: float


@dataclass(frozen=True, slots=True)
class Episode:
    """A span of time in which the board was held back.

    Attributes:
        cause: why.
        started_s: monotonic time of the reading that showed it first.
        duration_s: until the first reading that did not; 0.0: it came and went between two readings, and only the
            firmware's own memory of it was seen.
        peak_celsius: the processor's highest temperature meanwhile; None without a sensor.
    """

    cause: HoldCause
    started_s: float
    duration_s: float
    peak_celsius: float | None = None


@dataclass(frozen=True, slots=True)
class EpisodeTotal:
    """All episodes of one cause, the present one included."""

    count: int = 0
    seconds: float = 0.0
