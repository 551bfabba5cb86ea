"""The publisher and its thread against brokers that misbehave: it never blocks, never dies unseen, never hangs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import ItemsView
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.config import MqttConfig
from agent.errors import BrokerError, ConfigError
from agent.publish import Publisher, check, purge
from agent.publish.access import Access
from agent.publish.link import Closed, Received, Subscribed
from agent.publish.paho_link import PahoLink
from agent.publish.purge import _kept
from agent.publish.topics import Names
from agent.publish.wake import Wake
from agent.records import PerfReport, StageStats
from tests.conftest import NewThreads
from tests.publish_fakes import Clock, Link, board_reading, health, identity, perf_report
from tests.servers.fake_broker import FakeBroker
from tests.servers.mosquitto import free_port, wait_until


def config(port: int, **changes: object) -> MqttConfig:
    return MqttConfig(host="127.0.0.1", port=port, reconnect_max_s=0.1, connect_timeout_s=0.3, **changes)  # type: ignore[arg-type]


def publisher(port: int, ack_deadline_s: float = 15.0, **changes: object) -> Publisher:
    return Publisher(config(port, **changes), site="home", device="cam1", ack_deadline_s=ack_deadline_s)


def test_without_a_host_nothing_is_started_and_nothing_is_kept(
    caplog: pytest.LogCaptureFixture, new_threads: NewThreads
) -> None:
    pub = Publisher(MqttConfig(), site="home", device="cam1")
    with caplog.at_level(logging.INFO):
        pub.start()
    for _ in range(1000):
        pub.perf(perf_report())
    assert not new_threads("mqtt")
    assert len(pub._inbox) == 0
    assert pub.status().reason == "no broker is set (mqtt.host)"
    assert pub.stop(1.0)
    assert "telemetry stays on the board" in caplog.text


def test_absent_broker_neither_raises_nor_blocks_nor_delays_the_stop() -> None:
    pub = publisher(free_port())
    pub.start()
    pub.birth(identity())
    pub.perf(perf_report())
    assert wait_until(lambda: "nothing listens" in pub.status().reason)
    assert wait_until(lambda: pub.status().queue_rows == 1)
    started_s = time.monotonic()
    assert not pub.stop(60.0)
    assert time.monotonic() - started_s < 30.0
    assert not pub._thread.is_alive()  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["Bad.Kind", "", "a/b", "+"])
def test_words_that_cannot_stand_in_a_topic_are_the_callers_error(kind: str) -> None:
    pub = publisher(1)
    with pytest.raises(ValueError, match="use 1 to 64 of a-z"):
        pub.event(kind, {})
    with pytest.raises(ValueError, match="use 1 to 64 of a-z"):
        pub.alarm(kind, "x")
    with pytest.raises(ConfigError, match=r"device\.id"):
        Publisher(MqttConfig(), site="home", device=kind)


def test_a_stuck_thread_holds_up_neither_the_caller_nor_the_stop() -> None:
    go_on = threading.Event()

    class Stuck(dict[str, StageStats]):
        def items(self) -> ItemsView[str, StageStats]:
            go_on.wait(60)
            return super().items()

    with FakeBroker() as broker:
        pub = publisher(broker.port)
        pub.start()
        assert wait_until(lambda: pub.status().connected)
        pub.perf(PerfReport(0.0, 1.0, 1, 1.0, 0, 0, Stuck()))
        assert wait_until(lambda: len(pub._inbox) == 0)
        started_s = time.monotonic()
        for _ in range(200):
            pub.perf(perf_report())
            pub.board(board_reading())
            pub.event("tick", {})
        assert not pub.stop(0.3)
        assert time.monotonic() - started_s < 30.0
        go_on.set()
        pub._thread.join(30)  # type: ignore[union-attr]


def test_an_idle_connection_is_kept_alive() -> None:
    with FakeBroker() as broker:
        pub = publisher(broker.port, keepalive_s=1)
        pub.start()
        assert wait_until(lambda: broker.pings > 0)
        assert pub.status().connections == 1
        pub.stop(1.0)


def test_a_link_without_a_socket_says_that_it_is_over() -> None:
    link = PahoLink(Access("127.0.0.1", 1), client_id="x", version=5, wake=Wake(), will=None)
    assert [link.poll(0.0), link.poll(0.0)] == [[Closed("")], []]


def test_broker_that_knows_neither_version_is_not_asked_for_an_older_one() -> None:
    with FakeBroker(connack=lambda _version: b"\x20\x02\0\1") as broker:
        pub = publisher(broker.port)
        pub.start()
        assert wait_until(lambda: len(broker.versions) > 3)
        assert set(broker.versions) == {5, 4}
        assert "is it a broker for MQTT 5 or 3.1.1?" in pub.status().reason
        pub.stop(1.0)


def test_broker_that_refuses_mqtt_5_the_old_way_gets_3_1_1() -> None:
    with FakeBroker(connack=lambda version: b"\x20\x02\0\1" if version == 5 else b"\x20\x02\0\0") as broker:
        pub = publisher(broker.port)
        pub.start()
        pub.event("tick", {})
        assert wait_until(lambda: pub.status().connected and pub.status().queue_rows == 0)
        assert pub.status().version == "3.1.1"
        assert broker.versions == [5, 4]
        assert pub.stop(2.0)
        assert "MQTT 3.1.1" in check(config(broker.port), site="home", device="cam1")


@pytest.mark.parametrize("answer", [None, b""], ids=["hangs up", "says nothing"])
def test_broker_that_does_not_understand_mqtt_5_gets_3_1_1(answer: bytes | None) -> None:
    with FakeBroker(connack=lambda version: answer if version == 5 else b"\x20\x02\0\0") as broker:
        pub = publisher(broker.port)
        pub.start()
        assert wait_until(lambda: pub.status().connected)
        assert pub.status().version == "3.1.1"
        assert pub.stop(2.0)


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=60))
@example(b"\x30\x06\x00\x02\xff\xfe\x00x")  # a topic that is no UTF-8
def test_nonsense_from_the_broker_costs_a_connection_at_most(nonsense: bytes) -> None:
    with FakeBroker(nonsense=nonsense) as broker:
        pub = publisher(broker.port, ack_deadline_s=0.2)
        pub.start()
        assert wait_until(lambda: pub.status().connections > 0)
        broker.nonsense = b""
        pub.event("tick", {})
        assert wait_until(lambda: any(topic.endswith(b"e/tick") for _, topic in broker.publishes))
        assert pub.status().thread_restarts == 0
        pub.stop(0.5)


def test_health_carries_what_the_publisher_knows_of_itself() -> None:
    with FakeBroker() as broker:
        pub = publisher(broker.port)
        pub.start()
        pub.health(health())
        assert wait_until(lambda: pub.status().bytes_out.get("health"))
        assert pub.stop(2.0)
        status = pub.status()
        assert set(status.bytes_out) == {"state", "health"}
        assert status.acked == status.published - 1, "health is QoS 0"


def test_connection_number_is_kept_in_the_state_dir(tmp_path: Path) -> None:
    with FakeBroker() as broker:
        for expected in (1, 2):
            pub = Publisher(config(broker.port), site="home", device="cam1", state_dir=tmp_path)
            pub.start()
            assert wait_until(lambda pub=pub: pub.status().connected)
            assert pub.stop(2.0)
            assert (tmp_path / "mqtt-conn").read_text() == f"{expected}\n"


def test_purge_speaks_3_1_1_where_it_must_and_empties_each_last_value() -> None:
    with FakeBroker(connack=lambda version: b"\x20\x02\0\1" if version == 5 else b"\x20\x02\0\0") as broker:
        said = purge(config(broker.port), "homeassistant", site="home", device="cam1")
        assert said.endswith("keeps nothing of edge/v1/home/cam1 any more")
        assert broker.versions == [5, 4]
        emptied = [topic.decode() for _, topic in broker.publishes]
    below = ("birth", "health", "reported", "state")
    assert emptied == [*(f"edge/v1/home/cam1/{name}" for name in below), "homeassistant/device/edge-home-cam1/config"]


def test_purge_empties_what_the_broker_keeps_and_not_what_just_came_by() -> None:
    names, clock = Names("home", "cam1"), Clock()
    link = Link(clock)
    link.coming = [
        Subscribed(),
        Received(names.topic("a/passing"), b"{}"),
        Received(names.topic("a/kept"), b"{}", retained=True),
    ]
    assert _kept(link, Access("broker", 1883), names, clock) == {names.topic("a/kept"): b"{}"}


def test_purge_names_what_does_not_answer() -> None:
    with FakeBroker(acks=False) as broker, pytest.raises(BrokerError, match=r"acknowledges nothing within 0\.3 s"):
        purge(config(broker.port), "homeassistant", site="home", device="cam1")
    with FakeBroker(connack=lambda _v: b"") as broker, pytest.raises(BrokerError, match=r"says nothing for 0\.3 s"):
        purge(config(broker.port), "homeassistant", site="home", device="cam1")


def test_check_names_what_does_not_answer() -> None:
    with pytest.raises(BrokerError, match=r"nothing listens on mqtt://127\.0\.0\.1"):
        check(config(free_port()), site="home", device="cam1")
    with FakeBroker(connack=lambda _v: b"") as broker, pytest.raises(BrokerError, match=r"says nothing for 0\.3 s"):
        check(config(broker.port), site="home", device="cam1")
    with FakeBroker(acks=False) as broker, pytest.raises(BrokerError, match=r"acknowledges nothing within 0\.3 s"):
        check(config(broker.port), site="home", device="cam1")
    with pytest.raises(BrokerError, match="cannot resolve the broker's name 'no-such-host"):
        check(MqttConfig(host="no-such-host.invalid"), site="home", device="cam1")
    assert "no broker is set" in check(MqttConfig(), site="home", device="cam1")
