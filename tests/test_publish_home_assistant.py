"""The announcement to Home Assistant: by its rules, and every template gives something on what we really publish."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent.config import Config, parse
from agent.errors import ConfigError
from agent.publish import HomePlan, contract, plan_home, topics, translate
from agent.publish.home_assistant import MAX_SPREAD_S, MOST_CLASSES, Announcer, discovery
from agent.publish.inbox import Picture
from agent.publish.link import Accepted, Acked, Received
from agent.publish.publisher import Publisher
from agent.records import BoardReading, CameraStatus, Health, Labels, ProcessReading, Sighting, ThermalReading
from tests.contract_watch import complaint
from tests.publish_fakes import Clock, Link, Rig, health, identity, perf_report, sighting, stamp

NAMES = topics.Names("home", "cam1")
P = NAMES.prefix
PLAN = HomePlan("homeassistant", 300.0, 300.0, (("", "person"), ("", "dog"), ("door", "person"), ("door", "dog")))
TOPIC = "homeassistant/device/edge-home-cam1/config"
QUEUE = contract.QueueCard(rows=0, bytes=0, oldest_s=0.0)
TOTALS = contract.Totals(published=1, acked=1, merged=0, dropped={}, refused={}, bytes_out={})
HOT = ThermalReading(soc_celsius=61.3, throttle_bits=4, under_voltage=False, throttled=True)
FULL = replace(health(), board=BoardReading(99.0, ProcessReading(rss_bytes=10**8), HOT), stages=perf_report().stages)
BARE = Health(1.0, None, CameraStatus("starting"), BoardReading(1.0, ProcessReading(), ThermalReading()), 0.0)

KEYS = {"p", "name", "unique_id", "device_class", "entity_category", "state_topic", "value_template", "expire_after"}
KEYS |= {"json_attributes_topic", "state_class", "unit_of_measurement"}
UNITS = {None: {"fps"}, "duration": {"ms", "s"}, "data_size": {"MiB"}, "temperature": {"°C"}}
"""Of https://www.home-assistant.io/integrations/sensor#device-class, those that are used."""


def announced(card: Health = FULL, plan: HomePlan = PLAN) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(json.dumps(discovery(NAMES, plan, identity(), card)))
    return message


def samples(card: Health = FULL, seen: Sighting | None = None, state: contract.StateName = "online") -> dict[str, Any]:
    """A payload of each topic that is referred to, as it goes over the wire."""
    payloads = {
        f"{P}/health": translate.health(stamp(), card, QUEUE, TOTALS),
        f"{P}/state": translate.state(stamp(), state, ""),
        f"{P}/d": translate.detections(stamp(), seen or sighting()),
    }
    return {topic: json.loads(msgspec.json.encode(payload)) for topic, payload in payloads.items()}


def render(template: str, payload: dict[str, Any]) -> str:
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(template).render(value_json=payload)


def values(message: dict[str, Any], payloads: dict[str, Any]) -> dict[str, str]:
    return {
        key: render(part["value_template"], payloads[part.get("state_topic", message["state_topic"])])
        for key, part in message["cmps"].items()
        if "value_template" in part
    }


def test_the_mandatory_fields_are_there() -> None:
    message = announced()
    assert message["dev"]["ids"]
    assert message["o"]["name"]
    assert message["availability"]
    assert message["qos"] == 1
    ids = [part["unique_id"] for part in message["cmps"].values()]
    assert len(set(ids)) == len(ids) > 10
    assert message["cmps"].pop("image") == {
        "p": "image",
        "name": "Snapshot",
        "unique_id": "edge-home-cam1-image",
        "image_topic": f"{P}/image",
        "content_type": "image/jpeg",
    }
    for key, part in message["cmps"].items():
        assert part["p"] in {"sensor", "binary_sensor"}, key
        assert set(part) <= KEYS, key
        assert part["name"], key
        if part["p"] == "sensor":
            assert part["unit_of_measurement"] in UNITS[part.get("device_class")], key
            assert part["state_class"] in {"measurement", "total_increasing"}
        else:
            assert part["device_class"] in {"problem", "occupancy"}, key
            assert "unit_of_measurement" not in part, key


def test_every_template_gives_a_value_on_what_we_publish() -> None:
    message = announced()
    found = values(message, samples())
    assert found["fps"] == "12.4"
    assert found["rss"] == "95.4"
    assert found["soc"] == "61.3"
    assert (found["throttled"], found["under-voltage"]) == ("ON", "OFF")
    assert found["total-p99"] == "31.2" == found["age-p99"]
    assert found["blind"] == "1.5"
    assert (found["camera"], found["problem"]) == ("OFF", "OFF")
    assert (found["presence--person"], found["presence-door--person"]) == ("ON", "ON")
    assert (found["presence--dog"], found["presence-door--dog"]) == ("OFF", "OFF")
    for key, value in found.items():
        assert value != "None", key
        if message["cmps"][key]["p"] == "sensor":
            float(value)
        else:
            assert value in {"ON", "OFF"}, key


