"""Windows lie end to end: no frame and no second is lost or counted twice, whatever the clock does."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.measure import Meter, Sketch
from agent.measure.meter import STAGES
from agent.records import PerfReport, StageTimes


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def times(invoke_s: float = 0.008) -> StageTimes:
    return StageTimes(age_s=0.030, preprocess_s=0.001, invoke_s=invoke_s, postprocess_s=0.0005)


def run(steps: list[tuple[float, int]], window_s: float = 10.0) -> tuple[list[PerfReport], Meter]:
    """Each step: seconds that pass, then frames that are answered; one call of ``window`` after every frame."""
    clock = Clock()
    meter = Meter(clock, window_s)
    reports = []
    for passed_s, frames in steps:
        clock.now_s += passed_s
        for _ in range(max(frames, 1)):
            if frames:
                meter.frame(times(), 2)
            reports.append(meter.window(0))
    reports.append(meter.flush(0))
    return [report for report in reports if report is not None], meter


def test_a_window_ends_when_its_time_has_passed() -> None:
    clock = Clock()
    meter = Meter(clock, 10.0)
    meter.frame(times(), 3)
    clock.now_s += 9.999
    assert meter.window(0) is None
    meter.frame(times(), 1)
    clock.now_s += 0.001
    report = meter.window(7)
    assert report is not None
    assert (report.started_s, report.duration_s, report.frames) == (100.0, pytest.approx(10.0), 2)
    assert (report.fps, report.dropped, report.detections) == (pytest.approx(0.2), 7, 4)
    assert meter.window(7) is None


def test_a_report_holds_every_stage_in_seconds() -> None:
    clock = Clock()
    meter = Meter(clock, 1.0)
    for invoke_s in (0.008, 0.009, 0.020):
        meter.frame(times(invoke_s), 0)
    clock.now_s += 1.0
    report = meter.window(0)
    assert report is not None
    assert tuple(report.stages) == STAGES
    invoke, total = report.stages["invoke"], report.stages["total"]
    assert (invoke.count, invoke.max_s, invoke.mean_s) == (3, 0.020, pytest.approx(0.037 / 3))
    assert (invoke.p50_s, invoke.p99_s) == (pytest.approx(0.009, rel=0.01), pytest.approx(0.020, rel=0.01))
    assert total.max_s == pytest.approx(0.0215)
    assert report.stages["age"].max_s == 0.030
    assert report.stages["preprocess"].max_s == 0.001
    assert report.stages["postprocess"].max_s == 0.0005
    assert Sketch.from_bins(invoke.bins).quantile(0.5) == pytest.approx(0.009, rel=0.0101)


def test_a_loop_that_was_blocked_makes_one_long_window() -> None:
    clock = Clock()
    meter = Meter(clock, 10.0)
    meter.frame(times(), 0)
    clock.now_s += 35.0
    report = meter.window(0)
    assert report is not None
    assert (report.duration_s, report.fps) == (35.0, pytest.approx(1 / 35))
    clock.now_s += 9.0
    assert meter.window(0) is None
    clock.now_s += 1.0
    after = meter.window(0)
    assert after is not None
    assert (after.started_s, after.duration_s) == (135.0, 10.0)


def test_a_window_without_frames_is_reported_with_no_stage() -> None:
    clock = Clock()
    meter = Meter(clock, 10.0)
    clock.now_s += 10.0
    report = meter.window(4)
    assert report is not None
    assert (report.frames, report.fps, report.stages, report.dropped) == (0, 0.0, {}, 4)


steps = st.lists(st.tuples(st.floats(min_value=0.0, max_value=25.0), st.integers(0, 4)), max_size=30)


@settings(deadline=None)  # a busy machine breaks no law
@given(steps)
def test_no_frame_and_no_second_is_lost_or_counted_twice(walk: list[tuple[float, int]]) -> None:
    reports, meter = run(walk)
    totals = meter.totals()
    assert sum(r.frames for r in reports) == totals.frames == sum(frames for _, frames in walk)
    assert sum(r.detections for r in reports) == totals.detections == 2 * totals.frames
    assert sum(r.duration_s for r in reports) == pytest.approx(sum(passed for passed, _ in walk), abs=1e-6)
    assert totals.duration_s == pytest.approx(sum(passed for passed, _ in walk), abs=1e-6)
    for one, following in itertools.pairwise(reports):
        assert following.started_s == pytest.approx(one.started_s + one.duration_s)
    for report in reports:
        assert report.fps == pytest.approx(report.frames / report.duration_s if report.duration_s else 0.0)


@settings(deadline=None)  # a busy machine breaks no law
@given(steps)
def test_the_run_is_the_merge_of_its_windows(walk: list[tuple[float, int]]) -> None:
    reports, meter = run(walk)
    whole = Sketch()
    for report in reports:
        if "total" in report.stages:
            whole.merge(Sketch.from_bins(report.stages["total"].bins))
    totals = meter.totals()
    if totals.frames:
        assert totals.stages["total"].bins == whole.bins()


def test_totals_count_the_open_window_and_change_nothing() -> None:
    clock = Clock()
    meter = Meter(clock, 10.0)
    meter.frame(times(), 1)
    clock.now_s += 4.0
    assert [meter.totals().frames for _ in range(3)] == [1, 1, 1]
    assert meter.totals().fps == pytest.approx(0.25)
    last = meter.flush(0)
    assert last is not None
    assert last.frames == 1
    assert meter.totals().frames == 1


def test_flush_gives_the_partial_window_once() -> None:
    clock = Clock()
    meter = Meter(clock, 10.0)
    clock.now_s += 3.0
    meter.frame(times(), 1)
    report = meter.flush(5)
    assert report is not None
    assert (report.duration_s, report.frames, report.dropped) == (3.0, 1, 5)
    assert meter.flush(5) is None


def test_drops_are_those_of_the_window_also_over_a_new_start_of_the_camera() -> None:
    clock = Clock()
    meter = Meter(clock, 1.0)
    dropped = []
    for total in (5, 12, 12, 3):
        clock.now_s += 1.0
        report = meter.window(total)
        assert report is not None
        dropped.append(report.dropped)
    assert dropped == [5, 7, 0, 3]
    assert meter.totals().dropped == 15


def test_a_clock_that_stands_still_divides_nothing_by_zero() -> None:
    meter = Meter(Clock(), 10.0)
    for _ in range(5):
        meter.frame(times(), 0)
        assert meter.window(0) is None
    assert (meter.totals().fps, meter.totals().duration_s) == (0.0, 0.0)
    report = meter.flush(0)
    assert report is not None
    assert (report.frames, report.fps) == (5, 0.0)


def test_a_clock_that_goes_back_takes_nothing_from_what_was_measured() -> None:
    clock = Clock(1_000.0)
    meter = Meter(clock, 10.0)
    meter.frame(times(), 1)
    clock.now_s += 6.0
    assert meter.window(0) is None
    clock.now_s = 50.0
    assert meter.window(0) is None
    clock.now_s += 3.9
    assert meter.window(0) is None
    clock.now_s += 0.1
    report = meter.window(0)
    assert report is not None
    assert (report.duration_s, report.frames) == (pytest.approx(10.0), 1)
    assert meter.totals().duration_s == pytest.approx(10.0)


def test_a_clock_that_jumps_ahead_is_taken_at_its_word() -> None:
    clock = Clock()
    meter = Meter(clock, 10.0)
    clock.now_s = 1e9
    report = meter.window(0)
    assert report is not None
    assert report.duration_s == 1e9 - 100.0


def test_a_stage_that_has_no_time_is_absent() -> None:
    clock = Clock()
    meter = Meter(clock, 1.0)
    meter.frame(StageTimes(math.nan, 0.001, 0.008, 0.001), 0)
    clock.now_s += 1.0
    report = meter.window(0)
    assert report is not None
    assert (report.frames, set(report.stages)) == (1, set(STAGES) - {"age"})


def test_a_picture_from_the_future_has_age_zero() -> None:
    meter = Meter(Clock(), 1.0)
    meter.frame(StageTimes(-0.5, 0.001, 0.008, 0.001), 0)
    assert meter.totals().stages["age"].max_s == 0.0


@pytest.mark.parametrize("window_s", [0.0, -1.0, math.nan])
def test_a_window_of_no_length_is_refused(window_s: float) -> None:
    with pytest.raises(ValueError, match="window"):
        Meter(Clock(), window_s)
