"""The contract for a terminal: a table for people, lines of JSON for programs, the schema of one payload."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from agent.errors import ConfigError
from agent.publish.inbound import INBOUND
from agent.publish.topics import RAW, ROOT, TOPICS

_BARE = {"Batch": "a batch of m/perf, m/sys and m/therm, deflated", "Jpeg": "a bare JPEG"}
"""What travels without being a JSON object, in words."""


def rows() -> Iterator[dict[str, Any]]:
    """Every topic as plain values, what the agent sends first; ``schema`` is what :func:`schema_of` takes."""
    own = f"{ROOT}/{{site}}/{{device}}"
    for line in TOPICS:
        way = ("sends", line.qos, line.retain, line.cls)
        yield _row(f"{own}/{line.pattern}", way, line.payload.__name__, line.pattern, line.description)
    for raw in RAW:
        yield _row(f"{own}/{raw.pattern}", ("sends", 1, False, raw.cls), raw.payload, "", raw.description)
    for inbound in INBOUND:
        way = ("receives", 1, inbound.retain, "")
        yield _row(
            f"{ROOT}/{{site}}/{inbound.pattern}", way, inbound.payload.__name__, inbound.name, inbound.description
        )


def _row(topic: str, way: tuple[str, int, bool, str], payload: str, schema: str, description: str) -> dict[str, Any]:
    plain = ("topic", "direction", "qos", "retain", "class", "payload", "schema", "description")
    return dict(zip(plain, (topic, *way, payload, schema, description), strict=True))


def lines() -> str:
    """Every topic as one object a line."""
    return "\n".join(json.dumps(row) for row in rows())


def table() -> str:
    """Every topic with a sentence."""
    shown = [
        (row["topic"], f"{row['direction']} {row['payload']}", _delivery(row), row["description"]) for row in rows()
    ]
    wide = [max(len(cells[place]) for cells in shown) for place in range(3)]
    return "\n".join(
        f"{topic:<{wide[0]}}  {what:<{wide[1]}}  {how:<{wide[2]}}  {why}" for topic, what, how, why in shown
    )


def schema_of(pattern: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the payload of ``m/perf``, ``a/{id}``, ``cmd``...

    Raises:
        ConfigError: no topic is called that.
    """
    payloads = {line.pattern: line.payload for line in TOPICS} | {line.name: line.payload for line in INBOUND}
    if pattern not in payloads:
        bare = {raw.pattern: _BARE[raw.payload] for raw in RAW} | {"mh": _BARE["Batch"]}
        if pattern in bare:
            raise ConfigError(f"{pattern} has no schema of its own: it is {bare[pattern]}")
        near = difflib.get_close_matches(pattern, payloads, n=1)
        mend = f"did you mean {near[0]}?" if near else f"known: {', '.join(payloads)}"
        raise ConfigError(f"no topic is called {pattern!r}; {mend}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(payloads[pattern])}


def _delivery(row: dict[str, Any]) -> str:
    return f"QoS {row['qos']}{', retained' if row['retain'] else ''}"
