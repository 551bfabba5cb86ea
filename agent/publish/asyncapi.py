"""The contract as an AsyncAPI 3.0 document, made from the tables of topics and the records that travel.

``python -m tools.reference`` writes it to ``asyncapi.json`` beside this file; :func:`shipped` reads it from there.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import msgspec

from agent.publish.contract import VERSION, Part
from agent.publish.inbound import INBOUND
from agent.publish.topics import EVENTS, RAW, ROOT, TOPICS

FILE_NAME = "asyncapi.json"

_ASYNCAPI = "3.0.0"
_MQTT_BINDING = "0.2.0"
_RAW = {
    "Batch": {
        "summary": "Windows, one JSON object a line, deflated (zlib); each carries its `kind`: perf, sys or therm.",
        "contentType": "application/x-ndjson",
        "payload": {"type": "string", "contentMediaType": "application/x-ndjson", "contentEncoding": "deflate"},
    },
    "Jpeg": {
        "summary": "A picture as a camera's file has it, without an envelope; at most 80 KiB.",
        "contentType": "image/jpeg",
        "payload": {"type": "string", "contentMediaType": "image/jpeg"},
    },
}
_PARAMETERS = {
    "site": "Place in the fleet: 1 to 64 of a-z, 0-9 and -.",
    "device": "The board, unique in its site: 1 to 64 of a-z, 0-9 and -.",
    "op": "An operation; the birth lists those that are offered.",
    "id": "A word of 1 to 64 of a-z, 0-9 and -: of an alarm or event its name, of a request the sender's choice.",
    "kind": "What the windows are of.",
}


def document() -> dict[str, Any]:
    """The whole document, as JSON takes it."""
    payloads = list({line.payload.__name__: line.payload for line in (*TOPICS, *INBOUND)}.values())
    _, schemas = msgspec.json.schema_components(
        [*payloads, *EVENTS.values()], ref_template="#/components/schemas/{name}"
    )
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for line in TOPICS:
        name = _name(line.pattern)
        channels[name] = _channel(f"{ROOT}/{{site}}/{{device}}/{line.pattern}", line.payload.__name__, line.description)
        operations[f"send-{name}"] = _operation("send", name, line.payload.__name__, line.qos, retain=line.retain)
    channels["e"]["x-data"] = {name: {"$ref": f"#/components/schemas/{kind.__name__}"} for name, kind in EVENTS.items()}
    for raw in RAW:
        name = _name(raw.pattern)
        channels[name] = _channel(f"{ROOT}/{{site}}/{{device}}/{raw.pattern}", raw.payload, raw.description)
        operations[f"send-{name}"] = _operation("send", name, raw.payload, 1, retain=False)
    for inbound in INBOUND:
        channels[inbound.name] = _channel(
            f"{ROOT}/{{site}}/{inbound.pattern}", inbound.payload.__name__, inbound.description
        )
        operations[f"receive-{inbound.name}"] = _operation(
            "receive", inbound.name, inbound.payload.__name__, 1, retain=inbound.retain
        )
    return {
        "asyncapi": _ASYNCAPI,
        "info": _INFO,
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": schemas,
            "messages": {kind.__name__: _message(kind) for kind in payloads} | _RAW,
        },
    }


def text() -> str:
    """The document as the file holds it."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def shipped() -> str:
    """The document that came with the package."""
    return resources.files("agent.publish").joinpath(FILE_NAME).read_text(encoding="utf-8")


_INFO = {
    "title": "edge-agent",
    "version": f"{VERSION}.0.0",
    "description": "What an edge-agent tells its MQTT broker, and what it listens to. Operations are the agent's: "
    "it sends, it receives. docs/mqtt.md explains the envelope and what a reader can rely on.",
    "license": {"name": "Apache-2.0"},
}


def _name(pattern: str) -> str:
    """``m/perf`` is called ``m-perf``, ``res/{op}/{id}`` is called ``res``."""
    return "-".join(word for word in pattern.split("/") if not word.startswith("{"))


def _channel(address: str, message: str, description: str) -> dict[str, Any]:
    used = re.findall(r"\{(\w+)\}", address)
    return {
        "address": address,
        "description": description,
        "parameters": {name: {"description": _PARAMETERS[name]} for name in used},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(action: str, channel: str, message: str, qos: int, *, retain: bool) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
        "bindings": {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": _MQTT_BINDING}},
    }


def _message(payload: type[Part]) -> dict[str, Any]:
    return {
        "summary": (payload.__doc__ or "").splitlines()[0],
        "payload": {"$ref": f"#/components/schemas/{payload.__name__}"},
    }
