"""The topics as data: where each payload goes, with which QoS, retained or not, and in which delivery class.

A delivery class is a family of topics that share one ``seq`` counter. Each kind of window has its own, so that a gap
in ``seq`` is a loss and a merged window stands for a plain range.
"""

from __future__ import annotations

import re
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from agent.errors import ConfigError
from agent.publish import contract
from agent.publish.contract import Envelope, Metric, Part
from agent.publish.contract_light import Corrected
from agent.publish.inbound import TO_ALL

ROOT = "edge/v1"
MAX_PACKET_BYTES = 128 * 1024
"""Largest MQTT packet that we send or take: what the strictest of the common brokers allows (AWS IoT Core)."""

_IDENT = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Topic:
    """One line of the contract.

    Attributes:
        pattern: below ``edge/v1/{site}/{device}``; ``{id}`` and ``{op}`` stand for one word each.
        cls: the delivery class.
        qos: 0 or 1.
        retain: the broker keeps the last one for whoever comes later.
        payload: the record that travels; an empty payload clears an alarm.
        description: one sentence for people.
    """

    pattern: str
    cls: str
    qos: int
    retain: bool
    payload: type[Envelope]
    description: str


TOPICS = (
    Topic("state", "state", 1, True, contract.State, "Presence; `lost` is the last will, `offline` a clean stop."),
    Topic("birth", "birth", 1, True, contract.Birth, "Who I am: agent, board, runtime, model, metric dictionary."),
    Topic("health", "health", 0, True, contract.HealthCard, "Last-value card: queue, losses, bytes, memory, camera."),
    Topic("m/perf", "m/perf", 1, False, contract.Perf, "One window of the pipeline: frames, latency of each stage."),
    Topic("m/sys", "m/sys", 1, False, contract.Sys, "Memory and load."),
    Topic("m/therm", "m/therm", 1, False, contract.Therm, "Heat, clock and power."),
    Topic("a/{id}", "a", 1, True, contract.Alarm, "An alarm while it is active; empty when it clears."),
    Topic("e/{id}", "e", 1, False, contract.Event, "Something that happened."),
    Topic("reported", "reported", 1, True, contract.Reported, "How far the board has got with `desired`."),
    Topic("d", "d", 0, False, contract.Detections, "What is there, opt-in: held counts by class and zone, boxes."),
    Topic("res/{op}/{id}", "res", 1, False, contract.Reply, "How a command went, and what it asked for."),
)

EVENTS: dict[str, type[Part]] = {"corrected": Corrected}
"""The records of `data` in events that have one, by the event's name."""

DISCOVERY = Topic("", "homeassistant", 1, True, Envelope, "Home Assistant's own: its topic and format are not ours.")

BY_CLASS = {topic.cls: topic for topic in (*TOPICS, DISCOVERY)}


@dataclass(frozen=True, slots=True)
class RawTopic:
    """A topic whose payload is no JSON object; QoS 1, not retained.

    Attributes:
        pattern: below ``edge/v1/{site}/{device}``.
        cls: under which its bytes are counted; each window in a batch keeps the delivery class of its own.
        payload: ``Batch``, many windows in one message (:mod:`agent.publish.batch`), or ``Jpeg``, a picture.
        description: one sentence for people.
    """

    pattern: str
    cls: str
    payload: str
    description: str


BATCHES = (
    RawTopic("mb", "mb", "Batch", "Windows of all kinds since the last one; instead of `P/m/...` unless `live`."),
    RawTopic("mh/{kind}", "mh", "Batch", "Windows of one kind that waited through an outage, oldest first."),
)

IMAGE = RawTopic("image", "image", "Jpeg", "A picture with its boxes for Home Assistant, a bare JPEG; opt-in.")

RAW = (*BATCHES, IMAGE)

PATTERNS = {line.cls: line.pattern for line in (*TOPICS, *RAW)}
"""The pattern of each class, the raw ones too."""

DELIVERY = {line.cls: (line.qos, line.retain) for line in (*TOPICS, DISCOVERY)} | {IMAGE.cls: (1, False)}
"""QoS and retain of what is sent as a last value, by class."""


def is_ident(word: str) -> bool:
    """Whether a word may stand in a topic: a-z, 0-9 and -, at most 64 of them."""
    return _IDENT.fullmatch(word) is not None


