"""What travels on the wire: one typed record for each topic, and nothing else.

Payloads are JSON objects (UTF-8), flat where they can be, base units in the names. ``None`` means "not there" and is
left out. Readers ignore fields they don't know; a field never changes its meaning within major version 1.

What ties a record to its topic is in :mod:`agent.publish.topics`; what makes one from the agent's own records is in
:mod:`agent.publish.translate`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta

VERSION: Literal[1] = 1
"""Major version of the contract; the ``v1`` of every topic."""

SKETCH_ACCURACY = 0.01
"""Relative accuracy of every sketch on the wire: one schema for all boards, so that adding counts merges exactly."""

Clock = Literal["ok", "unsynced", "stepped"]
StateName = Literal["online", "degraded", "updating", "safe-mode", "offline", "lost"]
MetricKind = Literal["gauge", "counter", "sketch"]
PaceName = Literal["paced", "slowest", "blind"]
Scalar = str | int | float | bool | None

Wish = Scalar | list[str] | dict[str, float]
"""The value of a setting: a word, a figure, a list of names, or figures by name."""


class Stamp(TypedDict):
    """The envelope's fields, ready to be given to a payload's constructor."""

    v: Literal[1]
    id: str
    boot: str
    conn: int
    seq: int
    ts: float
    clk: Clock
    up: float | None


def _metric(unit: str, kind: MetricKind, description: str) -> Meta:
    """What the metric dictionary of the birth and the JSON Schema say of a field."""
    return Meta(
        description=description, extra={"unit": unit, "kind": kind}, extra_json_schema={"x-unit": unit, "x-kind": kind}
    )


class Totals(TypedDict):
    """What the publisher counts, ready to be given to :class:`HealthCard`."""

    published: int
    acked: int
    merged: int
    dropped: dict[str, int]
    refused: dict[str, int]
    bytes_out: dict[str, int]
    disk_bytes_written: int
    disk_faults: int
    lost_at_restart: dict[str, int]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a payload; fields that are ``None`` are left out."""


class Envelope(Part, frozen=True, kw_only=True):
    """What every payload carries; ``(id, boot, class, seq)`` names it once and for all."""

    v: Annotated[Literal[1], Meta(description="Major version of the contract.")]
    id: Annotated[str, Meta(description="The device, as in the topic.")]
    boot: Annotated[str, Meta(description="New for each start of the agent.")]
    conn: Annotated[int, Meta(ge=0, description="Connection under which this was made; 0 before the first.")]
    seq: Annotated[int, Meta(ge=1, description="Counts up for each boot and delivery class.")]
    ts: Annotated[
        float,
        Meta(
            description="When it was so: unix time, seconds; of a window, its end.", extra_json_schema={"x-unit": "s"}
        ),
    ]
    clk: Annotated[
        Clock,
        Meta(
            description="ok; unsynced: ts means nothing yet, the board has not learned the time; "
            "stepped: the clock was set after this was recorded, and ts was moved by as much."
        ),
    ]
    up: Annotated[float | None, Meta(description="The monotonic clock at ts, seconds; only while unsynced.")] = None
    seq_first: Annotated[int | None, Meta(description="Merged windows: this one stands for seq_first to seq.")] = None


class State(Envelope, frozen=True, kw_only=True):
    """Presence. ``lost`` is only ever sent by the broker, as the last will of the connection ``conn``."""

    state: Annotated[StateName, Meta(description="What the agent is doing; offline is a clean stop.")]
    reason: Annotated[str | None, Meta(description="One sentence, where there is something to say.")] = None


class BoardCard(Part, frozen=True, kw_only=True):
    """The machine."""

    model: str
    machine: str
    cores: int
    os: str
    kernel: str
    python: str
    memory_bytes: int | None = None


class RuntimeCard(Part, frozen=True, kw_only=True):
    """What runs the model."""

    backend: str
    version: str
    num_threads: int
    delegate: str | None = None


class ModelCard(Part, frozen=True, kw_only=True):
    """Which model runs."""

    name: str
    version: str
    sha256: str
    input: str
    num_classes: int | None = None


class Metric(Part, frozen=True, kw_only=True):
    """One line of the metric dictionary."""

    unit: str
    kind: MetricKind


class Birth(Envelope, frozen=True, kw_only=True):
    """Who I am; sent anew on every connection, with the ``conn`` of that connection's last will."""

    agent: Annotated[str, Meta(description="Version of the agent.")]
    config_sha256: Annotated[str, Meta(description="Of the configuration in force; may be cut short.")]
    board: BoardCard
    metrics: Annotated[dict[str, Metric], Meta(description="What is measured: topic and field, * for any stage.")]
    commands: Annotated[dict[str, Any], Meta(description="Commands offered, with the schema of their arguments.")]
    runtime: RuntimeCard | None = None
    model: ModelCard | None = None


