"""The collector at a real broker: questions and their answers, also those that come twice, late or broken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.errors import BrokerError
from tests.servers.mosquitto import Mosquitto, free_port, wait_until
from tools.fleet.collector import Collector

pytestmark = pytest.mark.broker

ENVELOPE = {"v": 1, "id": "cam1", "boot": "b", "conn": 1, "seq": 1, "ts": 1.0, "clk": "ok"}
Answering = Callable[[str], list[bytes]]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    found = Mosquitto(tmp_path / "broker").start()
    yield found
    found.stop()


@pytest.fixture
def collector(broker: Mosquitto) -> Iterator[Collector]:
    found = Collector("127.0.0.1", broker.port)
    found.start()
    yield found
    found.stop()


def board(port: int, answers: Answering) -> mqtt.Client:
    """A board that answers every command with these payloads."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    ready = threading.Event()

    def heard(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        for payload in answers(message.topic.split("/")[-1]):
            client.publish(message.topic.replace("/cmd/", "/res/"), payload, qos=1)

    client.on_message = heard
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("edge/v1/home/cam1/cmd/+/+", qos=1)
    client.loop_start()
    assert ready.wait(30)
    return client


def reply(ref: str, status: str, **fields: object) -> bytes:
    return json.dumps({**ENVELOPE, "op": "snapshot", "ref": ref, "status": status, "code": "ok", **fields}).encode()


def test_the_last_word_is_the_answer_and_what_follows_it_is_nothing(broker: Mosquitto, collector: Collector) -> None:
    def answers(ref: str) -> list[bytes]:
        steps = ("accepted", "running", "succeeded", "succeeded", "failed")
        return [b"{broken", b"\xff", *(reply(ref, step, data={"step": step}) for step in steps)]

    client = board(broker.port, answers)
    for _ in range(3):
        found = collector.ask("home", "cam1", "snapshot", 30.0)
        assert found is not None
        assert (found.status, found.data) == ("succeeded", {"step": "succeeded"})
    client.loop_stop()


def test_no_answer_is_none_and_holds_nothing(broker: Mosquitto, collector: Collector) -> None:
    client = board(broker.port, lambda _: [])
    assert collector.ask("home", "cam1", "snapshot", 0.2) is None
    assert not collector._waiting
    client.loop_stop()


def test_a_board_is_known_by_what_it_says(broker: Mosquitto, collector: Collector) -> None:
    client = board(broker.port, lambda _: [])
    client.publish("edge/v1/home/cam1/state", json.dumps({**ENVELOPE, "state": "online"}), qos=1, retain=True)
    assert wait_until(lambda: collector.knows("home", "cam1"))
    assert not collector.knows("home", "cam2")
    assert [one["state"] for one in collector.view()] == ["online"]
    assert collector.taken_total == 1
    client.loop_stop()


def test_after_a_restart_of_the_broker_it_listens_again(broker: Mosquitto, collector: Collector) -> None:
    broker.stop()
    broker.start()

    def heard() -> bool:
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.publish("edge/v1/home/cam1/state", json.dumps({**ENVELOPE, "state": "online"}), qos=1).wait_for_publish(
            1
        )
        client.loop_stop()
        return collector.knows("home", "cam1")

    assert wait_until(heard)


def test_where_nobody_listens_it_says_so() -> None:
    port = free_port()
    with pytest.raises(BrokerError, match=f"no broker at 127.0.0.1:{port}"):
        Collector("127.0.0.1", port).start()
