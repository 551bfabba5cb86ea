"""Home Assistant: one discovery message for the whole board, made from what it really publishes.

Sensors live on the retained health card, presence on ``P/d``, availability on ``P/state``: no batch has to be unpacked.
A sensor that this board does not have is not announced. The message is Home Assistant's format, not ours:
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. Pure.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from agent.config import Config
from agent.publish.topics import Names
from agent.records import Health, Identity, Labels

CLS = "homeassistant"

NO_MODEL = "unknown"
"""What a board without a device tree is called; Home Assistant would show the word as its model."""

MAX_SPREAD_S = 30.0
"""A restarted Home Assistant asks the whole fleet at once; each board answers after 0 to this many seconds."""

MOST_CLASSES = 8
"""Where no classes are named, a model of at most so many gets a presence sensor for each."""

MOST_PRESENCES = 100
"""Bounds the message: some 300 bytes each."""

_ALIVE = ("online", "degraded", "updating", "safe-mode")

Component = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HomePlan:
    """What is to be announced.

    Attributes:
        prefix: Home Assistant's discovery prefix.
        health_s: how often the health card comes.
        presence_s: how often ``P/d`` comes at the least; 0: there is no telling.
        presences: zone (empty: the whole picture) and class of each presence sensor.
    """

    prefix: str
    health_s: float
    presence_s: float = 0.0
    presences: tuple[tuple[str, str], ...] = ()


def plan(config: Config, labels: Labels, zones: Iterable[str]) -> HomePlan | None:
    """What the settings ask for; None when Home Assistant is off.

    Args:
        config: the settings.
        labels: class names of the model.
        zones: names of the counted zones.
    """
    if not config.homeassistant.enabled:
        return None
    seen = config.detections
    names = sorted(set(labels.names.values()))
    classes = seen.classes or (names if len(names) <= MOST_CLASSES else [])
    pairs = [(zone, label) for zone in ("", *zones) for label in classes] if seen.mode != "off" else []
    every_s = max(seen.repeat_s, seen.interval_s if seen.mode == "rate" else 0.0) if seen.repeat_s else 0.0
    return HomePlan(config.homeassistant.prefix, config.mqtt.health_s, every_s, tuple(pairs[:MOST_PRESENCES]))


class Announcer:
    """When the board is announced, and how; owned by the mqtt thread."""

    def __init__(self, names: Names, plan: HomePlan, clock: Callable[[], float], rng: Random) -> None:
        self._names, self._plan, self._clock, self._rng = names, plan, clock, rng
        self._due_s: float | None = None
        self._gone: set[str] = set()
        self._sensors: tuple[bool, ...] = ()

    @property
    def topic(self) -> str:
        """Where the announcement goes."""
        return discovery_topic(self._plan.prefix, self._names)

    @property
    def status_topic(self) -> str:
        """Where Home Assistant says that it has come up."""
        return f"{self._plan.prefix}/status"

    def heard(self, body: bytes) -> None:
        """Home Assistant said how it is; once it is up, it is told again, some time later."""
        if body == b"online":
            self._due_s = self._clock() + self._rng.uniform(0.0, MAX_SPREAD_S)

    def replan(self, plan: HomePlan) -> None:
        """The settings changed; what was announced and is no more is taken back, until the next start."""
        now = set(_presences(self._names, plan))
        self._gone = (self._gone | set(_presences(self._names, self._plan))) - now
        self._plan = replace(plan, prefix=self._plan.prefix)

    def take_due(self) -> bool:
        """True once, when the time has come to announce again."""
        if self._due_s is None or self._clock() < self._due_s:
            return False
        self._due_s = None
        return True

    def learn(self, health: Health) -> bool:
        """Takes in which sensors this board has; True when that is news."""
        thermal = health.board.thermal
        gauges = (thermal.soc_celsius, thermal.throttled, thermal.under_voltage)
        before, self._sensors = self._sensors, tuple(gauge is not None for gauge in gauges)
        return before != self._sensors

    def body(self, identity: Identity, health: Health) -> bytes:
        """The announcement."""
        message = discovery(self._names, self._plan, identity, health)
        # nothing but its platform: so a component is taken away
        message["cmps"] |= {key: {"p": "binary_sensor"} for key in sorted(self._gone)}
        return json.dumps(message, separators=(",", ":")).encode()


def discovery_topic(prefix: str, names: Names) -> str:
    """Where a board's announcement goes."""
    return f"{prefix}/device/{_unique(names)}/config"


def discovery(names: Names, plan: HomePlan, identity: Identity, health: Health) -> dict[str, Any]:
    """The discovery message of one board."""
    alive = ", ".join(f"'{state}'" for state in _ALIVE)
    template = f"{{{{ 'online' if value_json.state in [{alive}] else 'offline' }}}}"
    components = {**_health(plan, health), "problem": _problem(names), "image": _image(names)}
    components |= _presences(names, plan)
    for key, component in components.items():
        component["unique_id"] = f"{_unique(names)}-{key}"
    model = identity.model
    return {
        "dev": {
            "ids": [_unique(names)],
            "name": names.device,
            "mf": "edge-agent",
            **({"mdl": identity.board.model} if identity.board.model != NO_MODEL else {}),
            "sw": f"{identity.agent_version}, {model.name} {model.version}".rstrip()
            if model
            else identity.agent_version,
        },
        "o": {"name": "edge-agent", "sw": identity.agent_version},
        "state_topic": names.topic("health"),
        "availability": [{"topic": names.topic("state"), "value_template": template}],
        "availability_mode": "all",
        "qos": 1,
        "cmps": components,
    }