def test_every_template_names_fields_of_our_payloads_only() -> None:
    records = {"health": contract.HealthCard, "state": contract.State, "d": contract.Detections}
    message = announced()
    shown = [part for part in message["cmps"].values() if "value_template" in part]
    parts = [*shown, *({"state_topic": a["topic"], **a} for a in message["availability"])]
    for part in parts:
        record = records[part.get("state_topic", message["state_topic"]).removeprefix(f"{P}/")]
        fields = set(re.findall(r"value_json\.([a-z0-9_]+)", part["value_template"]))
        assert fields
        assert fields <= set(record.__struct_fields__), part


def test_what_is_not_known_is_unknown_and_not_nothing() -> None:
    unknown = samples(seen=Sighting(1.0, known=False, reason="camera down"))
    found = values(announced(), unknown)
    assert {found[key] for key in found if key.startswith("presence")} == {"None"}
    empty = values(announced(), samples(seen=Sighting(1.0, known=True)))
    assert {empty[key] for key in empty if key.startswith("presence")} == {"OFF"}


def test_a_bare_machine_announces_no_sensor_that_it_lacks_and_no_template_fails() -> None:
    message = announced(BARE)
    assert not {"soc", "throttled", "under-voltage"} & set(message["cmps"])
    found = values(message, samples(BARE))
    assert (found["fps"], found["total-p99"], found["rss"], found["camera"]) == ("None", "None", "None", "ON")
    # and should a sensor go away after the announcement, it is unknown
    assert values(announced(FULL), samples(BARE))["soc"] == "None"


@pytest.mark.parametrize(
    ("state", "shown"),
    [("online", "online"), ("degraded", "online"), ("updating", "online"), ("lost", "offline"), ("offline", "offline")],
)
def test_availability_follows_the_state(state: contract.StateName, shown: str) -> None:
    [availability] = announced()["availability"]
    assert render(availability["value_template"], samples(state=state)[availability["topic"]]) == shown


def test_a_broken_camera_shows() -> None:
    down = replace(FULL, camera=CameraStatus("down", "unplugged"))
    found = values(announced(), samples(down, state="degraded"))
    assert (found["camera"], found["problem"]) == ("ON", "ON")


def test_what_stays_away_expires() -> None:
    message = announced(plan=replace(PLAN, health_s=60.0, presence_s=10.0))
    assert message["cmps"]["fps"]["expire_after"] == 180
    assert message["cmps"]["presence--dog"]["expire_after"] == 30
    never = announced(plan=replace(PLAN, presence_s=0.0))
    assert "expire_after" not in never["cmps"]["presence--dog"]


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@effort(deadline=None, max_examples=30)
@example([("a", "b-c"), ("a-b", "c"), ("", "a-b-c"), ("all", "c"), ("", "c"), ("a", "B-c"), ("zone", "{{ x }}")])
@given(st.lists(st.tuples(st.just("") | names, names), min_size=1, max_size=6, unique=True))
def test_any_name_of_a_class_or_zone_makes_a_sensor_of_its_own(pairs: list[tuple[str, str]]) -> None:
    message = announced(plan=replace(PLAN, presences=tuple(pairs)))
    keys = [key for key in message["cmps"] if key.startswith("presence")]
    assert len(keys) == len(pairs)
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)
    for key, (zone, label) in zip(keys, pairs, strict=True):
        here = {label: 1}
        seen = Sighting(1.0, known=True, counts=here, zones={zone: here} if zone else {})
        assert values(message, samples(seen=seen))[key] == "ON"
        elsewhere = Sighting(1.0, known=True, counts={"?" + label: 1}, zones={})
        assert values(message, samples(seen=elsewhere))[key] == "OFF"


# ---- what is asked for


def settings(text: str) -> Config:
    return parse('[homeassistant]\nenabled = true\n[mqtt]\nhost = "b"\n' + text)


