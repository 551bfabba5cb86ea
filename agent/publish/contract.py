"""What travels on the wire: one typed record for each topic, and nothing else.

Payloads are JSON objects (UTF-8), flat where they can be, base units in the names. ``None`` means "not there" and is
left out. A field never changes its meaning within major version 1. Readers ignore fields they don't know; only what a
board is *asked* for (:class:`Request`, :class:`Desired`) is refused with one, for half of it must not be carried out.

What ties a record to its topic is in :mod:`agent.publish.topics`; what makes one from the agent's own records is in
:mod:`agent.publish.translate`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from agent.publish.contract_base import (
    SKETCH_ACCURACY,
    VERSION,
    Clock,
    Envelope,
    MetricKind,
    PaceName,
    Part,
    Scalar,
    Stamp,
    StateName,
    Wish,
)
from agent.publish.contract_base import metric as _metric
from agent.publish.contract_board import BoardCard, CameraCard, HealthCard, QueueCard, Sys, Therm, Totals

__all__ = [  # what comes from the other two files, beside what stands here
    "SKETCH_ACCURACY",
    "VERSION",
    "BoardCard",
    "CameraCard",
    "Clock",
    "Envelope",
    "HealthCard",
    "MetricKind",
    "PaceName",
    "Part",
    "QueueCard",
    "Scalar",
    "Stamp",
    "StateName",
    "Sys",
    "Therm",
    "Totals",
    "Wish",
]


class State(Envelope, frozen=True, kw_only=True):
    """Presence. ``lost`` is only ever sent by the broker, as the last will of the connection ``conn``."""

    state: Annotated[StateName, Meta(description="What the agent is doing; offline is a clean stop.")]
    reason: Annotated[str | None, Meta(description="One sentence, where there is something to say.")] = None


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
    arena_bytes: Annotated[
        int | None, Meta(description="Least memory of the tensors between its operations, from the file.")
    ] = None


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


ReplyStatus = Literal["accepted", "running", "succeeded", "failed", "rejected", "expired"]


class Request(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class Desired(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
