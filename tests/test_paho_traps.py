"""The six traps of paho-mqtt that were measured (agent/publish/paho_link.py), and that we are in none.

For each, one test shows on a bare paho client that the trap is there: when one of those fails, paho has changed, and
what was built around the trap should be looked at again. The others are the publisher's, over real sockets, against
brokers that never acknowledge, refuse, or stall. The law of the jitter is in test_publish_backoff.py; what a broker
may say that is no MQTT, or 10 MB of it, in test_publish_liar.py; a real broker that is stopped, in
integration/test_publish_broker.py.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from agent.config import MqttConfig
from agent.publish import Publisher
from agent.publish.backoff import Backoff
from agent.publish.paho_link import WINDOW
from agent.records import Desired, PerfReport
from tests.servers.fake_broker import FakeBroker
from tests.servers.mosquitto import free_port, wait_until

P = "edge/v1/home/cam1"
NOBODY_JOINS_S = 1.5
"""Longer than one turn of paho's own loop (1 s): what has not ended by then has no reason to end later."""

BIG = {f"k{number}": "x" * 500 for number in range(200)}
"""About 100 KB of an event."""


@contextmanager
def publishing(
    port: int,
    *,
    ack_deadline_s: float = 15.0,
    on_desired: Callable[[Desired], None] | None = None,
    **changes: object,
) -> Iterator[Publisher]:
    settings: dict[str, object] = {"port": port, "reconnect_max_s": 0.02, "connect_timeout_s": 0.5, **changes}
    config = MqttConfig(host="127.0.0.1", **settings)  # type: ignore[arg-type]
    publisher = Publisher(config, site="home", device="cam1", ack_deadline_s=ack_deadline_s, on_desired=on_desired)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop(0.5)


def ticks(broker: FakeBroker, connection: int | None = None) -> list[str]:
    return [
        topic.decode().rpartition("/")[2]
        for number, topic in broker.publishes
        if b"/e/tick" in topic and connection in (None, number)
    ]


def arrive(publisher: Publisher, broker: FakeBroker, wanted: list[str]) -> bool:
    return wait_until(lambda: set(wanted) <= set(ticks(broker)) and not publisher.status().queue_rows)


def bare(**changes: object) -> mqtt.Client:
    return mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bare", **changes)  # type: ignore[arg-type]


def run(client: mqtt.Client, port: int, until: Callable[[], bool]) -> bool:
    """Connects, and turns the loop on this thread until something is so."""
    client.connect("127.0.0.1", port)
    by_s = time.monotonic() + 20.0
    while not until() and time.monotonic() < by_s:
        client.loop(0.05)
    return until()


# ---- 1: publish() offline returns an error and queues anyway


def test_trap_paho_calls_it_an_error_and_sends_it_later() -> None:
    client = bare()
    told = client.publish("offline", b"x", qos=1)
    assert told.rc == MQTTErrorCode.MQTT_ERR_NO_CONN
    with FakeBroker() as broker:
        assert run(client, broker.port, lambda: broker.publishes == [(1, b"offline")]), (
            "whoever tries again sends twice"
        )


def test_what_is_said_offline_is_sent_once_and_counted_as_sent_only_then() -> None:
    port = free_port()
    with publishing(port) as publisher:
        wanted = [f"tick-{number}" for number in range(20)]
        for kind in wanted:
            publisher.event(kind)
        assert wait_until(lambda: publisher.status().queue_rows == 20)
        assert publisher.status().published == 0
        with FakeBroker(listens_on=port) as broker:
            assert arrive(publisher, broker, wanted)
            assert ticks(broker) == wanted
            assert publisher.status().acked == publisher.status().published == 21, "and the state"


# ---- 2: a full queue drops the newest


def test_trap_paho_drops_the_newest_when_its_queue_is_full() -> None:
    client = bare()
    client.max_queued_messages_set(2)
    told = [client.publish(topic, b"x", qos=1).rc for topic in ("first", "second", "newest")]
    assert told[2] == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE
    with FakeBroker() as broker:
        assert run(client, broker.port, lambda: len(broker.publishes) == 2)
        assert {topic for _, topic in broker.publishes} == {b"first", b"second"}


