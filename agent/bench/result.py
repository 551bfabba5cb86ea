"""The result of a run as a record: one JSON file, whose schema is ``docs/schemas/bench-result.json``.

Base units (seconds, bytes, hertz, joules, degrees Celsius); ``null`` is "not known here", never zero. Readers ignore
fields that they do not know; a field never changes its meaning within ``edge-agent-bench/1``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent.bench.plan import Plan, Rules
from agent.errors import StorageError
from agent.measure import EnergySource
from agent.records import BoardInfo, RuntimeInfo, StageStats
from agent.wording import no_json

FORMAT = "edge-agent-bench/1"

MOST_BYTES = 256 * 2**20
"""Of a result that is read: a day's soak has 2 MB."""


LONGEST_S = 86_400.0
"""Of one query, a day: no run is asked to last longer."""

ROUNDED = 1e-6
"""So much, as a share, a percentile may lie above the next one: a file may have been written by another program."""

SKETCHED = 0.02
"""The same of stages, whose percentiles come from sketches of 1 %."""

Latency = Annotated[float, Meta(ge=0.0, le=LONGEST_S)]
Moment = Annotated[float, Meta(ge=0.0, le=1e9)]
Duration = Annotated[float, Meta(gt=0.0, le=1e9)]
Rate = Annotated[float, Meta(gt=0.0, le=1e9)]
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0.0, le=1e6)]
"""Where a figure of a result may lie at all; wide, so that no honest file is refused."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the result."""


class Window(Record, frozen=True, kw_only=True):
    """One stretch of the run, with what the board was like at its end.

    Attributes:
        started_s: from the begin of the measured run.
        duration_s: its length; readings of the board are taken between windows.
        queries: answered in it.
        samples_per_s: frames answered a second.
        p50_s, p90_s, p99_s, max_s: latency of a query, exact.
        age_p50_s, age_p99_s: from capture to decision; Camera only.
        dropped: frames that a newer one replaced; Camera only.
        soc_celsius, accelerator_celsius, frequency_hz, frequency_max_hz, throttle_bits, under_voltage, throttled:
            read at its end.
        others_cores: cores that other processes kept busy on average.
        own_cores: cores that this process kept busy.
        waited_share: time that this process's threads stood in the run queue, by the window's length.
        stolen_share: time that the host took from this virtual machine, by the window's length.
        energy_joules: used in it, by what the result's ``energy_source`` names.
        rss_bytes: resident memory of this process.
        disturbed: what kept the window from being a fair one.
    """

    started_s: Moment
    duration_s: Duration
    queries: Count
    samples_per_s: Rate
    p50_s: Latency
    p90_s: Latency
    p99_s: Latency
    max_s: Latency
    age_p50_s: Latency | None = None
    age_p99_s: Latency | None = None
    dropped: int | None = None
    soc_celsius: float | None = None
    accelerator_celsius: float | None = None
    frequency_hz: float | None = None
    frequency_max_hz: float | None = None
    throttle_bits: int | None = None
    under_voltage: bool | None = None
    throttled: bool | None = None
    others_cores: Share | None = None
    own_cores: Share | None = None
    waited_share: Share | None = None
    stolen_share: Share | None = None
    energy_joules: float | None = None
    rss_bytes: int | None = None
    disturbed: tuple[str, ...] = ()


class ModelFacts(Record, frozen=True, kw_only=True):
    """Which model ran."""

    name: str
    version: str
    sha256: str
    size_bytes: int
    input: str


class Source(Record, frozen=True, kw_only=True):
    """Where the frames came from, and how many different ones there were.

    Attributes:
        sha256: of the pixels of recorded files, thinned; empty where the frames are other ones each time (a live
            camera), where the address says them all (rendered scenes), and in files of an earlier version.
    """

    uri: str
    frames: int
    width: int
    height: int
    corrupt: int = 0
    sha256: str = ""


class Environment(Record, frozen=True, kw_only=True):
    """Where and with what it ran.

    Attributes:
        settings: those that decide how fast it is: the tables model and runtime.
        config_sha256: of all settings, as the birth message carries it.
    """

    agent: str
    board: BoardInfo
    runtime: RuntimeInfo
    model: ModelFacts
    source: Source
    settings: dict[str, Any]
    config_sha256: str


class Start(Record, frozen=True, kw_only=True):
    """What it takes to begin, tried in a child process of its own.

    Attributes:
        load_s: interpreter made and tensors allocated.
        first_invoke_s: the very first invoke, caches cold.
        child_peak_rss_bytes: the child's greatest resident memory, runtime and model together.
        model_step_bytes: what this process grew by when it loaded the model.
    """

    load_s: Latency
    first_invoke_s: Latency
    child_peak_rss_bytes: int
    model_step_bytes: int | None = None


