"""Windows while they wait: two neighbours become one, and what is sent is slimmer than what is stored.

A waiting ``m/perf`` keeps the sketch of every stage, so that merged percentiles are those of all the values (a mean of
two p99s is no p99). On the wire only ``age`` and ``total`` carry theirs. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import msgspec

from agent.publish.batch import pack, unpack
from agent.publish.contract import SKETCH_ACCURACY, Envelope, Perf, Sketch, Stage, Sys, Therm
from agent.publish.outbox import Row
from agent.publish.topics import BY_CLASS

WIRE_SKETCHES = frozenset({"age", "total"})
"""Stages whose sketch travels."""

_GAMMA = (1.0 + SKETCH_ACCURACY) / (1.0 - SKETCH_ACCURACY)


def to_wire(row: Row) -> bytes:
    """The payload as it is sent."""
    return slim(row.cls, row.body)


def slim(cls: str, body: bytes) -> bytes:
    """The payload of a class as it is sent."""
    if cls != "m/perf":
        return body
    perf = msgspec.json.decode(body, type=Perf)
    stages = {name: _slim(name, stage) for name, stage in perf.stages.items()}
    return msgspec.json.encode(msgspec.structs.replace(perf, stages=stages))


def messages(body: bytes) -> int:
    """How many windows a stored one stands for."""
    window = msgspec.json.decode(body, type=Envelope)
    return window.seq - (window.seq_first or window.seq) + 1


def merge_rows(older: Row, newer: Row) -> Row | None:
    """One row that stands for both windows; None across a change of what the clock means."""
    payload = BY_CLASS[older.cls].payload
    first, second = (msgspec.json.decode(row.body, type=payload) for row in (older, newer))
    if first.clk != second.clk:
        return None
    body = msgspec.json.encode(merge(first, second))
    return replace(older, body=body, seq_last=newer.seq_last)


def thin(cls: str, packed: bytes) -> tuple[bytes, int] | None:
    """A pack with its neighbours merged two by two, and its lines then; None where that merges nothing."""
    try:
        payload = BY_CLASS[cls].payload
        windows = [msgspec.json.decode(line, type=payload) for line in unpack(packed)]
    except (KeyError, ValueError, msgspec.MsgspecError):  # garbled on the disk, or of a later version
        return None
    thinned: list[Envelope] = []
    may_grow = False
    for window in windows:
        first = window.seq_first or window.seq
        if may_grow and thinned[-1].seq + 1 == first and thinned[-1].clk == window.clk:
            thinned[-1] = merge(thinned[-1], window)
            may_grow = False
        else:
            thinned.append(window)
            may_grow = True
    return (
        (pack([msgspec.json.encode(each) for each in thinned]), len(thinned)) if len(thinned) < len(windows) else None
    )


def merge(first: Envelope, second: Envelope) -> Envelope:
    """Two windows of one kind as one; its ``ts`` and ``seq`` are the second's.

    Raises:
        TypeError: they are no windows, or not of one kind.
    """
    if isinstance(first, Perf) and isinstance(second, Perf):
        merged: Envelope = _merge_perf(first, second)
    elif isinstance(first, Sys) and isinstance(second, Sys):
        merged = _merge_sys(first, second)
    elif isinstance(first, Therm) and isinstance(second, Therm):
        merged = _merge_therm(first, second)
    else:
        raise TypeError(f"cannot merge {type(first).__name__} and {type(second).__name__}")
    return msgspec.structs.replace(merged, seq_first=first.seq_first or first.seq)


def percentile(sketch: Sketch, quantile: float) -> float:
    """The value at a quantile (0 to 1), within the sketch's accuracy: the middle of the bucket it falls into.

    >>> round(percentile(Sketch(offset=0, counts=(1, 0, 3)), 0.5), 3)
    1.03
    """
    rank = quantile * (sketch.zero + sum(sketch.counts) - 1)
    if rank < sketch.zero:
        return 0.0
    reached = accumulate(sketch.counts, initial=sketch.zero)
    bucket = next(i for i, total in enumerate(reached) if total > rank) - 1
    return float(2.0 * _GAMMA ** (sketch.offset + bucket) / (1.0 + _GAMMA))


def _slim(name: str, stage: Stage) -> Stage:
    """Figures as exact as they are true: a percentile comes of buckets 2 % wide, and a window's mean is no constant."""
    max_s = _digits(stage.max_s, 4)
    quantiles = (min(_digits(value, 3), max_s) for value in (stage.p50_s, stage.p90_s, stage.p99_s))
    p50_s, p90_s, p99_s = quantiles
    sketch = stage.sketch if name in WIRE_SKETCHES else None
    mean_s = _digits(stage.mean_s, 4)
    return Stage(n=stage.n, max_s=max_s, mean_s=mean_s, p50_s=p50_s, p90_s=p90_s, p99_s=p99_s, sketch=sketch)


