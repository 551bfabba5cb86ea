"""What every payload of the contract is made of: the envelope, and how a figure says its unit and kind."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

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
LightName = Literal["learning", "blocked", "corrected", "advised", "held"]
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


def metric(unit: str, kind: MetricKind, description: str) -> Meta:
    """What the metric dictionary of the birth and the JSON Schema say of a field."""
    return Meta(
        description=description, extra={"unit": unit, "kind": kind}, extra_json_schema={"x-unit": unit, "x-kind": kind}
    )


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
