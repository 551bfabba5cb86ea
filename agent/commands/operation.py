"""What can be asked for: the closed list, each with the record of its arguments. Never a shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent.bench import Plan
from agent.records import Answer, Command


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation takes; an unknown name is refused."""


class Snapshot(Arguments, frozen=True, kw_only=True):
    """The newest frame with its boxes."""


class Rebirth(Arguments, frozen=True, kw_only=True):
    """Say the birth again; at most once in 30 s."""


class Diag(Arguments, frozen=True, kw_only=True):
    """What a person needs to find a fault: settings without secrets, versions, sensors, queue, last log lines."""

    lines: Annotated[int, Meta(ge=0, le=200, description="Log lines, the last ones.")] = 50


class Restart(Arguments, frozen=True, kw_only=True):
    """End, and be started again by systemd; `succeeded` is said after it."""


class Relearn(Arguments, frozen=True, kw_only=True):
    """Forget what is usual here, and learn it anew: the model should be right from now on."""


class LogLevel(Arguments, frozen=True, kw_only=True):
    """Log more or less for a while."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged.")]
    for_s: Annotated[
        float, Meta(ge=1.0, le=86400.0, description="After this many seconds it goes back.", extra={"unit": "s"})
    ] = 600.0


class BenchResult(Arguments, frozen=True, kw_only=True):
    """One part of a kept result of `bench`."""

    name: Annotated[str, Meta(max_length=64, description="As the reply to `bench` names it; empty: the newest.")] = ""
    part: Annotated[
        int, Meta(ge=0, le=100_000, description="Which part, from 0; the reply says how many there are.")
    ] = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One operation as the contract offers it.

    Attributes:
        arguments: the record of its arguments.
        lasts: ``accepted`` and ``running`` are said before the last reply.
        changes: it is remembered over a crash, whatever that costs the disk.
        to_all_spread_s: least spread of a request to a whole site; None: such a request is refused.
    """

    arguments: type[msgspec.Struct]
    lasts: bool = False
    changes: bool = False
    to_all_spread_s: float | None = 1.0


KINDS: dict[str, Kind] = {
    "snapshot": Kind(Snapshot, to_all_spread_s=None),
    "rebirth": Kind(Rebirth),
    "diag": Kind(Diag, to_all_spread_s=30.0),
    "restart": Kind(Restart, lasts=True, changes=True, to_all_spread_s=60.0),
    "loglevel": Kind(LogLevel, changes=True),
    "relearn": Kind(Relearn, changes=True, to_all_spread_s=None),
    "bench": Kind(Plan, lasts=True, changes=True, to_all_spread_s=None),
    "bench-result": Kind(BenchResult, to_all_spread_s=None),
}

Operation = Callable[[Command, Any], Answer | None]
"""Carries a command out; given the command and its arguments. None: the last reply comes later."""


def offered() -> dict[str, Any]:
    """Every operation with the JSON Schema of its arguments; the birth message carries it."""
    found = {}
    for name, kind in KINDS.items():
        _, schemas = msgspec.json.schema_components([kind.arguments])
        schema = schemas[kind.arguments.__name__]
        found[name] = {key: value for key, value in schema.items() if key != "title"}
        if kind.to_all_spread_s is not None:
            found[name]["x-to-all-spread-s"] = kind.to_all_spread_s
    return found
