"""The contract for a terminal: a table for people, lines of JSON for programs, the schema of one payload."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from agent.errors import ConfigError
from agent.publish.inbound import INBOUND
from agent.publish.topics import BATCHES, ROOT, TOPICS


def rows() -> Iterator[dict[str, Any]]:
    """Every topic as plain values, what the agent sends first; ``schema`` is what :func:`schema_of` takes."""
    for line in TOPICS:
        yield {
            "topic": f"{ROOT}/{{site}}/{{device}}/{line.pattern}",
            "direction": "sends",
            "qos": line.qos,
            "retain": line.retain,
            "class": line.cls,
            "payload": line.payload.__name__,
            "schema": line.pattern,
            "description": line.description,
        }
    for batch in BATCHES:
        yield {
            "topic": f"{ROOT}/{{site}}/{{device}}/{batch.pattern}",
            "direction": "sends",
            "qos": 1,
            "retain": False,
            "class": batch.cls,
            "payload": "Batch",
            "schema": "",
            "description": batch.description,
        }
    for inbound in INBOUND:
        yield {
            "topic": f"{ROOT}/{{site}}/{inbound.pattern}",
            "direction": "receives",
            "qos": 1,
            "retain": inbound.retain,
            "class": "",
            "payload": inbound.payload.__name__,
            "schema": inbound.name,
            "description": inbound.description,
        }


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
        near = difflib.get_close_matches(pattern, payloads, n=1)
        mend = f"did you mean {near[0]}?" if near else f"known: {', '.join(payloads)}"
        raise ConfigError(f"no topic is called {pattern!r}; {mend}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(payloads[pattern])}


def _delivery(row: dict[str, Any]) -> str:
    return f"QoS {row['qos']}{', retained' if row['retain'] else ''}"