class CameraCard(Part, frozen=True, kw_only=True):
    """How the camera is."""

    state: str
    frames_total: Annotated[int, _metric("1", "counter", "Frames that the source gave.")]
    dropped_total: Annotated[int, _metric("1", "counter", "Frames that a newer one replaced.")]
    reconnects_total: Annotated[int, _metric("1", "counter", "Times that the source was opened again.")]
    corrupt_total: Annotated[int, _metric("1", "counter", "Frames that could not be decoded.")]
    reason: str | None = None


class QueueCard(Part, frozen=True, kw_only=True):
    """What waits for the broker."""

    rows: Annotated[int, _metric("1", "gauge", "Messages that wait or are unacknowledged.")]
    bytes: Annotated[int, _metric("bytes", "gauge", "Memory they take.")]
    disk_bytes: Annotated[int, _metric("bytes", "gauge", "What lies on the disk of it.")] = 0
    oldest_s: Annotated[float, _metric("s", "gauge", "Age of the oldest one.")]


class HealthCard(Envelope, frozen=True, kw_only=True):
    """The last-value card. The counters count from the agent's start; ``by class`` means a delivery class."""

    uptime_s: Annotated[float, _metric("s", "gauge", "Since the agent's start.")]
    camera: CameraCard
    queue: QueueCard
    blind_s: Annotated[float, _metric("s", "counter", "Time without a usable picture.")]
    published: Annotated[int, _metric("1", "counter", "Messages handed to the broker, repeats included.")]
    acked: Annotated[int, _metric("1", "counter", "Messages that the broker acknowledged.")]
    merged: Annotated[int, _metric("1", "counter", "Windows that were merged into a neighbour to save memory.")]
    dropped: Annotated[dict[str, int], _metric("1", "counter", "Messages given up, by class: each one is lost.")]
    refused: Annotated[dict[str, int], _metric("1", "counter", "Messages the broker refused, by class: each is lost.")]
    bytes_out: Annotated[dict[str, int], _metric("bytes", "counter", "MQTT bytes sent, by class.")]
    disk_bytes_written: Annotated[int, _metric("bytes", "counter", "Written to save what waits.")] = 0
    disk_faults: Annotated[int, _metric("1", "counter", "Times that the disk did not take or give it.")] = 0
    lost_at_restart: Annotated[
        dict[str, int], _metric("1", "counter", "What former starts had made and nobody has, by class.")
    ] = {}
    fps: Annotated[float | None, _metric("1/s", "gauge", "Frames answered a second.")] = None
    rss_bytes: Annotated[int | None, _metric("bytes", "gauge", "Memory of the agent.")] = None
    soc_celsius: Annotated[float | None, _metric("Cel", "gauge", "The processor's temperature.")] = None
    throttle_bits: Annotated[int | None, _metric("1", "gauge", "The Raspberry Pi firmware's throttle word.")] = None
    under_voltage: Annotated[bool | None, _metric("1", "gauge", "Under-volted.")] = None
    throttled: Annotated[bool | None, _metric("1", "gauge", "Throttled or capped.")] = None
    age_p50_s: Annotated[float | None, _metric("s", "gauge", "Capture to answer, newest window, median.")] = None
    age_p99_s: Annotated[float | None, _metric("s", "gauge", "The same, 99th percentile.")] = None
    total_p50_s: Annotated[float | None, _metric("s", "gauge", "Work on a frame, newest window, median.")] = None
    total_p99_s: Annotated[float | None, _metric("s", "gauge", "The same, 99th percentile.")] = None
    pace: Annotated[
        PaceName | None,
        Meta(
            description="The thermal governor: paced, slowest (as few frames as allowed and still too hot), blind (no "
            "temperature to go by); not there: all frames are taken."
        ),
    ] = None
    pace_fps: Annotated[float | None, _metric("1/s", "gauge", "Frames a second that it allows at most.")] = None
    pace_acted: Annotated[bool | None, Meta(description="It is done; else it is advice.")] = None
    pace_reason: Annotated[str | None, Meta(description="Why, one sentence.")] = None


