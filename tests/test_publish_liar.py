"""A broker that lies, floods, or goes away in the middle of a packet: it costs a connection, and nothing that waits."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import MqttConfig
from agent.publish import Publisher
from agent.records import Command, Desired
from tests.servers.fake_broker import FakeBroker
from tests.servers.mosquitto import wait_until

P = "edge/v1/home/cam1"


class Board:
    """A publisher that takes notes of what it is asked."""

    def __init__(self, port: int) -> None:
        self.asked: list[Command] = []
        self.desired: list[Desired] = []
        self.publisher = Publisher(
            MqttConfig(host="127.0.0.1", port=port, reconnect_max_s=0.1, connect_timeout_s=1.0),
            site="home",
            device="cam1",
            ack_deadline_s=1.0,
            on_command=self.asked.append,
            on_desired=self.desired.append,
        )
        self.publisher.start()

    def survives(self, broker: FakeBroker) -> None:
        """From now on the broker behaves: everything arrives, and the thread never died."""
        broker.nonsense, broker.hangs_up = b"", False
        for number in range(20):
            self.publisher.event(f"tick-{number}", {})
        wanted = {f"{P}/e/tick-{number}".encode() for number in range(20)}
        assert wait_until(lambda: wanted <= {topic for _, topic in broker.publishes})
        assert wait_until(lambda: not self.publisher.status().queue_rows)
        status = self.publisher.status()
        assert (status.thread_restarts, status.dropped) == (0, {})


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, digit = rest >> 7, rest & 0x7F
        length += bytes([digit | (0x80 if rest else 0)])
        if not rest:
            return bytes([kind << 4 | flags]) + length + body


def publish(topic: str, body: bytes, *, retain: bool = False) -> bytes:
    name = topic.encode()
    return packet(3, len(name).to_bytes(2) + name + b"\0" + body, int(retain))


@pytest.mark.parametrize("below", ["cmd/snapshot/1", "desired", "state", "a/x", "nothing/of/ours"])
def test_ten_megabytes_are_not_taken(below: str, caplog: pytest.LogCaptureFixture) -> None:
    with FakeBroker(nonsense=publish(f"{P}/{below}", b" " * 10_000_000)) as broker:
        board = Board(broker.port)
        assert wait_until(lambda: board.publisher.status().connections > 1), "it is left for another try"
        assert "the broker sends a packet of 10000" in caplog.text
        board.survives(broker)
        board.publisher.stop(1.0)
        assert not board.asked
        assert not board.desired


def test_a_promise_of_a_huge_packet_costs_no_memory() -> None:
    tracemalloc.start()
    with FakeBroker(nonsense=b"\x30\xff\xff\xff\x7f" + b"x" * 1_000_000) as broker:
        board = Board(broker.port)
        assert wait_until(lambda: board.publisher.status().connections > 1)
        board.survives(broker)
        board.publisher.stop(1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("end", [1, 2, 3, 12, 40])
def test_hanging_up_in_the_middle_of_a_packet(end: int) -> None:
    cut = publish(f"{P}/cmd/snapshot/1", b"{}" + b" " * 60)[:end]
    with FakeBroker(nonsense=cut, hangs_up=True) as broker:
        board = Board(broker.port)
        assert wait_until(lambda: board.publisher.status().connections > 1)
        board.survives(broker)
        board.publisher.stop(1.0)
        assert not board.asked, "half a request is none"


LIES = {
    "an acknowledgement of nothing": packet(4, b"\x7f\xff"),
    "every acknowledgement before its message": b"".join(packet(4, number.to_bytes(2)) for number in range(200, 400)),
    "a second greeting": b"\x20\x03\0\0\0",
    "a refusal after the greeting": b"\x20\x03\0\x87\0",
    "an answer to no question": packet(9, b"\x7f\xff\0\x80") + packet(13, b""),
    "a message that we never asked for": publish("other/place", b"{}") + publish("$SYS/broker", b"x"),
    "a command with a path in it": publish(f"{P}/cmd/a/snapshot/1", b"{}"),
    "a command of another board": publish("edge/v1/home/cam2/cmd/snapshot/1", b"{}"),
    "a retained command": publish(f"{P}/cmd/snapshot/1", b"{}", retain=True),
    "a topic of nothing": publish("", b"{}"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_no_command_and_loses_nothing(lie: bytes) -> None:
    with FakeBroker(nonsense=lie) as broker:
        board = Board(broker.port)
        assert wait_until(lambda: board.publisher.status().connections > 0)
        board.survives(broker)
        board.publisher.stop(1.0)
        assert not board.asked


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.binary(max_size=30)), min_size=1, max_size=4))
def test_well_framed_rubbish_costs_a_connection_at_most(packets: list[tuple[int, int, bytes]]) -> None:
    rubbish = b"".join(packet(kind, body, flags) for kind, flags, body in packets)
    with FakeBroker(nonsense=rubbish) as broker:
        board = Board(broker.port)
        assert wait_until(lambda: board.publisher.status().connections > 0)
        board.survives(broker)
        board.publisher.stop(0.5)
        assert not board.asked