def test_a_full_queue_drops_the_oldest_and_says_how_many() -> None:
    port = free_port()
    with publishing(port, queue_bytes=20_000) as publisher:
        for number in range(400):
            publisher.event(f"tick-{number}")
        assert wait_until(lambda: sum([publisher.status().queue_rows, *publisher.status().dropped.values()]) == 400)
        dropped = publisher.status().dropped["e"]
        with FakeBroker(listens_on=port) as broker:
            wanted = [f"tick-{number}" for number in range(dropped, 400)]
            assert 0 < len(wanted) < 400
            assert arrive(publisher, broker, wanted)
            assert ticks(broker) == wanted


# ---- 3: a reconnect ignores the in-flight limit


def test_trap_paho_resends_everything_at_once() -> None:
    client = bare()
    client.max_inflight_messages_set(2)
    for _ in range(10):
        client.publish("burst", b"x", qos=1)
    with FakeBroker(acks=False) as broker:
        assert run(client, broker.port, lambda: len(broker.publishes) == 10), "ten where two were allowed"


def test_every_connection_keeps_to_the_window() -> None:
    with FakeBroker(acks=False) as broker, publishing(broker.port, ack_deadline_s=0.3) as publisher:
        for number in range(40):
            publisher.event(f"tick-{number}")
        assert wait_until(lambda: len({number for number, _ in broker.publishes}) >= 3)
        for connection in {number for number, _ in broker.publishes}:
            assert len([each for each, _ in broker.publishes if each == connection]) <= WINDOW
        broker.acks = True
        assert arrive(publisher, broker, [f"tick-{number}" for number in range(40)])


# ---- 4: an exception in on_connect kills the network thread while is_connected() stays true


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_trap_paho_is_connected_without_a_thread() -> None:
    client = bare()
    threads: queue.Queue[threading.Thread] = queue.Queue()

    def on_connect(*_: object) -> None:
        threads.put(threading.current_thread())
        raise RuntimeError("a fault of the callback")

    client.on_connect = on_connect
    with FakeBroker() as broker:
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        thread = threads.get(timeout=30.0)
        thread.join(30.0)
        assert not thread.is_alive()
        assert client.is_connected()


def wish(body: bytes) -> bytes:
    """The retained message on ``desired`` that a broker sends right after its greeting."""
    topic = f"{P}/desired".encode()
    rest = len(topic).to_bytes(2) + topic + b"\0" + body
    return bytes([0x31, len(rest)]) + rest


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_in_the_moment_of_connecting_is_seen_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    faults = iter([RuntimeError("a fault of the callback")])
    seen: list[Desired] = []

    def on_desired(desired: Desired) -> None:
        for fault in faults:
            raise fault
        seen.append(desired)

    with (
        FakeBroker(nonsense=wish(b'{"rev":1}')) as broker,
        publishing(broker.port, on_desired=on_desired) as publisher,
    ):
        publisher.event("tick-0")
        assert wait_until(lambda: publisher.status().thread_restarts == 1)
        assert arrive(publisher, broker, ["tick-0"])
        assert wait_until(lambda: bool(seen)), "and the next connection is served whole"
    assert "the network thread failed: RuntimeError" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_record_that_breaks_the_thread_is_lost_alone_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with FakeBroker() as broker, publishing(broker.port) as publisher:
        assert wait_until(lambda: publisher.status().connected)
        publisher.perf(PerfReport(0.0, 1.0, 1, 1.0, 0, 0, {"age": 7}))  # type: ignore[dict-item]
        assert wait_until(lambda: publisher.status().thread_restarts == 1)
        publisher.event("tick-0")
        assert arrive(publisher, broker, ["tick-0"])
        assert publisher.status().dropped == {"m/perf": 1}
        assert publisher.stop(2.0)
    assert "the network thread failed: AttributeError" in caplog.text


# ---- 5: loop_stop() can block for ever on one unacknowledged message


def test_trap_paho_never_ends_while_one_message_is_unacknowledged() -> None:
    client = bare()
    with FakeBroker(acks=False) as broker:
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.publish("unacknowledged", b"x", qos=1)
        assert wait_until(lambda: bool(broker.publishes))
        stopping = threading.Thread(target=client.loop_stop)
        stopping.start()
        stopping.join(NOBODY_JOINS_S)
        assert stopping.is_alive()
        client.drop_out_messages()
        stopping.join(30.0)
        assert not stopping.is_alive(), "it was that one message"


