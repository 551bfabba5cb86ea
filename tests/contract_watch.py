"""Looks at every payload that the agent sends in a test: its JSON Schema, its topic, its size.

The fake link and the observer of a real broker ask here, so no test has to.
"""

from __future__ import annotations

import json
import re
from functools import cache

import msgspec
from jsonschema import Draft202012Validator

from agent.publish import batch, topics

_NOT_OURS = re.compile(r"edge/v1/[^/]+/(\$all/.*|[^/]+/(cmd/.*|desired))|(?!edge/v1/).*")
"""What others send to the agent, and other topics altogether."""

_foreign: set[tuple[str, bytes]] = set()


def foreign(topic: str, body: bytes) -> None:
    """A test sends this itself, perhaps as rubbish: it is not held against the agent."""
    _foreign.add((topic, body))


def complaint(topic: str, body: bytes) -> str:
    """What is wrong with a payload; empty when it keeps the contract."""
    if _NOT_OURS.fullmatch(topic) or (topic, body) in _foreign:
        return ""
    raw = _batch_complaint if topics.find_batch(topic) else _picture_complaint if is_picture(topic) else None
    if raw is not None:
        return raw(topic, body)
    line = topics.find(topic)
    if line is None:
        return f"{topic} is not in the contract"
    if not body:
        return "" if line.retain else f"{topic}: empty"  # cleared: an alarm, or a board that was purged
    if topics.packet_bytes(topic, body, line.qos) > topics.MAX_PACKET_BYTES:
        return f"{topic}: {len(body)} bytes"
    return _schema_complaint(topic, body, line)


def is_picture(topic: str) -> bool:
    return topic.split("/")[4:] == [topics.IMAGE.pattern]


def _picture_complaint(topic: str, body: bytes) -> str:
    if topics.packet_bytes(topic, body, 1) > topics.MAX_PACKET_BYTES:
        return f"{topic}: {len(body)} bytes"
    return "" if body.startswith(b"\xff\xd8\xff") and body.endswith(b"\xff\xd9") else f"{topic}: no JPEG"


def _batch_complaint(topic: str, body: bytes) -> str:
    if topics.packet_bytes(topic, body, 1) > topics.MAX_PACKET_BYTES:
        return f"{topic}: {len(body)} bytes"
    for text in batch.unpack(body):
        window = json.loads(text)
        alone = f"{topic.partition('/m')[0]}/m/{window.pop('kind')}"
        line = topics.find(alone)
        found = f"{alone} is not in the contract" if line is None else ""
        if line is not None:
            found = _schema_complaint(alone, json.dumps(window).encode(), line)
        if found:
            return f"{topic}: {found}"
    return ""


def _schema_complaint(topic: str, body: bytes, line: topics.Topic) -> str:
    value = json.loads(body, parse_constant=_refuse)
    for error in _validator(line.pattern).iter_errors(value):
        return f"{topic}: {error.json_path}: {error.message}"
    known = json.loads(msgspec.json.encode(topics.decode(topic, body)))
    if value.get("event") in topics.EVENTS:
        kind = topics.EVENTS[value["event"]]
        if value["data"] != json.loads(msgspec.json.encode(msgspec.convert(value["data"], kind))):
            return f"{topic}: a field that {kind.__name__} does not know, in {body[:500]!r}"
    return "" if known == value else f"{topic}: a field that the contract does not know, in {body[:500]!r}"


@cache
def _validator(pattern: str) -> Draft202012Validator:
    return Draft202012Validator(topics.schemas()[pattern])


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON")
