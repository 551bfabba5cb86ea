"""Where each frame's time goes: windows of mergeable sketches, and the whole run as the sum of its windows.

In: one :class:`StageTimes` and a number of detections per frame. Out: a :class:`PerfReport` per window, in seconds.
Main thread only. The windows lie end to end: no frame and no second is in two windows or in none, and what a late call
makes of a window (a blocked loop) stands in its ``duration_s``.

It cannot tell a stalled loop from a clock that jumped ahead; a clock that goes back is taken as standing still.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.measure.sketch import Sketch
from agent.records import PerfReport, StageStats, StageTimes

STAGES = ("age", "preprocess", "invoke", "postprocess", "total")


class Meter:
    """Per-frame times into the current window; the first window begins when the meter is made.

    Args:
        clock: monotonic seconds.
        window_s: length of a window, above 0; may be set anew from any thread, for the window after the present one.
    """

    def __init__(self, clock: Callable[[], float], window_s: float) -> None:
        if not window_s > 0.0:
            raise ValueError(f"a window of {window_s} s is no window: measure.window_s must be above 0")
        self._clock = clock
        self.window_s = window_s
        self._begun_s = self._started_s = self._seen_s = clock()
        self._due_s = self._started_s + window_s
        self._past = _Tally()
        self._now = _Tally()
        self._dropped_before = 0

    def frame(self, times: StageTimes, detections: int) -> None:
        """Count one answered frame. A time that is NaN says "no such stage in this frame" and is left out."""
        tally = self._now
        preprocess_s, invoke_s, postprocess_s = times.preprocess_s, times.invoke_s, times.postprocess_s
        tally.age.add(times.age_s)
        tally.preprocess.add(preprocess_s)
        tally.invoke.add(invoke_s)
        tally.postprocess.add(postprocess_s)
        tally.total.add(preprocess_s + invoke_s + postprocess_s)
        tally.frames += 1
        tally.detections += detections

    def window(self, dropped_total: int) -> PerfReport | None:
        """The window that has just ended, else None; to be called after each frame and while there is none.

        Args:
            dropped_total: frames that the camera dropped since its start; smaller than before means a new start.
        """
        now_s = self._clock()
        if self._seen_s <= now_s < self._due_s:
            self._seen_s = now_s
            return None
        self._follow(now_s)
        return self._close(dropped_total) if now_s >= self._due_s else None

    def flush(self, dropped_total: int) -> PerfReport | None:
        """The last, partial window; None when neither time nor frames have passed since the one before."""
        self._follow(self._clock())
        if self._seen_s <= self._started_s and not self._now.frames:
            return None
        return self._close(dropped_total)

    def totals(self) -> PerfReport:
        """The whole run until now: the sum of all windows, closed or not. Drops are those of closed windows."""
        self._follow(self._clock())
        run = _Tally()
        run.merge(self._past)
        run.merge(self._now)
        return run.report(self._begun_s, self._seen_s)

    def _follow(self, now_s: float) -> None:
        """Take the time in; when the clock went back, move the marks with it: what was measured stays measured."""
        back_s = self._seen_s - now_s
        if back_s > 0.0:
            self._begun_s -= back_s
            self._started_s -= back_s
            self._due_s -= back_s
        self._seen_s = now_s

    def _close(self, dropped_total: int) -> PerfReport:
        grown = dropped_total - self._dropped_before
        self._now.dropped = grown if grown >= 0 else dropped_total
        self._dropped_before = dropped_total
        report = self._now.report(self._started_s, self._seen_s)
        self._past.merge(self._now)
        self._now = _Tally()
        self._started_s = self._seen_s
        self._due_s = self._started_s + self.window_s
        return report


class _Tally:
    """What is counted over a span of time."""

    __slots__ = ("age", "detections", "dropped", "frames", "invoke", "postprocess", "preprocess", "total")

    def __init__(self) -> None:
        self.age = Sketch()
        self.preprocess = Sketch()
        self.invoke = Sketch()
        self.postprocess = Sketch()
        self.total = Sketch()
        self.frames = 0
        self.dropped = 0
        self.detections = 0

    def merge(self, other: _Tally) -> None:
        for mine, theirs in zip(self._sketches(), other._sketches(), strict=True):
            mine.merge(theirs)
        self.frames += other.frames
        self.dropped += other.dropped
        self.detections += other.detections

    def report(self, started_s: float, ended_s: float) -> PerfReport:
        duration_s = ended_s - started_s
        stats = zip(STAGES, map(_stats, self._sketches()), strict=True)
        return PerfReport(
            started_s=started_s,
            duration_s=duration_s,
            frames=self.frames,
            fps=self.frames / duration_s if duration_s > 0.0 else 0.0,
            dropped=self.dropped,
            detections=self.detections,
            stages={name: found for name, found in stats if found is not None},
        )

    def _sketches(self) -> tuple[Sketch, ...]:
        return self.age, self.preprocess, self.invoke, self.postprocess, self.total


def _stats(sketch: Sketch) -> StageStats | None:
    p50, p90, p99 = (sketch.quantile(q) for q in (0.5, 0.9, 0.99))
    longest = sketch.max
    if p50 is None or p90 is None or p99 is None or longest is None:
        return None
    return StageStats(sketch.count, p50, p90, p99, longest, sketch.sum / sketch.count, sketch.bins())
