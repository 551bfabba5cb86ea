"""The run: warm up, answer queries in windows, read the board between them, keep what is there so far.

On the calling thread, which is the one that made the model's interpreter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from agent.bench import early, steady, validity
from agent.bench.observe import Conditions, Observer
from agent.bench.plan import Plan, keeps_mlperf, rules
from agent.bench.result import Environment, Result, Score, Soak, Start, Window
from agent.bench.scenarios import Query, Scenario
from agent.bench.tally import Tally, percentiles
from agent.errors import AgentError, CameraError
from agent.measure import EnergySource

Ended = Literal["done", "steady", "stopped", "end of file", "running"]

STILL = 200
"""So many queries while the clock does not move at all: it is broken."""

BLIND_S = 20.0
"""Longest silence of a camera; a run with a hole in it measures nothing."""

FIRST_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        share: 0 to 1; of a soak, of its longest duration.
        left_s: seconds to go at this rate; of a soak, at most.
        window: the newest window; None while it warms up.
    """

    share: float
    left_s: float
    window: Window | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a run tells while it runs; nothing by default.

    Attributes:
        progress: after each window, and once a second while it warms up.
        partial: the result so far, after each window.
        stop: asked once a query; True ends the run.
    """

    progress: Callable[[Progress], None] = field(default=lambda _: None)
    partial: Callable[[Callable[[], Result]], None] = field(default=lambda _: None)
    stop: Callable[[], bool] = field(default=lambda: False)


class Run:
    """One run of a plan.

    Args:
        plan: what to measure.
        scenario: where queries come from.
        observer: reads the board.
        environment: where and with what it runs.
        created: when it began, UTC, for people.
        start: what beginning took.
        told: who is told.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        plan: Plan,
        scenario: Scenario,
        observer: Observer,
        environment: Environment,
        *,
        created: str,
        start: Start | None = None,
        told: Told | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._rules = plan, rules(plan)
        self._scenario, self._observer, self._clock = scenario, observer, clock
        self._told = told or Told()
        self._threads = environment.runtime.num_threads
        self._facts = {"environment": environment, "created": created, "start": start}
        self._tally = Tally()
        self._windows: list[Window] = []
        self._measured_s = 0.0
        self._first_bits: int | None = None
        self._energy_source: EnergySource = ""
        self._still = 0

    def go(self) -> Result:
        """Measure, and judge.

        Raises:
            ModelError: the model gave up on a frame.
            CameraError: the camera went silent.
            AgentError: the monotonic clock stands still.
        """
        try:
            return self.result(self._measure())
        finally:
            self._observer.close()

    def _measure(self) -> Ended:
        self._warm_up()
        self._first_bits = self._observer.end().reading.thermal.throttle_bits
        begun_s = self._clock()
        ended = self._early_end()
        while not ended:
            self._window(begun_s)
            ended = self._early_end() or self._regular_end(self._clock() - begun_s)
            self._told.progress(self._progress(self._clock() - begun_s))
            self._told.partial(lambda: self.result("running"))
        return ended

    def result(self, ended: Ended) -> Result:
        """The result as of now."""
        windows = tuple(self._windows)
        verdict = validity.judge(
            windows,
            self._rules,
            is_soak=self._plan.soak,
            ended=ended,
            first_bits=self._first_bits,
            threads=self._threads,
        )
        return Result(
            ended=ended,
            valid=not verdict.invalid_because,
            invalid_because=verdict.invalid_because,
            findings=verdict.findings,
            not_checked=verdict.not_checked,
            plan=self._plan,
            rules=self._rules,
            score=self._score() if windows else None,
            soak=_soak(windows, settled=ended == "steady") if windows and self._plan.soak else None,
            energy_source=self._energy_source,
            stages=self._tally.stages(),
            windows=windows,
            **self._facts,  # type: ignore[arg-type]
        )

    def _warm_up(self) -> None:
        begun_s = told_s = self._clock()
        until_s = begun_s + self._plan.warmup_s
        while not self._told.stop() and not self._scenario.has_ended():
            self._step()
            now_s = self._clock()
            if now_s >= until_s:
                return
            if now_s - told_s >= 1.0:  # whoever waits for a sign of life gets one here too
                told_s = now_s
                self._told.progress(Progress(0.0, until_s - now_s + self._rules.least_s, None))

    def _window(self, begun_s: float) -> None:
        clock, tally = self._clock, self._tally
        self._observer.begin()
        started_s = heard_s = clock()
        while True:
            query = self._step()
            now_s = clock()
            if query is not None:
                tally.add(query)
                heard_s = now_s
            elif now_s - heard_s > BLIND_S:
                raise CameraError(f"the camera gave no frame for {BLIND_S:g} s: the run is broken off")
            if (now_s - started_s >= self._rules.window_s and tally.waiting) or self._early_end():
                break
        duration_s = now_s - started_s
        seen = self._observer.end()
        if tally.waiting and duration_s > 0.0:
            self._close(started_s - begun_s, duration_s, seen)

    def _close(self, started_s: float, duration_s: float, seen: Conditions) -> None:
        window = self._tally.window(started_s, duration_s, seen, self._scenario.dropped_total())
        self._windows.append(msgspec.structs.replace(window, disturbed=validity.disturbed(window)))
        self._measured_s += duration_s
        self._energy_source = seen.energy_source or self._energy_source

    def _step(self) -> Query | None:
        before_s = self._clock()
        query = self._scenario.step()
        self._still = 0 if self._clock() > before_s else self._still + 1
        if self._still >= STILL:
            raise AgentError(f"the monotonic clock stood still over {STILL} queries: nothing can be measured here")
        return query

    def _early_end(self) -> Ended | None:
        if self._told.stop():
            return "stopped"
        return "end of file" if self._scenario.has_ended() else None

    def _regular_end(self, passed_s: float) -> Ended | None:
        is_enough = self._measured_s >= self._rules.least_s and len(self._tally.latencies) >= self._rules.least_queries
        if not self._plan.soak:
            return "done" if is_enough else None
        if is_enough and steady.is_steady(self._windows):
            return "steady"
        return "done" if self._rules.longest_s is not None and passed_s >= self._rules.longest_s else None

    def _progress(self, passed_s: float) -> Progress:
        by_time = self._measured_s / self._rules.least_s if self._rules.least_s > 0 else 1.0
        share = min(by_time, len(self._tally.latencies) / self._rules.least_queries)
        if self._rules.longest_s is not None:
            share = passed_s / self._rules.longest_s
        share = min(1.0, share)
        left_s = passed_s * (1.0 - share) / share if share > 0.0 else 0.0
        return Progress(share, left_s, self._windows[-1] if self._windows else None)

    def _score(self) -> Score:
        latencies, percentile = self._tally.latencies, self._rules.percentile
        p50, p90, p99 = percentiles(latencies)
        judged = self._plan.scenario in {"single-stream", "multi-stream"}
        return Score(
            queries=len(latencies),
            duration_s=self._measured_s,
            samples_per_s=self._tally.samples / self._measured_s,
            p50_s=p50,
            p90_s=p90,
            p99_s=p99,
            max_s=max(latencies),
            estimate_percentile=percentile,
            estimate_s=early.estimate(latencies, percentile) if judged else None,
            mlperf=keeps_mlperf(self._plan),
        )


def _soak(windows: tuple[Window, ...], *, settled: bool) -> Soak:
    last = windows[-steady.SPAN :]
    first = [window for window in windows if window.started_s < FIRST_MINUTE_S]
    joules = [window.energy_joules for window in windows]
    energy = sum(joule for joule in joules if joule is not None) if None not in joules else None
    held = next((window for window in windows if window.throttled), None)
    celsius = [window.soc_celsius for window in windows if window.soc_celsius is not None]
    return Soak(
        steady_s=last[0].started_s if settled else None,
        first_throttle_s=held.started_s + held.duration_s if held else None,
        first_minute_per_s=_rate(first),
        steady_per_s=_rate(last),
        steady_p50_s=sorted(window.p50_s for window in last)[len(last) // 2],
        steady_p99_s=sorted(window.p99_s for window in last)[len(last) // 2],
        hottest_celsius=max(celsius, default=None),
        energy_per_query_joules=None if energy is None else energy / sum(window.queries for window in windows),
    )


def _rate(windows: list[Window] | tuple[Window, ...]) -> float:
    return sum(window.samples_per_s * window.duration_s for window in windows) / sum(
        window.duration_s for window in windows
    )