def test_presence_is_announced_for_chosen_classes_and_zones() -> None:
    labels = Labels({n: f"class {n}" for n in range(MOST_CLASSES + 1)} | {99: "dog"})
    plan = plan_home(settings('[detections]\nmode = "change"\nclasses = ["dog"]'), labels, ("door",))
    assert plan == HomePlan("homeassistant", 300.0, 300.0, (("", "dog"), ("door", "dog")))
    off = plan_home(settings('[detections]\nclasses = ["dog"]'), labels, ("door",))
    assert off is not None
    assert off.presences == ()
    many = plan_home(settings('[detections]\nmode = "change"'), labels, ())
    assert many is not None
    assert many.presences == (), "ninety sensors that nobody asked for help nobody"
    few = plan_home(settings('[detections]\nmode = "change"'), Labels({0: "dog", 1: "cat"}), ())
    assert few is not None
    assert few.presences == (("", "cat"), ("", "dog"))
    assert plan_home(Config(), labels, ()) is None


def test_a_prefix_with_wildcards_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"homeassistant\.prefix"):
        parse('[homeassistant]\nprefix = "home/#"')


# ---- when it is said


def rig_with_home() -> Rig:
    return Rig(home=lambda clock: Announcer(NAMES, PLAN, clock, Random(7)))  # noqa: S311  # jitter


def connected(rig: Rig) -> Rig:
    rig.inbox.put_notice(identity())
    rig.inbox.put_window(FULL)
    rig.steps(6)
    return rig


def on_home(rig: Rig) -> list[Any]:
    return [sent for sent in rig.link.sent if sent.topic == TOPIC]


def test_a_board_that_does_not_know_its_model_shows_none() -> None:
    board = replace(identity().board, model="unknown")
    device = discovery(topics.Names("home", "cam1"), PLAN, replace(identity(), board=board), FULL)["dev"]
    assert "mdl" not in device
    assert announced()["dev"]["mdl"] == identity().board.model


def test_it_is_announced_retained_on_every_connection_and_when_a_sensor_appears() -> None:
    rig = connected(rig_with_home())
    assert [(sent.qos, sent.retain) for sent in on_home(rig)] == [(1, True)]
    assert json.loads(on_home(rig)[0].body) == announced()
    assert rig.link.asked_qos["homeassistant/status"] == 0, "not kept for us while we are away"
    rig.inbox.put_window(FULL)
    rig.steps(4)
    assert len(on_home(rig)) == 1
    rig.inbox.put_window(BARE)
    rig.steps(4)
    assert len(on_home(rig)) == 2
    rig.link.cut()
    rig.run_until(lambda: len(rig.dialled) == 2 and rig.network.status.connected)
    rig.steps(4)
    assert len(on_home(rig)) == 1


def test_a_home_assistant_that_comes_up_is_told_again_some_time_later() -> None:
    rig = connected(rig_with_home())
    rig.inbox.put_notice(sighting())
    rig.steps(4)
    rig.link.coming.append(Received("homeassistant/status", b"offline"))
    rig.link.coming.append(Received("homeassistant/status", b"online", retained=True))
    rig.steps(200)
    assert len(on_home(rig)) == len(rig.link.on("d")) == 1
    heard_s = rig.clock()
    rig.link.coming.append(Received("homeassistant/status", b"online"))
    rig.run_until(lambda: len(on_home(rig)) == 2)
    assert 1.0 < rig.clock() - heard_s <= MAX_SPREAD_S + 1.0
    rig.steps(200)
    assert len(on_home(rig)) == len(rig.link.on("d")) == 2


def test_the_spread_is_a_draw_of_each_board() -> None:
    def waits(seed: int) -> float:
        clock = Clock()
        one = Announcer(NAMES, PLAN, clock, Random(seed))  # noqa: S311  # jitter
        one.heard(b"online")
        while not one.take_due():
            clock.now_s += 0.1
        return clock.now_s - 100.0

    drawn = [waits(seed) for seed in range(20)]
    assert max(drawn) - min(drawn) > 15
    assert max(drawn) <= MAX_SPREAD_S + 0.2


def test_without_the_setting_nothing_is_said_to_home_assistant() -> None:
    rig = connected(Rig())
    assert not [sent for sent in rig.link.sent if sent.topic.startswith("homeassistant")]
    assert "homeassistant/status" not in rig.link.topics


def test_a_refused_announcement_names_its_topic(caplog: pytest.LogCaptureFixture) -> None:
    rig = rig_with_home()
    rig.links = [Link(rig.clock, acks=False)]
    connected(rig)
    rig.link.coming.append(Acked(on_home(rig)[0].mid, "Not authorized"))
    rig.steps(2)
    assert f"does not let us publish to {TOPIC}" in caplog.text


def test_the_publisher_takes_the_plan() -> None:
    make: Callable[..., Publisher] = Publisher
    one = make(parse('[mqtt]\nhost = "b"').mqtt, site="home", device="cam1", home=PLAN)
    assert one._session._home is not None