class Score(Record, frozen=True, kw_only=True):
    """The whole run in a few figures.

    Attributes:
        queries: answered in all windows.
        duration_s: of all windows.
        samples_per_s: frames a second.
        p50_s, p90_s, p99_s, max_s: latency of a query, exact over the whole run.
        estimate_percentile: the scenario's own percentile.
        estimate_s: MLPerf's early-stopping estimate of it; null when there were too few queries, and for Offline and
            Camera, which MLPerf does not judge by it.
        mlperf: in which way this run is shorter or other than MLPerf's rule; empty when it is not.
    """

    queries: Count
    duration_s: Duration
    samples_per_s: Rate
    p50_s: Latency
    p90_s: Latency
    p99_s: Latency
    max_s: Latency
    estimate_percentile: float
    estimate_s: Latency | None
    mlperf: str


class Soak(Record, frozen=True, kw_only=True):
    """How the board did over time.

    Attributes:
        steady_s: begin of the steady stretch, from the begin of the run; null: it never was steady.
        first_throttle_s: end of the first window in which the board held the processor back; null: never seen.
        first_minute_per_s: frames a second of the first minute.
        steady_per_s: frames a second of the steady stretch, or of the last windows when it never was steady.
        steady_p50_s, steady_p99_s: latency there: the median of its windows' p50 and p99.
        hottest_celsius: the highest temperature of a window's end.
        energy_per_query_joules: over the whole run.
    """

    steady_s: Moment | None
    first_throttle_s: Moment | None
    first_minute_per_s: Rate
    steady_per_s: Rate
    steady_p50_s: Latency
    steady_p99_s: Latency
    hottest_celsius: float | None
    energy_per_query_joules: float | None


class Result(Record, frozen=True, kw_only=True):
    """One run.

    Attributes:
        format: names the meaning of this file.
        created: when the run began, UTC, as this board's clock had it.
        ended: ``running`` in a file that a run left behind when it was killed.
        valid: the figures may be believed and compared.
        invalid_because: why not, one sentence each.
        findings: what the run shows and no fault of it, as a throttling board in a soak.
        not_checked: what this board does not tell, so that nobody knows whether it disturbed the run.
        energy_source: who told joules: ``powercap``, the processor packages, everything on them included; ``pmic``, all
            outputs of a Raspberry Pi 5's power chip, without what it loses itself and what leaves the board at 5 V
            (USB, HAT, fan); empty: nobody.
        op_profile: time of each operation; null where the runtime does not tell it to Python.
        stages: each stage over the whole run, with its sketch.
    """

    format: Literal["edge-agent-bench/1"] = "edge-agent-bench/1"
    created: str
    ended: Literal["done", "steady", "stopped", "end of file", "running"]
    valid: bool
    invalid_because: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    plan: Plan
    rules: Rules
    environment: Environment
    start: Start | None = None
    energy_source: EnergySource = ""
    op_profile: dict[str, float] | None = None
    score: Score | None = None
    soak: Soak | None = None
    stages: dict[str, StageStats] = {}
    windows: tuple[Window, ...] = ()


def encode(result: Result) -> bytes:
    """The result as JSON, one line."""
    return msgspec.json.encode(result) + b"\n"


def decode(data: bytes, origin: str) -> Result:
    """A result that was written by :func:`encode`, of this version or a later one of the same format.

    Raises:
        StorageError: it is no such result, or has figures that no run can have; ``origin`` names it.
    """
    try:
        result = msgspec.json.decode(data, type=Result)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise StorageError(f"{origin}: is no result of edge-agent bench ({FORMAT}): {no_json(error, Result)}") from None
    expect_possible(result, origin)
    return result


def expect_possible(result: Result, origin: str) -> None:
    """What each field by itself cannot tell: whether they fit each other.

    Raises:
        StorageError: no run has such figures; ``origin`` names the file.
    """
    if result.valid and result.invalid_because:
        raise StorageError(f"{origin}: is no result of a run: valid is true beside reasons why it is not")
    if not (result.valid or result.invalid_because):
        raise StorageError(f"{origin}: is no result of a run: valid is false and invalid_because is empty")
    for place, times, slack in _times(result):
        if not all(isfinite(each) and each >= 0.0 for each in times):
            raise StorageError(f"{origin}: is no result of a run: {place} has a time that cannot be")
        if any(low > high * (1.0 + slack) for low, high in pairwise(times)):
            raise StorageError(f"{origin}: is no result of a run: p50, p90, p99 and max of {place} do not rise")


def _times(result: Result) -> Iterator[tuple[str, tuple[float, ...], float]]:
    """Everything that has p50, p90, p99 and max, with its place and how exact it is."""
    for number, window in enumerate(result.windows):
        yield f"windows[{number}]", (window.p50_s, window.p90_s, window.p99_s, window.max_s), ROUNDED
    if (score := result.score) is not None:
        yield "score", (score.p50_s, score.p90_s, score.p99_s, score.max_s), ROUNDED
    for name, stats in result.stages.items():
        yield f"stages.{name}", (stats.p50_s, stats.p90_s, stats.p99_s, stats.max_s), SKETCHED


def schema() -> dict[str, Any]:
    """The JSON Schema of a result."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Result)))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