def _digits(value: float, count: int) -> float:
    """Rounded to so many significant digits.

    >>> _digits(0.076525, 3), _digits(12.3456, 4), _digits(0.0, 3)
    (0.0765, 12.35, 0.0)
    """
    return float(f"{value:.{count}g}")


def _merge_perf(first: Perf, second: Perf) -> Perf:
    window_s = first.window_s + second.window_s
    frames = first.frames + second.frames
    return msgspec.structs.replace(
        second,
        window_s=round(window_s, 3),
        frames=frames,
        fps=round(frames / window_s, 3) if window_s > 0 else 0.0,
        dropped=first.dropped + second.dropped,
        detections=first.detections + second.detections,
        stages=_merge_stages(first.stages, second.stages),
    )


def _merge_stages(first: dict[str, Stage], second: dict[str, Stage]) -> dict[str, Stage]:
    both = {name: _merge_stage(first[name], second[name]) for name in first.keys() & second.keys()}
    return dict(sorted((first | second | both).items()))


def _merge_stage(first: Stage, second: Stage) -> Stage:
    n = first.n + second.n
    longest_s = max(first.max_s, second.max_s)
    sketch = _merge_sketches(first.sketch, second.sketch)
    p50_s, p90_s, p99_s = (min(percentile(sketch, q), longest_s) for q in (0.5, 0.9, 0.99))
    return Stage(
        n=n,
        max_s=longest_s,
        mean_s=round((first.mean_s * first.n + second.mean_s * second.n) / n, 6),
        p50_s=round(p50_s, 6),
        p90_s=round(p90_s, 6),
        p99_s=round(p99_s, 6),
        sketch=sketch,
    )


def _merge_sketches(first: Sketch | None, second: Sketch | None) -> Sketch:
    if first is None or second is None:
        raise TypeError("a stored window lacks a sketch")
    filled = [sketch for sketch in (first, second) if sketch.counts]  # one of zeros only has no place on the axis
    offset = min((sketch.offset for sketch in filled), default=0)
    end = max((sketch.offset + len(sketch.counts) for sketch in filled), default=0)
    counts = [0] * (end - offset)
    for sketch in filled:
        for bucket, count in enumerate(sketch.counts, start=sketch.offset - offset):
            counts[bucket] += count
    return Sketch(offset=offset, counts=tuple(counts), zero=first.zero + second.zero)


def _merge_sys(first: Sys, second: Sys) -> Sys:
    newest = {name: _newest(getattr(first, name), getattr(second, name)) for name in _SYS_GAUGES}
    return msgspec.structs.replace(
        second,
        **newest,
        n=first.n + second.n,
        cpu_percent=_mean((first.cpu_percent, first.n), (second.cpu_percent, second.n)),
        board_cpu_percent=_mean((first.board_cpu_percent, first.n), (second.board_cpu_percent, second.n)),
        failed=first.failed | second.failed,
    )


_SYS_GAUGES = (
    "rss_bytes", "pss_bytes", "peak_rss_bytes", "available_bytes", "threads",
    "uss_bytes", "swapped_bytes",
)  # fmt: skip
_THERM_GAUGES = (
    "soc_celsius", "accelerator_celsius", "rp1_celsius", "nvme_celsius",
    "fan_rpm", "fan_share", "frequency_hz", "frequency_max_hz",
)  # fmt: skip


def _merge_therm(first: Therm, second: Therm) -> Therm:
    newest = {name: _newest(getattr(first, name), getattr(second, name)) for name in _THERM_GAUGES}
    heat = [c for therm in (first, second) for c in (therm.soc_celsius, therm.soc_max_celsius) if c is not None]
    return msgspec.structs.replace(
        second,
        **newest,
        n=first.n + second.n,
        cooling=first.cooling | second.cooling,
        soc_max_celsius=max(heat, default=None),
        throttle_bits=_either(first.throttle_bits, second.throttle_bits),
        under_voltage=_either(first.under_voltage, second.under_voltage),
        throttled=_either(first.throttled, second.throttled),
    )


def _mean(*weighted: tuple[float | None, int]) -> float | None:
    known = [(percent, n) for percent, n in weighted if percent is not None]
    total = sum(n for _, n in known)
    return round(sum(percent * n for percent, n in known) / total, 1) if total else None


def _newest(first: Any, second: Any) -> Any:
    return first if second is None else second


def _either(first: int | None, second: int | None) -> int | None:
    """The bits set in either."""
    if first is None:
        return second
    return first if second is None else first | second