@pytest.mark.parametrize("broker", [FakeBroker(acks=False), FakeBroker(deaf=True), FakeBroker(connack=lambda _: b"")])
def test_a_stop_ends_at_its_deadline_whatever_the_broker_does(broker: FakeBroker) -> None:
    with broker, publishing(broker.port) as publisher:
        for number in range(40):
            publisher.event(f"tick-{number}", BIG)
        assert wait_until(lambda: bool(broker.versions))
        started_s = time.monotonic()
        assert not publisher.stop(0.5)
        assert time.monotonic() - started_s < 30.0
        thread = publisher._thread
        assert thread is not None
        thread.join(30.0)
        assert not thread.is_alive()


# ---- 6: back-off has no jitter


def test_trap_paho_boards_come_back_in_step() -> None:
    delays: list[list[float | None]] = []
    for _ in range(2):
        client = bare()
        client.reconnect_delay_set(0.001, 0.008)  # type: ignore[arg-type]
        delays.append([(client._reconnect_wait(), client._reconnect_delay)[1] for _ in range(4)])
    assert delays[0] == delays[1] == [0.001, 0.002, 0.004, 0.008]


def test_our_boards_do_not() -> None:
    fleet = [Backoff(120.0, Random(seed)) for seed in range(100)]  # noqa: S311  # jitter
    assert len({board.lost(3600.0) for board in fleet}) == 100, "test_publish_backoff.py has the law"


# ---- brokers that refuse


def refusing(version: int, code: int) -> Callable[[int], bytes]:
    """Answers CONNECT with a refusal of one version; one of 3.1.1 says in its words that it knows no 5."""

    def connack(asked: int) -> bytes:
        if version == 5:
            return bytes([0x20, 3, 0, code, 0])
        return bytes([0x20, 2, 0, 1 if asked == 5 else code])

    return connack


REFUSALS = {
    (4, 2): "refuses our client id",
    (4, 3): "refuses the connection: Server unavailable",
    (4, 4): "refuses a connection without user name",
    (4, 5): "refuses a connection without user name",
    (5, 0x80): "refuses the connection: Unspecified error",
    (5, 0x82): "refuses the connection: Protocol error",
    (5, 0x85): "refuses our client id",
    (5, 0x86): "refuses a connection without user name",
    (5, 0x87): "refuses a connection without user name",
    (5, 0x88): "refuses the connection: Server unavailable",
    (5, 0x89): "refuses the connection: Server busy",
    (5, 0x8A): "refuses the connection: Banned",
    (5, 0x95): "refuses the connection: Packet too large",
    (5, 0x97): "refuses the connection: Quota exceeded",
    (5, 0x9F): "refuses the connection: Connection rate exceeded",
}


@pytest.mark.parametrize(("version", "code"), REFUSALS, ids=[f"v{version}-{code:#x}" for version, code in REFUSALS])
def test_a_refused_connection_is_named_tried_again_and_loses_nothing(version: int, code: int) -> None:
    with FakeBroker(connack=refusing(version, code)) as broker, publishing(broker.port) as publisher:
        publisher.event("tick-0")
        assert wait_until(lambda: len(broker.versions) > 4)
        status = publisher.status()
        assert REFUSALS[version, code] in status.reason
        assert (status.connected, status.connections, status.published) == (False, 0, 0)
        broker.connack = FakeBroker().connack
        assert arrive(publisher, broker, ["tick-0"])
        assert (publisher.status().thread_restarts, publisher.status().dropped) == (0, {})