def _unique(names: Names) -> str:
    return f"edge-{names.site}-{names.device}"


def _health(plan: HomePlan, health: Health) -> dict[str, Component]:
    """What stands on the health card."""
    bad = "'OFF' if value_json.camera.state in ['streaming', 'ended'] else 'ON'"
    found = {
        "fps": _sensor("Frames per second", "value_json.fps", "fps", None),
        "total-p50": _sensor("Inference time, median", _scaled("total_p50_s", "* 1000"), "ms", "duration"),
        "total-p99": _sensor("Inference time, 99th percentile", _scaled("total_p99_s", "* 1000"), "ms", "duration"),
        "age-p99": _sensor("Age of the answer, 99th percentile", _scaled("age_p99_s", "* 1000"), "ms", "duration"),
        "rss": _sensor("Memory", _scaled("rss_bytes", "/ 1048576"), "MiB", "data_size"),
        "blind": _sensor("Time without an answer", "value_json.blind_s", "s", "duration")
        | {"state_class": "total_increasing"},
        "uptime": _sensor("Time since the last start", "value_json.uptime_s", "s", "duration"),
        "camera": _flag("Camera", bad, "problem"),
    }
    if health.board.thermal.soc_celsius is not None:
        found["soc"] = _sensor("Processor temperature", "value_json.soc_celsius", "°C", "temperature")
    if health.board.thermal.throttled is not None:
        found["throttled"] = _flag("Throttled", _on_off("throttled"), "problem")
    if health.board.thermal.under_voltage is not None:
        found["under-voltage"] = _flag("Under-voltage", _on_off("under_voltage"), "problem")
    expire = {"expire_after": math.ceil(3 * plan.health_s), "entity_category": "diagnostic"}
    return {key: component | expire for key, component in found.items()}


def _problem(names: Names) -> Component:
    """The agent's own word that something is wrong; its reason is an attribute."""
    component = _flag("Problem", "'ON' if value_json.state == 'degraded' else 'OFF'", "problem")
    topic = names.topic("state")
    return component | {"state_topic": topic, "json_attributes_topic": topic, "entity_category": "diagnostic"}


def _image(names: Names) -> Component:
    """The last picture that was sent; Home Assistant keeps it for as long as it runs, the broker does not."""
    return {"p": "image", "name": "Snapshot", "image_topic": names.topic("image"), "content_type": "image/jpeg"}


def _presences(names: Names, plan: HomePlan) -> dict[str, Component]:
    expire = {"expire_after": math.ceil(3 * plan.presence_s)} if plan.presence_s else {}
    return {
        _presence_key(zone, label): {
            "p": "binary_sensor",
            "name": f"{label} in {zone}" if zone else label,
            "device_class": "occupancy",
            "state_topic": names.topic("d"),
            "value_template": _presence(zone, label),
            **expire,
        }
        for zone, label in plan.presences
    }


def _presence_key(zone: str, label: str) -> str:
    """A slug has no two hyphens in a row, so these two keep zone and class apart."""
    where = f"-{_slug(zone, 'zone')}" if zone else ""
    return f"presence{where}--{_slug(label, 'class')}"


def _presence(zone: str, label: str) -> str:
    """No answer is unknown: Home Assistant takes the word None for that."""
    counts = f"value_json.zones.get({_quoted(zone)}, {{}})" if zone else "value_json.counts"
    return f"{{{{ None if not value_json.known else 'ON' if {counts}.get({_quoted(label)}, 0) > 0 else 'OFF' }}}}"


def _sensor(name: str, expression: str, unit: str, device_class: str | None) -> Component:
    return {
        "p": "sensor",
        "name": name,
        "value_template": f"{{{{ {expression} | default(None) }}}}",
        "unit_of_measurement": unit,
        "state_class": "measurement",
        **({"device_class": device_class} if device_class else {}),
    }


def _flag(name: str, expression: str, device_class: str) -> Component:
    return {
        "p": "binary_sensor",
        "name": name,
        "value_template": f"{{{{ {expression} }}}}",
        "device_class": device_class,
    }


def _scaled(field: str, by: str) -> str:
    return f"((value_json.{field} {by}) | round(1) if value_json.{field} is defined else None)"


def _on_off(field: str) -> str:
    return f"None if value_json.{field} is not defined else 'ON' if value_json.{field} else 'OFF'"


def _quoted(text: str) -> str:
    """A string as a template has it: JSON's escapes are Jinja's, but for pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False)


def _slug(name: str, empty: str) -> str:
    """A word for a topic; where the name is none, with a mark that keeps two such names apart."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    if slug == name:
        return slug or empty
    return f"{slug or empty}-{zlib.crc32(name.encode(errors='replace')):08x}"
