"""docs/examples/telegraf.conf against payloads that our own code makes: each path leads somewhere, in each of them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.publish import contract, translate
from agent.publish.outbox import Row
from agent.publish.stored import to_wire
from agent.publish.topics import Names, find
from agent.records import BoardReading, CameraStatus, Health, PerfReport, ProcessReading, Sighting, ThermalReading
from tests.publish_fakes import health, perf_report, sighting, stamp

CONF = tomllib.loads((Path(__file__).parent.parent / "docs" / "examples" / "telegraf.conf").read_text())
CONSUMERS: list[dict[str, Any]] = CONF["inputs"]["mqtt_consumer"]
QUEUE = contract.QueueCard(rows=1, bytes=700, oldest_s=3.2)
TOTALS = contract.Totals(published=9, acked=8, merged=0, dropped={"e": 1}, refused={}, bytes_out={"state": 120})
HOT = ThermalReading(soc_celsius=61.3, throttle_bits=4, under_voltage=False, throttled=True)
FULL = replace(health(), board=BoardReading(9.0, ProcessReading(rss_bytes=10**8), HOT), stages=perf_report().stages)
BARE = Health(1.0, None, CameraStatus("starting"), BoardReading(1.0, ProcessReading(), ThermalReading()), 0.0)
NO_WINDOW = PerfReport(0.0, 10.0, 0, 0.0, 0, 0, {})

FULLEST: dict[str, contract.Envelope] = {
    "health": translate.health(stamp(), FULL, QUEUE, TOTALS),
    "state": translate.state(stamp(), "degraded", "unplugged"),
    "d": translate.detections(stamp(), sighting()),
    "m/perf": translate.perf(stamp(), perf_report()),
}
BAREST: dict[str, contract.Envelope] = {
    "health": translate.health(stamp(), BARE, QUEUE, TOTALS),
    "state": translate.state(stamp(), "online", ""),
    "d": translate.detections(stamp(), Sighting(1.0, known=False, reason="down")),
    "m/perf": translate.perf(stamp(), NO_WINDOW),
}
TYPES: dict[str, tuple[type, ...]] = {"float": (float, int), "int": (int,), "bool": (bool,), "string": (str,)}


def sample(payloads: dict[str, contract.Envelope], below: str) -> dict[str, Any]:
    body = to_wire(Row(below, "topic", msgspec.json.encode(payloads[below]), 0.0))
    decoded: dict[str, Any] = json.loads(body)
    return decoded


def below_of(consumer: dict[str, Any]) -> str:
    [topic] = consumer["topics"]
    return str(topic).removeprefix("edge/v1/+/+/")


def lookup(payload: Any, path: str) -> Any:
    """What GJSON finds for a path of plain words; None where there is nothing."""
    for word in path.split("."):
        payload = payload.get(word) if isinstance(payload, dict) else None
    return payload


each = pytest.mark.parametrize("consumer", CONSUMERS, ids=below_of)


def test_the_topics_are_those_that_are_promised() -> None:
    assert {below_of(consumer) for consumer in CONSUMERS} == set(FULLEST)
    names = [consumer["client_id"] for consumer in CONSUMERS]
    assert len(set(names)) == len(names), "two clients with one id throw each other out"


@each
def test_topic_qos_and_tags_are_those_of_the_contract(consumer: dict[str, Any]) -> None:
    below = below_of(consumer)
    line = find(Names("home", "cam1").topic(below))
    assert line is not None
    assert consumer["qos"] == line.qos
    [parsing] = consumer["topic_parsing"]
    assert parsing["topic"] == consumer["topics"][0]
    words = parsing["tags"].split("/")
    assert len(words) == len(parsing["topic"].split("/"))
    assert [words[2], words[3]] == ["site", "device"]
    assert set(words) == {"_", "site", "device"}
    assert consumer["data_format"] == "json_v2"


@each
def test_each_path_leads_to_a_value_of_its_type(consumer: dict[str, Any]) -> None:
    payload = sample(FULLEST, below_of(consumer))
    [parser] = consumer["json_v2"]
    for field in parser["field"]:
        value = lookup(payload, field["path"])
        assert isinstance(value, TYPES[field["type"]]), field
        assert field["type"] == "bool" or not isinstance(value, bool), field
    for tag in parser["tag"]:
        assert isinstance(lookup(payload, tag["path"]), str), tag
    for part in parser.get("object", ()):
        assert isinstance(lookup(payload, part["path"]), dict), part
    renamed = [field["rename"] for field in parser["field"]]
    assert len(set(renamed)) == len(renamed)


@each
def test_what_a_board_may_lack_is_optional_and_nothing_else_is(consumer: dict[str, Any]) -> None:
    below = below_of(consumer)
    [parser] = consumer["json_v2"]
    for part in (*parser["field"], *parser["tag"], *parser.get("object", ())):
        if not part.get("optional"):
            assert lookup(sample(BAREST, below), part["path"]) is not None, part
    for field in parser["field"]:
        if field.get("optional"):
            assert lookup(sample(BAREST, below), field["path"]) is None, field


@each
def test_points_carry_the_time_of_the_board_unless_it_has_none(consumer: dict[str, Any]) -> None:
    [parser] = consumer["json_v2"]
    assert parser["timestamp_format"] == "unix"
    assert lookup(sample(FULLEST, below_of(consumer)), parser["timestamp_path"]) > 1_700_000_000
    [word] = consumer["tagdrop"]["clk"]
    assert word in contract.Clock.__args__  # type: ignore[attr-defined]
