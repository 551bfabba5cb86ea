"""Merging windows: sums are sums, percentiles are those of all the values, and what is sent is slim."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.publish import translate
from agent.publish.contract import Perf, Sketch, Stamp, Sys, Therm
from agent.publish.outbox import Row
from agent.publish.stored import merge, merge_rows, percentile, to_wire
from tests.publish_fakes import bins, board_reading, perf_report, stamp

seconds = st.floats(1e-5, 30.0)
windows = st.lists(seconds | st.just(0.0), min_size=1, max_size=40)


def perf(values: list[float], seq: int = 1) -> Perf:
    return translate.perf(stamp(seq), perf_report(values))


def row(cls: str, payload: Perf | Sys | Therm) -> Row:
    return Row(
        cls, f"edge/v1/home/cam1/{cls}", msgspec.json.encode(payload), 5.0, payload.seq, payload.seq, mergeable=True
    )


@given(windows, windows)
def test_merged_window_is_the_window_of_all_values(first: list[float], second: list[float]) -> None:
    merged = merge(perf(first, 1), perf(second, 2))
    whole = perf(first + second)
    assert isinstance(merged, Perf)
    assert (merged.frames, merged.dropped, merged.detections) == (whole.frames, 4, 14)
    assert merged.window_s == 20.0
    assert (merged.seq_first, merged.seq) == (1, 2)
    for name, stage in merged.stages.items():
        expected = whole.stages[name]
        assert stage.sketch == expected.sketch
        assert (stage.n, stage.max_s) == (expected.n, expected.max_s)
        assert stage.mean_s == pytest.approx(expected.mean_s, abs=2e-6)


@given(windows, windows)
def test_merged_percentiles_are_within_one_percent(first: list[float], second: list[float]) -> None:
    merged = merge(perf(first, 1), perf(second, 2))
    assert isinstance(merged, Perf)
    ordered = sorted(first + second)
    age = merged.stages["age"]
    for quantile, got in ((0.5, age.p50_s), (0.9, age.p90_s), (0.99, age.p99_s)):
        true = ordered[math.floor(quantile * (len(ordered) - 1))]
        assert got == pytest.approx(true, rel=0.0101, abs=1e-6)


@given(windows, windows, windows)
def test_merging_is_associative(a: list[float], b: list[float], c: list[float]) -> None:
    left = merge(merge(perf(a, 1), perf(b, 2)), perf(c, 3))
    right = merge(perf(a, 1), merge(perf(b, 2), perf(c, 3)))
    assert isinstance(left, Perf)
    assert isinstance(right, Perf)
    assert (left.frames, left.seq_first, left.seq) == (right.frames, 1, 3) == (right.frames, right.seq_first, right.seq)
    assert [s.sketch for s in left.stages.values()] == [s.sketch for s in right.stages.values()]
    assert [s.p99_s for s in left.stages.values()] == [s.p99_s for s in right.stages.values()]


def test_mean_of_p99s_is_not_what_comes_out() -> None:
    merged = merge(perf([0.010] * 1000, 1), perf([1.0] * 5, 2))
    assert isinstance(merged, Perf)
    assert merged.stages["age"].p99_s == pytest.approx(0.010, rel=0.01)


def test_stage_of_one_window_only_survives() -> None:
    lone = msgspec.structs.replace(perf([0.2], 2), stages={"age": perf([0.2]).stages["age"]})
    merged = merge(perf([0.1], 1), lone)
    assert isinstance(merged, Perf)
    assert merged.stages["invoke"].n == 1
    assert merged.stages["age"].n == 2


def test_readings_merge_to_newest_highest_and_any() -> None:
    hot = translate.therm(stamp(1), board_reading(soc_celsius=80.0))
    cool = msgspec.structs.replace(
        translate.therm(stamp(2), board_reading(soc_celsius=60.0)), throttle_bits=1, throttled=True
    )
    merged = merge(merge(hot, cool), msgspec.structs.replace(cool, seq=3, throttle_bits=None, throttled=False))
    assert isinstance(merged, Therm)
    assert (merged.soc_celsius, merged.soc_max_celsius, merged.n) == (60.0, 80.0, 3)
    assert (merged.throttle_bits, merged.throttled) == (0x50001, True)
    assert (merged.seq_first, merged.seq) == (1, 3)


def test_merged_heat_keeps_the_newest_of_every_chip() -> None:
    older = translate.therm(stamp(1), board_reading())
    first = msgspec.structs.replace(older, nvme_celsius=40.0, fan_rpm=10, cooling={"pwm-fan": 1, "a": 2})
    second = msgspec.structs.replace(older, seq=2, nvme_celsius=41.0, rp1_celsius=50.0, cooling={"pwm-fan": 3})
    merged = merge(first, second)
    assert isinstance(merged, Therm)
    assert (merged.nvme_celsius, merged.rp1_celsius, merged.fan_rpm) == (41.0, 50.0, 10)
    assert merged.cooling == {"pwm-fan": 3, "a": 2}


def test_merged_load_keeps_the_newest_of_all_memory() -> None:
    older = translate.sys(stamp(1), board_reading())
    first = msgspec.structs.replace(older, uss_bytes=1, swapped_bytes=3)
    merged = merge(first, msgspec.structs.replace(older, seq=2, uss_bytes=9))
    assert isinstance(merged, Sys)
    assert (merged.uss_bytes, merged.swapped_bytes) == (9, 3)


def test_load_merges_to_the_mean_and_failures_to_all() -> None:
    first = msgspec.structs.replace(
        translate.sys(stamp(1), board_reading()), cpu_percent=10.0, board_cpu_percent=None, rss_bytes=None
    )
    second = msgspec.structs.replace(
        first, seq=2, cpu_percent=40.0, board_cpu_percent=8.0, n=2, rss_bytes=5, failed={"clock": "gone"}
    )
    merged = merge(first, second)
    assert isinstance(merged, Sys)
    assert (merged.cpu_percent, merged.n, merged.rss_bytes) == (30.0, 3, 5)
    assert merged.board_cpu_percent == 8.0
    assert set(merged.failed) == {"apex", "clock"}
    assert merge(second, msgspec.structs.replace(first, seq=3)).rss_bytes == 5  # type: ignore[attr-defined]


def test_windows_of_different_kinds_do_not_merge() -> None:
    with pytest.raises(TypeError, match="cannot merge Perf and Sys"):
        merge(perf([0.1]), translate.sys(stamp(), board_reading()))


def test_rows_keep_their_range_and_the_older_age() -> None:
    merged = merge_rows(row("m/perf", perf([0.1], 4)), row("m/perf", perf([0.2], 5)))
    assert merged is not None
    assert (merged.seq_first, merged.seq_last, merged.queued_s) == (4, 5, 5.0)


def test_rows_do_not_merge_across_a_change_of_the_clock() -> None:
    early: Stamp = stamp(1, clk="unsynced")
    assert merge_rows(row("m/perf", translate.perf(early, perf_report())), row("m/perf", perf([0.2], 2))) is None


def test_wire_carries_sketches_of_age_and_total_only() -> None:
    stored = row("m/perf", perf([0.1, 0.2]))
    sent = msgspec.json.decode(to_wire(stored), type=Perf)
    assert {name for name, stage in sent.stages.items() if stage.sketch} == {"age", "total"}
    assert all(stage.sketch for stage in msgspec.json.decode(stored.body, type=Perf).stages.values())
    other = row("m/sys", translate.sys(stamp(), board_reading()))
    assert to_wire(other) == other.body


@given(st.lists(seconds | st.just(0.0), min_size=1, max_size=60), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_percentile_is_within_the_sketch_accuracy(values: list[float], quantile: float) -> None:
    found = bins(values)
    sketch = Sketch(offset=found.offset, counts=found.counts, zero=found.zero_count)
    true = sorted(values)[math.floor(quantile * (len(values) - 1))]
    assert percentile(sketch, quantile) == pytest.approx(true, rel=0.01001)


@given(st.lists(seconds, min_size=1, max_size=40))
def test_what_is_sent_is_as_exact_as_it_is_true_and_still_in_order(values: list[float]) -> None:
    stored = row("m/perf", perf(values))
    exact = msgspec.json.decode(stored.body, type=Perf).stages
    sent = msgspec.json.decode(to_wire(stored), type=Perf).stages
    for name, stage in sent.items():
        assert stage.n == exact[name].n
        assert stage.max_s == pytest.approx(exact[name].max_s, rel=0.0006)
        assert stage.mean_s == pytest.approx(exact[name].mean_s, rel=0.0006)
        for key in ("p50_s", "p90_s", "p99_s"):
            assert getattr(stage, key) == pytest.approx(getattr(exact[name], key), rel=0.006)
            assert len(Decimal(repr(getattr(stage, key))).normalize().as_tuple().digits) <= 4
        if exact[name].p50_s <= exact[name].p90_s <= exact[name].p99_s <= exact[name].max_s:
            assert stage.p50_s <= stage.p90_s <= stage.p99_s <= stage.max_s