class Sketch(Part, frozen=True, kw_only=True):
    """A log-bucket histogram: ``counts[i]`` values lie in (g^(k-1), g^k], k = offset + i, g = 1.01 / 0.99, in seconds.

    Adding the counts of two sketches bucket by bucket merges them exactly (DDSketch, arXiv 1908.10693).
    """

    offset: Annotated[int, Meta(description="Bucket of counts[0].")]
    counts: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(description="Values in each bucket.")]
    zero: Annotated[int, Meta(ge=0, description="Values that were exactly 0.")] = 0


class Stage(Part, frozen=True, kw_only=True):
    """One stage's times; percentiles are within 1 %."""

    n: Annotated[int, _metric("1", "gauge", "Values.")]
    max_s: Annotated[float, _metric("s", "gauge", "The longest, exact.")]
    mean_s: Annotated[float, _metric("s", "gauge", "The mean, exact.")]
    p50_s: Annotated[float, _metric("s", "gauge", "Median.")]
    p90_s: Annotated[float, _metric("s", "gauge", "90th percentile.")]
    p99_s: Annotated[float, _metric("s", "gauge", "99th percentile.")]
    sketch: Annotated[Sketch | None, _metric("s", "sketch", "The distribution, mergeable; age and total only.")] = None


class Perf(Envelope, frozen=True, kw_only=True):
    """One window of the pipeline."""

    window_s: Annotated[float, _metric("s", "gauge", "Length of the window; of merged ones, their sum.")]
    frames: Annotated[int, _metric("1", "gauge", "Frames that got an answer.")]
    fps: Annotated[float, _metric("1/s", "gauge", "frames / window_s.")]
    dropped: Annotated[int, _metric("1", "gauge", "Frames that a newer one replaced.")]
    detections: Annotated[int, _metric("1", "gauge", "Objects found, summed over frames.")]
    stages: Annotated[dict[str, Stage], Meta(description="age, preprocess, invoke, postprocess, total.")]


class Sys(Envelope, frozen=True, kw_only=True):
    """Memory and load of the agent; of merged readings the newest, percents the mean."""

    n: Annotated[int, Meta(ge=1, description="Readings that this one stands for.")] = 1
    rss_bytes: Annotated[int | None, _metric("bytes", "gauge", "Resident memory.")] = None
    pss_bytes: Annotated[int | None, _metric("bytes", "gauge", "Proportional memory.")] = None
    peak_rss_bytes: Annotated[int | None, _metric("bytes", "gauge", "Highest resident memory since the start.")] = None
    available_bytes: Annotated[int | None, _metric("bytes", "gauge", "Memory that the board still has.")] = None
    cpu_percent: Annotated[float | None, _metric("%", "gauge", "Processor time of the agent; 100 is one core.")] = None
    board_cpu_percent: Annotated[float | None, _metric("%", "gauge", "The same of the board; 100 is all cores.")] = None
    threads: Annotated[int | None, _metric("1", "gauge", "Threads of the agent.")] = None
    failed: Annotated[dict[str, str], Meta(description="Sensors that broke, and how.")] = {}


class Therm(Envelope, frozen=True, kw_only=True):
    """Heat, clock and power; of merged readings the newest, bits and flags of any. Not sent without sensors."""

    n: Annotated[int, Meta(ge=1, description="Readings that this one stands for.")] = 1
    soc_celsius: Annotated[float | None, _metric("Cel", "gauge", "The processor's temperature.")] = None
    soc_max_celsius: Annotated[float | None, _metric("Cel", "gauge", "The highest of merged readings.")] = None
    accelerator_celsius: Annotated[float | None, _metric("Cel", "gauge", "Temperature of a Coral PCIe or M.2.")] = None
    frequency_hz: Annotated[float | None, _metric("Hz", "gauge", "The processor's clock.")] = None
    frequency_max_hz: Annotated[float | None, _metric("Hz", "gauge", "The highest that it may take.")] = None
    throttle_bits: Annotated[int | None, _metric("1", "gauge", "The Raspberry Pi firmware's throttle word.")] = None
    under_voltage: Annotated[bool | None, _metric("1", "gauge", "Under-volted.")] = None
    throttled: Annotated[bool | None, _metric("1", "gauge", "Throttled or capped.")] = None


ReplyStatus = Literal["accepted", "running", "succeeded", "failed", "rejected", "expired"]


class Request(Part, frozen=True, kw_only=True):
    """What is sent to ``cmd/{op}/{id}``: an operation of a closed list, never retained."""

    exp: Annotated[float | None, Meta(description="Unix time, seconds, after which it must not be begun.")] = None
    args: Annotated[dict[str, Any], Meta(description="What the operation takes.")] = {}
    spread_s: Annotated[
        Annotated[float, Meta(ge=1.0, le=3600.0)] | None,
        Meta(description="To all boards of a site only, and required there: seconds over which they spread."),
    ] = None


