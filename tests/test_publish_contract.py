"""The contract: every payload decodes strictly back into its type, every topic is in the table, schemas exist."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigError
from agent.publish import contract, topics, translate
from agent.publish.contract import Envelope, QueueCard, Totals
from agent.records import (
    Answer,
    BoardReading,
    Box,
    Command,
    CoolingDevice,
    EpisodeTotal,
    MemoryGrowth,
    PerfReport,
    ProcessReading,
    SensorStatus,
    Sighting,
    SketchBins,
    StageStats,
    Standing,
    ThermalReading,
)
from tests.publish_fakes import board_reading, health, identity, perf_report, sighting, stamp

NAMES = topics.Names("home", "cam1")
QUEUE = QueueCard(rows=1, bytes=700, oldest_s=3.2)
TOTALS = Totals(
    published=9,
    acked=8,
    merged=0,
    dropped={"m/perf": 2},
    refused={},
    bytes_out={"state": 120},
    disk_bytes_written=9,
    disk_faults=1,
    lost_at_restart={"m/perf": 3},
)

STANDING = Standing(4, 3, "failed", "bad-config", "out of range", "coco 1.0", "", {"log.level": "info"})

PAYLOADS: list[tuple[str, Envelope]] = [
    ("state", translate.state(stamp(), "degraded", "no camera")),
    ("birth", translate.birth(stamp(), identity())),
    ("health", translate.health(stamp(), health(), QUEUE, TOTALS)),
    ("m/perf", translate.perf(stamp(), perf_report())),
    ("m/sys", translate.sys(stamp(), board_reading())),
    ("m/therm", translate.therm(stamp(), board_reading())),
    ("a/thermal", translate.alarm(stamp(), "thermal", "83 degrees")),
    ("e/restarted", translate.event(stamp(), "restarted", {"why": "watchdog", "count": 2, "ok": True, "x": None})),
    (
        "reported",
        translate.reported(stamp(), Standing(4, 3, "failed", "bad-config", "no", "a 1", "", {"log.level": "info"})),
    ),
    ("d", translate.detections(stamp(), sighting())),
    ("res/snapshot/1", translate.reply(stamp(), Answer(Command("snapshot", "1"), "succeeded", data={"sequence": 7}))),
]


def strictly(topic: str, body: bytes) -> Envelope:
    """Decoding knows every field, and loses none: encoding gives the same bytes."""
    payload = topics.decode(topic, body)
    assert payload is not None
    assert msgspec.json.encode(payload) == body
    return payload


@pytest.mark.parametrize(("below", "payload"), PAYLOADS, ids=[below for below, _ in PAYLOADS])
def test_payload_decodes_strictly_into_its_type(below: str, payload: Envelope) -> None:
    body = msgspec.json.encode(payload)
    assert strictly(NAMES.topic(below), body) == payload
    assert topics.packet_bytes(NAMES.topic(below), body, 1) < topics.MAX_PACKET_BYTES
    assert b"null" not in body or below.startswith("e/"), "what is not there is left out"


def test_every_topic_of_the_table_has_a_payload_here() -> None:
    assert {topics.find(NAMES.topic(below)) for below, _ in PAYLOADS} == set(topics.TOPICS)


def test_no_answer_carries_no_counts_and_no_objects_carries_empty_ones() -> None:
    unknown = translate.detections(stamp(), Sighting(1.0, known=False, reason="camera down"))
    assert set(msgspec.to_builtins(unknown)) >= {"known", "reason"}
    assert not set(msgspec.to_builtins(unknown)) & {"counts", "zones", "boxes", "sequence", "age_s"}
    nothing = json.loads(msgspec.json.encode(translate.detections(stamp(), Sighting(1.0, known=True))))
    assert (nothing["counts"], nothing["boxes"]) == ({}, [])


def test_a_hundred_boxes_with_endless_names_fit_into_a_message() -> None:
    box = Box("x" * 5000, 0.5, (1 / 3, 1 / 3, 2 / 3, 2 / 3), ("z" * 5000,) * 2)
    payload = translate.detections(stamp(), Sighting(1.0, known=True, boxes=(box,) * 100))
    assert topics.packet_bytes(NAMES.topic("d"), msgspec.json.encode(payload), 0) < topics.MAX_PACKET_BYTES


def test_cleared_alarm_is_empty_and_nothing_else_is() -> None:
    assert topics.decode(NAMES.topic("a/thermal"), b"") is None
    with pytest.raises(msgspec.DecodeError):
        topics.decode(NAMES.topic("state"), b"")


@pytest.mark.parametrize(
    "topic", ["edge/v1/home/cam1/m/nothing", "edge/v1/home/cam1", "other/state", "edge/v1/home/cam1/a"]
)
def test_unknown_topic_is_not_in_the_contract(topic: str) -> None:
    with pytest.raises(LookupError, match="not in the contract"):
        topics.decode(topic, b"{}")


def test_wrong_payload_is_refused() -> None:
    body = json.loads(msgspec.json.encode(PAYLOADS[0][1]))
    for key, wrong in (("v", 2), ("state", "asleep"), ("seq", 0), ("ts", "now"), ("clk", "maybe")):
        with pytest.raises(msgspec.ValidationError, match=key):
            topics.decode(NAMES.topic("state"), json.dumps({**body, key: wrong}).encode())


def test_unknown_fields_are_ignored_by_readers() -> None:
    body = json.loads(msgspec.json.encode(PAYLOADS[0][1])) | {"later": 1}
    assert topics.decode(NAMES.topic("state"), json.dumps(body).encode()) == PAYLOADS[0][1]


def test_schemas_cover_every_topic_and_name_required_fields() -> None:
    schemas = topics.schemas()
    assert set(schemas) == {line.pattern for line in topics.TOPICS}
    state = schemas["state"]["$defs"]["State"]
    assert {"v", "id", "boot", "conn", "seq", "ts", "clk", "state"} <= set(state["required"])
    assert schemas["m/perf"]["$defs"]["Stage"]["properties"]["p99_s"]["x-unit"] == "s"


def test_metric_dictionary_names_unit_and_kind_of_every_figure() -> None:
    metrics = topics.metric_dictionary()
    assert metrics["m/perf.stages.*.p99_s"] == contract.Metric(unit="s", kind="gauge")
    assert metrics["health.queue.bytes"] == contract.Metric(unit="bytes", kind="gauge")
    assert metrics["m/therm.soc_celsius"].unit == "Cel"
    figures = {
        f"{below}.{key}"
        for below, p in PAYLOADS
        for key, v in msgspec.to_builtins(p).items()
        if type(v) in (int, float)
    }
    told = {f"{below}.{key}" for below, _ in PAYLOADS for key in ("v", "conn", "seq", "ts", "n")}
    told |= {"reported.rev_seen", "reported.rev_applied"}
    assert figures - told <= set(metrics)


@pytest.mark.parametrize(
    ("site", "device"), [("", "cam1"), ("home", ""), ("Home", "cam1"), ("home", "a/b"), ("home", "+")]
)
def test_words_that_cannot_stand_in_a_topic_are_refused(site: str, device: str) -> None:
    with pytest.raises(ConfigError, match=r"device\.(site|id) = .* use 1 to 64 of a-z, 0-9 and -"):
        topics.Names(site, device)


def test_topics_have_at_most_seven_slashes() -> None:
    assert all(NAMES.topic(line.pattern).count("/") <= 7 for line in topics.TOPICS)


floats = st.floats(allow_nan=True, allow_infinity=True)
maybe = st.none() | floats
text = st.text(st.characters(), max_size=2000)


@given(maybe, st.none() | st.integers(0, 2**62), maybe, maybe, text)
def test_any_reading_makes_valid_json(
    cpu: float | None, rss: int | None, heat: float | None, hz: float | None, words: str
) -> None:
    reading = BoardReading(
        1.0, ProcessReading(rss_bytes=rss, cpu_percent=cpu), ThermalReading(soc_celsius=heat, frequency_hz=hz)
    )
    for below, payload in (
        ("m/sys", translate.sys(stamp(), reading)),
        ("m/therm", translate.therm(stamp(), reading)),
        ("a/x", translate.alarm(stamp(), "x", words)),
        ("e/x", translate.event(stamp(), "x", {"words": words})),
        ("state", translate.state(stamp(), "degraded", words)),
    ):
        strictly(NAMES.topic(below), msgspec.json.encode(payload))


@given(floats, floats, floats)
def test_any_window_makes_valid_json(duration_s: float, fps: float, value_s: float) -> None:
    stage = StageStats(1, value_s, value_s, value_s, value_s, value_s, SketchBins(3, (1,)))
    payload = translate.perf(stamp(), PerfReport(0.0, duration_s, 1, fps, 0, 0, {"age": stage}))
    strictly(NAMES.topic("m/perf"), msgspec.json.encode(payload))


def test_lone_surrogate_in_a_message_does_not_stop_the_alarm() -> None:
    body = msgspec.json.encode(translate.alarm(stamp(), "camera", "cannot open /tmp/\udcff.mp4"))
    assert strictly(NAMES.topic("a/camera"), body).message == "cannot open /tmp/?.mp4"  # type: ignore[attr-defined]


def test_stage_without_values_is_left_out() -> None:
    empty = StageStats(0, math.nan, math.nan, math.nan, math.nan, math.nan, SketchBins(0, ()))
    payload = translate.perf(stamp(), PerfReport(0.0, 10.0, 0, 0.0, 0, 0, {"age": empty}))
    assert payload.stages == {}


def test_sketch_of_another_schema_is_refused() -> None:
    odd = StageStats(1, 1.0, 1.0, 1.0, 1.0, 1.0, SketchBins(0, (1,), relative_accuracy=0.02))
    with pytest.raises(ValueError, match=r"accuracy 0\.02"):
        translate.perf(stamp(), PerfReport(0.0, 1.0, 1, 1.0, 0, 0, {"age": odd}))


def test_machine_without_heat_sensors_says_nothing_of_heat() -> None:
    assert translate.has_heat(board_reading())
    assert not translate.has_heat(board_reading(soc_celsius=None))


FULL = BoardReading(
    99.0,
    ProcessReading(rss_bytes=9, uss_bytes=5, swapped_bytes=0, cgroup_bytes=7, cgroup_max_bytes=8, swap_free_bytes=6),
    ThermalReading(
        soc_celsius=61.34,
        pmic_celsius=44.94,
        rp1_celsius=51.023,
        nvme_celsius=41.85,
        core_volts=0.86875,
        fan_rpm=2914,
        fan_share=125 / 255,
        frequency_hz=1_200_457_344.0,
        frequency_hardware_max_hz=1.5e9,
        frequency_min_hz=6e8,
        soc_limit_celsius=85.0,
        throttle_bits=0x50005,
        throttle_seen_bits=5,
        cooling=(CoolingDevice("Processor", 0, 3), CoolingDevice("Processor", 2, 3), CoolingDevice("pwm-fan", 1, 4)),
        sources={"throttle": "mailbox"},
    ),
    (SensorStatus("accelerator", False, 0.0, "-89.7 C", 3), SensorStatus("soc", True, 0.0)),
)


def test_the_board_s_new_figures_travel_where_they_belong() -> None:
    heat, load = translate.therm(stamp(), FULL), translate.sys(stamp(), FULL)
    assert (heat.rp1_celsius, heat.nvme_celsius) == (51.0, 41.9)
    assert (heat.fan_rpm, heat.fan_share, heat.cooling) == (2914, 0.49, {"Processor": 2, "pwm-fan": 1})
    assert (load.uss_bytes, load.swapped_bytes) == (5, None)
    card = replace(
        health(),
        board=FULL,
        blind={"camera": 12.34},
        episodes={"throttled": EpisodeTotal(2, 61.04)},
        growth=MemoryGrowth(1234.5, -1510.2, 2500.9, 7200.0),
        planned_restarts=4,
    )
    sent = translate.health(stamp(), card, QUEUE, TOTALS)
    assert (sent.blind, sent.held_episodes, sent.held_s) == ({"camera": 12.3}, {"throttled": 2}, {"throttled": 61.0})
    assert (sent.growth_bytes_hour, sent.growth_low_bytes_hour, sent.growth_high_bytes_hour) == (
        1000.0,
        -2000.0,
        3000.0,
    )
    assert (sent.planned_restarts, sent.sensor_failures, sent.sources) == (4, {"accelerator": 3}, FULL.thermal.sources)
    assert sent.throttle_seen_bits == 5
    assert (sent.cgroup_bytes, sent.swap_free_bytes, sent.core_volts, sent.pmic_celsius) == (7, 6, 0.869, 44.9)


def test_the_birth_tells_the_board_and_never_what_names_it() -> None:
    board = replace(
        identity().board,
        revision="c03114",
        revision_model="4B 1.4",
        soldered_bytes=4 * 2**30,
        governor="ondemand",
        accelerators=("pcie",),
        boot_id="1c6fd6b0",
        frequency_min_hz=6e8,
        frequency_max_hz=1.5e9,
        soc_limit_celsius=85.0,
        cgroup_high_bytes=7,
        cgroup_max_bytes=8,
    )
    sent = translate.birth(stamp(), replace(identity(), board=board)).board
    assert (sent.revision, sent.revision_model, sent.soldered_bytes) == ("c03114", "4B 1.4", 4 * 2**30)
    assert (sent.governor, sent.accelerators) == ("ondemand", ("pcie",))
    assert (sent.frequency_min_hz, sent.frequency_max_hz, sent.soc_limit_celsius) == (6e8, 1.5e9, 85.0)
    assert (sent.cgroup_high_bytes, sent.cgroup_max_bytes) == (7, 8)
    assert b"1c6fd6b0" not in msgspec.json.encode(sent)
