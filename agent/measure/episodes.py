"""Counts how often, how long and why the board was held back: throttled, capped, under-volted, at its soft limit.

In: readings of the board. Out: episodes that have ended, and totals. Pure: fed with readings and their monotonic times.
The firmware's own memory (bits 16 to 19) is asked to forget every two seconds by the kernel's voltage driver, so the
agent counts by itself. A bit of that memory that was not there a reading before tells of an episode between the two.

An episode has ended once its bit was clear for ``end_after_s``: one that comes and goes with the load is one episode.
A start or an end is as exact as the readings are frequent. Without the firmware's word nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.measure.thermal import UNDER_VOLTAGE
from agent.records import HOLD_CAUSES, BoardReading, Episode, EpisodeTotal, HoldCause

END_AFTER_S = 30.0


@dataclass
class _Span:
    started_s: float
    seen_s: float
    clear_s: float | None = None
    peak_celsius: float | None = None

    @property
    def duration_s(self) -> float:
        end_s = self.clear_s if self.clear_s is not None else self.seen_s
        return max(0.0, end_s - self.started_s)


class Episodes:
    """All causes side by side.

    Args:
        end_after_s: how long a cause must be away for its episode to be over.
    """

    def __init__(self, end_after_s: float = END_AFTER_S) -> None:
        self._end_after_s = end_after_s
        self._open: dict[HoldCause, _Span] = {}
        self._past: dict[HoldCause, EpisodeTotal] = {}
        self._memory: int | None = None

    def take(self, reading: BoardReading) -> list[Episode]:
        """One reading; returns the episodes that it ended."""
        now, between = self._bits(reading)
        ended = []
        for place, cause in enumerate(HOLD_CAUSES):
            is_now = now is not None and bool(now >> place & 1)
            if is_now or between >> place & 1:
                self._see(cause, reading, is_now=is_now)
            elif cause in self._open:
                ended += self._miss(cause, reading.taken_s, is_clear=now is not None)
        return ended

    @property
    def active(self) -> dict[HoldCause, float]:
        """Causes whose episode is not over, and the monotonic time of its start."""
        return {cause: span.started_s for cause, span in self._open.items()}

    def totals(self) -> dict[HoldCause, EpisodeTotal]:
        """How often and how long, the present episodes included; causes that never were are absent."""
        both = dict(self._past)
        for cause, span in self._open.items():
            both[cause] = _plus(both.get(cause), span.duration_s)
        return both

    def _bits(self, reading: BoardReading) -> tuple[int | None, int]:
        """Causes of this moment (None: nobody tells), and those that came and went since the last reading."""
        word, alarm = reading.thermal.throttle_bits, reading.thermal.under_voltage
        between = 0
        if word is not None:
            if self._memory is not None:
                between = word >> 16 & ~self._memory & 0xF
            self._memory = word >> 16
        if word is None and alarm is None:
            return None, 0
        return (word or 0) & 0xF | (UNDER_VOLTAGE if alarm else 0), between

    def _see(self, cause: HoldCause, reading: BoardReading, *, is_now: bool) -> None:
        span = self._open.setdefault(cause, _Span(reading.taken_s, reading.taken_s))
        span.seen_s = max(span.seen_s, reading.taken_s)
        span.clear_s = None if is_now else span.seen_s
        heat = [c for c in (span.peak_celsius, reading.thermal.soc_celsius) if c is not None]
        span.peak_celsius = max(heat, default=None)

    def _miss(self, cause: HoldCause, now_s: float, *, is_clear: bool) -> list[Episode]:
        span = self._open[cause]
        if span.clear_s is None and is_clear:
            span.clear_s = now_s
        if now_s - (span.clear_s if span.clear_s is not None else span.seen_s) < self._end_after_s:
            return []
        del self._open[cause]
        self._past[cause] = _plus(self._past.get(cause), span.duration_s)
        return [Episode(cause, span.started_s, span.duration_s, span.peak_celsius)]


def _plus(total: EpisodeTotal | None, seconds: float) -> EpisodeTotal:
    before = total or EpisodeTotal()
    return EpisodeTotal(before.count + 1, before.seconds + seconds)