@dataclass(frozen=True, slots=True)
class Names:
    """The topics of one device. Raises :class:`ConfigError` for words that cannot stand in a topic."""

    site: str
    device: str

    def __post_init__(self) -> None:
        for key, word in (("site", self.site), ("id", self.device)):
            if not is_ident(word):
                raise ConfigError(f"device.{key} = {word!r} cannot be part of a topic: use 1 to 64 of a-z, 0-9 and -")

    @property
    def prefix(self) -> str:
        """``edge/v1/{site}/{device}``."""
        return f"{ROOT}/{self.site}/{self.device}"

    @property
    def client_id(self) -> str:
        """What the broker knows the connection by; one for each device, so that a second one is noticed."""
        return f"edge.{self.site}.{self.device}"

    @property
    def to_all(self) -> str:
        """What stands in front of a request to every board of the site."""
        return f"{ROOT}/{self.site}/{TO_ALL}/"

    def topic(self, below: str) -> str:
        """The whole topic of ``state``, ``m/perf``, ``a/thermal``..."""
        return f"{self.prefix}/{below}"


def is_request(names: Names, topic: str) -> bool:
    """Whether a topic is ``cmd/{op}/{id}`` of this device, or of all devices of its site."""
    for prefix in (names.topic(""), names.to_all):
        if topic.startswith(f"{prefix}cmd/"):
            return topic.removeprefix(prefix).count("/") == 2
    return False


def find(topic: str) -> Topic | None:
    """The line of the contract that a topic falls under, or None."""
    return next((line for line in TOPICS if _falls_under(topic, line.pattern)), None)


def find_batch(topic: str) -> RawTopic | None:
    """The topic of batches that a topic falls under, or None."""
    return next((line for line in BATCHES if _falls_under(topic, line.pattern)), None)


def _falls_under(topic: str, pattern: str) -> bool:
    words, shape = topic.removeprefix(f"{ROOT}/").split("/")[2:], pattern.split("/")
    return len(shape) == len(words) and all(p == w or p[0] == "{" for p, w in zip(shape, words, strict=True))


def decode(topic: str, body: bytes) -> Envelope | None:
    """The record in a payload; None for the empty payload that clears an alarm.

    Raises:
        msgspec.ValidationError: the payload is not what the contract says.
        msgspec.DecodeError: it is no JSON.
        LookupError: the topic is not in the contract.
    """
    line = find(topic)
    if line is None:
        raise LookupError(f"{topic} is not in the contract")
    if not body and line.cls == "a":
        return None
    return msgspec.json.decode(body, type=line.payload)


def packet_bytes(topic: str, body: bytes, qos: int) -> int:
    """Size of the PUBLISH packet in bytes, MQTT 5 without properties.

    >>> packet_bytes("a/b", b"hello", 1)
    15
    """
    rest = 2 + len(topic.encode()) + (2 if qos else 0) + 1 + len(body)
    digits = 1 + (rest >= 128) + (rest >= 16384) + (rest >= 2097152)
    return 1 + digits + rest


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each topic's payload, by pattern."""
    return {line.pattern: msgspec.json.schema(line.payload) for line in TOPICS}


def metric_dictionary() -> dict[str, Metric]:
    """Unit and kind of every figure that the agent can send, by class and field: ``m/perf.stages.*.p99_s``."""
    return {name: metric for line in TOPICS for name, metric in _metrics(line.payload, f"{line.cls}.")}


def _metrics(record: type[Part], prefix: str) -> list[tuple[str, Metric]]:
    found: list[tuple[str, Metric]] = []
    for name, hint in get_type_hints(record, include_extras=True).items():
        extra = _extra(hint)
        if "kind" in extra:
            found.append((f"{prefix}{name}", Metric(unit=extra["unit"], kind=extra["kind"])))
        else:
            inner, star = _part(hint)
            found += _metrics(inner, f"{prefix}{name}.{star}") if inner else []
    return found


def _extra(hint: Any) -> dict[str, Any]:
    """What :func:`contract._metric` noted beside a field."""
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((note.extra for note in notes if isinstance(note, msgspec.Meta) and note.extra), {})


def _part(hint: Any) -> tuple[type[Part] | None, str]:
    """The record inside a field, and ``*.`` when the field maps names to such records."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    star = ""
    if get_origin(plain) is dict:
        plain, star = get_args(plain)[1], "*."
    choices = get_args(plain) if get_origin(plain) in (types.UnionType, typing.Union) else (plain,)
    parts = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, Part)]
    return (parts[0] if parts else None), star