class Reply(Envelope, frozen=True, kw_only=True):
    """How a command went: ``accepted``, ``running``, then exactly one of the others."""

    op: Annotated[str, Meta(description="The operation, as in the topic.")]
    ref: Annotated[str, Meta(description="The request's id, as in the topic.")]
    status: ReplyStatus
    code: Annotated[str, Meta(description="A stable word for programs.")]
    message: Annotated[str, Meta(description="One sentence for a person.")] = ""
    data: Annotated[dict[str, Any], Meta(description="What was asked for.")] = {}


class Desired(Part, frozen=True, kw_only=True):
    """What the fleet wants a board to be, retained by the broker; an empty payload takes all of it back."""

    rev: Annotated[int, Meta(ge=1, le=2**53, description="Rises with each change; an old or equal one is ignored.")]
    config: Annotated[
        dict[str, Wish], Meta(description="Settings by dotted name, over those of the file; all of them each time.")
    ] = {}
    sampling: Annotated[dict[str, Any] | None, Meta(description="Which frames to keep; not supported yet.")] = None
    bundle: Annotated[dict[str, Any] | None, Meta(description="Which model to run; not supported yet.")] = None


class Fault(Part, frozen=True, kw_only=True):
    """Why something was refused."""

    code: Annotated[str, Meta(description="A stable word for programs.")]
    message: Annotated[str, Meta(description="One sentence for a person.")]


class Reported(Envelope, frozen=True, kw_only=True):
    """How far the board has got with what is desired; all of a revision is applied, or nothing."""

    rev_seen: Annotated[int, Meta(ge=0, description="The newest revision that came; 0: none.")]
    rev_applied: Annotated[int, Meta(ge=0, description="The revision in force; 0: none.")]
    phase: Annotated[
        Literal["idle", "applying", "applied", "failed"],
        Meta(description="idle: nothing is desired; failed: the newest was refused, and rev_applied stays in force."),
    ]
    percent: Annotated[
        Annotated[int, Meta(ge=0, le=100)] | None, Meta(description="While applying takes its time.")
    ] = None
    error: Annotated[Fault | None, Meta(description="Why the newest was refused.")] = None
    bundle: Annotated[str | None, Meta(description="The model in use: name and version.")] = None
    previous: Annotated[str | None, Meta(description="The one before, that it can go back to.")] = None
    config: Annotated[dict[str, Wish], Meta(description="Settings in force over those of the file.")] = {}


class Alarm(Envelope, frozen=True, kw_only=True):
    """An alarm while it is active; when it clears, the topic gets an empty payload."""

    alarm: Annotated[str, Meta(description="Its name, the last word of the topic.")]
    message: Annotated[str, Meta(description="One sentence for a person.")]


class Event(Envelope, frozen=True, kw_only=True):
    """Something that happened once."""

    event: Annotated[str, Meta(description="Its kind, the last word of the topic.")]
    data: Annotated[dict[str, Scalar], Meta(description="What belongs to it.")] = {}


class Box(Part, frozen=True, kw_only=True):
    """One object of one frame; nothing says that it is the same as one of another frame."""

    label: Annotated[str, Meta(description="The class's name.")]
    confidence: Annotated[float, _metric("1", "gauge", "0 to 1.")]
    xyxy: Annotated[
        tuple[float, float, float, float], Meta(description="Left, top, right, bottom, relative to the frame: 0 to 1.")
    ]
    zones: Annotated[tuple[str, ...], Meta(description="Counted zones that the centre of its box lies in.")] = ()


class Detections(Envelope, frozen=True, kw_only=True):
    """What is there. ``known`` false: there is no answer, which is not "no objects"; then no field below is there."""

    known: Annotated[bool, Meta(description="Whether there is an answer.")]
    reason: Annotated[str | None, Meta(description="One sentence while there is none.")] = None
    sequence: Annotated[int | None, _metric("1", "counter", "Number of the newest frame.")] = None
    age_s: Annotated[float | None, _metric("s", "gauge", "Age of that frame when it was answered.")] = None
    counts: Annotated[
        dict[str, int] | None, Meta(description="Objects by class, held; a class that is not named has none.")
    ] = None
    zones: Annotated[dict[str, dict[str, int]] | None, Meta(description="The same for each counted zone.")] = None
    boxes: Annotated[tuple[Box, ...] | None, Meta(description="What the newest frame shows, best first.")] = None