# ---- settings that change while it runs


def homely(clock: Clock) -> Announcer:
    return Announcer(NAMES, PLAN, clock, Random(1))  # noqa: S311  # jitter


def told(rig: Rig) -> dict[str, Any]:
    message: dict[str, Any] = json.loads([sent.body for sent in rig.link.sent if sent.topic == TOPIC][-1])
    return message


def test_what_is_announced_follows_the_settings() -> None:
    rig = Rig(home=homely)
    rig.inbox.put_notice(identity())
    rig.inbox.put_window(FULL)
    rig.steps(8)
    assert told(rig)["cmps"]["fps"]["expire_after"] == 900
    rig.inbox.put_notice(HomePlan("elsewhere", 20.0, 60.0, (("", "person"), ("door", "cat"))))
    rig.steps(4)
    parts = told(rig)["cmps"]
    assert parts["fps"]["expire_after"] == 60
    assert parts["presence--person"]["expire_after"] == 180
    assert "unique_id" in parts["presence-door--cat"]
    gone = {key for key, part in parts.items() if part == {"p": "binary_sensor"}}
    assert gone == {"presence--dog", "presence-door--person", "presence-door--dog"}, "taken away, not left behind"
    rig.inbox.put_notice(PLAN)
    rig.steps(4)
    parts = told(rig)["cmps"]
    assert {key for key, part in parts.items() if part == {"p": "binary_sensor"}} == {"presence-door--cat"}
    rig.inbox.put_notice(HomePlan("homeassistant", 300.0))
    rig.steps(4)
    parts = told(rig)["cmps"]
    everything = {"presence--person", "presence--dog", "presence-door--person", "presence-door--dog"}
    assert {key for key, part in parts.items() if part == {"p": "binary_sensor"}} == everything | {"presence-door--cat"}


def test_a_board_that_is_not_announced_takes_no_plan() -> None:
    rig = Rig()
    rig.inbox.put_notice(identity())
    rig.inbox.put_window(FULL)
    rig.inbox.put_notice(PLAN)
    rig.steps(8)
    assert not [sent for sent in rig.link.sent if sent.topic == TOPIC]


# ---- pictures

JPEG = b"\xff\xd8\xff" + b"x" * 5000 + b"\xff\xd9"


def test_a_picture_is_sent_once_not_kept_by_the_broker_and_counted_apart() -> None:
    rig = Rig()
    rig.steps(4)
    rig.inbox.put_notice(Picture(JPEG))
    rig.steps(4)
    [sent] = rig.link.on("image")
    assert (sent.body, sent.qos, sent.retain) == (JPEG, 1, False)
    assert rig.network.status.bytes_out["image"] == topics.packet_bytes(f"{P}/image", JPEG, 1)
    rig.link.cut()
    rig.run_until(lambda: rig.network.status.connections == 2)
    rig.steps(4)
    assert not rig.link.on("image"), "it would look new"
    assert rig.session.is_idle()


def test_a_picture_taken_during_an_outage_is_never_sent() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, fault=ConnectionRefusedError())]
    rig.inbox.put_notice(Picture(JPEG))
    rig.run_until(lambda: rig.network.status.connected)
    rig.steps(4)
    assert not rig.link.on("image")
    rig.inbox.put_notice(Picture(JPEG))
    rig.steps(4)
    assert len(rig.link.on("image")) == 1


def test_of_pictures_that_come_too_fast_the_newest_is_sent() -> None:
    rig = Rig()
    rig.steps(4)
    for mark in (b"1", b"2", b"3"):
        rig.inbox.put_notice(Picture(JPEG[:3] + mark + JPEG[4:]))
    rig.steps(4)
    assert [sent.body[3:4] for sent in rig.link.on("image")] == [b"3"]


def test_a_picture_that_the_broker_would_not_take_costs_no_connection() -> None:
    rig = Rig()
    rig.links = [Link(rig.clock, greeting=[Accepted(window=8, max_packet_bytes=4000)])]
    rig.steps(4)
    rig.inbox.put_notice(Picture(JPEG))
    rig.steps(4)
    assert not rig.link.on("image")
    assert rig.network.status.dropped == {"image": 1}
    assert rig.network.status.connections == 1


def test_a_picture_that_is_none_would_be_noticed_by_the_watch_over_the_contract() -> None:
    assert complaint(f"{P}/image", JPEG) == ""
    assert "no JPEG" in complaint(f"{P}/image", b"{}")
    assert "no JPEG" in complaint(f"{P}/image", b"")
    assert "136005 bytes" in complaint(f"{P}/image", JPEG[:-2] + b"x" * 131_000 + JPEG[-2:])