@pytest.mark.parametrize("code", [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
def test_a_refused_message_is_not_an_acknowledged_one(code: int) -> None:
    with FakeBroker(puback=code) as broker, publishing(broker.port) as publisher:
        publisher.event("tick-0")
        assert wait_until(lambda: publisher.status().refused == {"state": 1, "e": 1})
        assert publisher.status().acked == 0
        assert "the broker does not let us publish to" in publisher.status().reason
        broker.puback = 0
        publisher.event("tick-1")
        assert wait_until(lambda: publisher.status().acked == 1)


def test_nobody_listening_is_no_refusal() -> None:
    with FakeBroker(puback=0x10) as broker, publishing(broker.port) as publisher:
        publisher.event("tick-0")
        assert wait_until(lambda: publisher.status().acked == 2)
        assert publisher.status().refused == {}


# ---- brokers that stall


def test_a_broker_that_stops_reading_holds_up_nobody_and_loses_nothing() -> None:
    wanted = [f"tick-{number}" for number in range(30)]
    with FakeBroker(deaf=True) as broker, publishing(broker.port, ack_deadline_s=0.5) as publisher:
        for kind in wanted:
            publisher.event(kind, BIG)
        assert wait_until(lambda: publisher.status().connections > 1), "left for another try"
        assert publisher.status().queue_rows == 30, "all of it waits"
        assert publisher.status().bytes_out["e"] < 3 * WINDOW * 110_000, "no more than the window was tried"
        broker.deaf = False
        assert arrive(publisher, broker, wanted)
        assert publisher.status().dropped == {}


@pytest.mark.parametrize("body", [{}, BIG], ids=["small", "100 KB"])
def test_a_broker_that_hangs_up_in_the_middle_of_our_packet_gets_it_again(body: dict[str, str]) -> None:
    wanted = [f"tick-{number}" for number in range(5)]
    with FakeBroker(cuts=3) as broker, publishing(broker.port) as publisher:
        for kind in wanted:
            publisher.event(kind, body)
        assert arrive(publisher, broker, wanted)
        assert publisher.status().connections == 4
        assert sorted(ticks(broker)) == wanted, "and only once"


def test_a_broker_that_takes_the_connection_and_says_nothing_is_named() -> None:
    with FakeBroker(connack=lambda _: b"") as broker, publishing(broker.port) as publisher:
        publisher.event("tick-0")
        assert wait_until(lambda: "says nothing for 0.5 s" in publisher.status().reason)
        broker.connack = FakeBroker().connack
        assert arrive(publisher, broker, ["tick-0"])


# ---- what a broker says of itself in its greeting, and in its goodbye


def greeting(properties: bytes) -> Callable[[int], bytes]:
    """A CONNACK of MQTT 5 that lets us in."""
    return lambda _: bytes([0x20, 3 + len(properties), 0, 0, len(properties)]) + properties


def test_a_smaller_window_of_the_broker_is_kept() -> None:
    receive_maximum = greeting(b"\x21" + (2).to_bytes(2))
    with FakeBroker(acks=False, connack=receive_maximum) as broker, publishing(broker.port, ack_deadline_s=0.3) as pub:
        for number in range(20):
            pub.event(f"tick-{number}")
        assert wait_until(lambda: pub.status().connections >= 3)
        for connection in {number for number, _ in broker.publishes}:
            assert len([each for each, _ in broker.publishes if each == connection]) <= 2


def test_a_broker_that_takes_small_packets_only_gets_no_other() -> None:
    largest = greeting(b"\x27" + (4000).to_bytes(4))
    with FakeBroker(connack=largest) as broker, publishing(broker.port) as publisher:
        publisher.event("tick-big", BIG)
        publisher.event("tick-small")
        assert arrive(publisher, broker, ["tick-small"])
        assert ticks(broker) == ["tick-small"]
        assert publisher.status().dropped == {"e": 1}


def test_the_broker_is_told_how_large_a_packet_we_take() -> None:
    with FakeBroker() as broker, publishing(broker.port) as publisher:
        assert wait_until(lambda: publisher.status().connected)
        assert b"\x27" + (128 * 1024).to_bytes(4) in broker.connects[0]


def test_a_goodbye_because_somebody_else_came_is_a_rival() -> None:
    with FakeBroker(nonsense=b"\xe0\x01\x8e") as broker, publishing(broker.port) as publisher:
        assert wait_until(lambda: publisher.status().rivals > 0)
    with FakeBroker(nonsense=b"\xe0\x01\x8b") as broker, publishing(broker.port) as publisher:
        assert wait_until(lambda: publisher.status().connections > 1)
        assert publisher.status().rivals == 0, "it only shuts down"


def test_another_profile_brings_its_keep_alive_with_the_next_connection() -> None:
    with FakeBroker() as broker, publishing(broker.port, profile="live") as publisher:
        assert wait_until(lambda: publisher.status().connected)
        publisher.reconfigure(MqttConfig(profile="live", health_s=9.0))
        assert not len(publisher._inbox), "the same profile: windows that were begun go on"
        publisher.reconfigure(MqttConfig(profile="metered"))
        broker.cuts = 1
        publisher.event("tick-0")
        assert arrive(publisher, broker, ["tick-0"])
        assert [int.from_bytes(body[8:10]) for body in broker.connects] == [35, 240]
