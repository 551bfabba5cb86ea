"""Stands between an agent and a broker, and writes down what was published and what was acknowledged."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field

from tests.servers.mosquitto import free_port

CONNECT, PUBLISH, PUBACK = 1, 3, 4
REFUSED = 0x80


def packets(buffer: bytearray) -> list[bytes]:
    """Takes whole packets, with their first byte but without their length, off the front."""
    found = []
    while len(buffer) >= 2:
        length, shift, at = 0, 0, 1
        while at < len(buffer) and at < 5:
            length |= (buffer[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not buffer[at - 1] & 0x80:
                break
        else:
            return found
        if len(buffer) < at + length:
            return found
        found.append(bytes(buffer[:1] + buffer[at : at + length]))
        del buffer[: at + length]
    return found


@dataclass
class Conversation:
    """One connection: what is under way in it."""

    tap: Wiretap
    version: int = 5
    flying: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def from_agent(self, packet: bytes) -> None:
        kind = packet[0] >> 4
        if kind == CONNECT:
            self.version = packet[7]
        elif kind == PUBLISH and packet[0] & 0x06:
            size = int.from_bytes(packet[1:3], "big")
            topic, rest = packet[3 : 3 + size].decode(), packet[3 + size :]
            number, body = int.from_bytes(rest[:2], "big"), rest[2:]
            if self.version == 5:
                assert body[0] < 0x80, "few properties"
                body = body[1 + body[0] :]
            self.flying[number] = (topic, body)
            self.tap.sent.append((topic, body))

    def from_broker(self, packet: bytes) -> None:
        if packet[0] >> 4 == PUBACK:
            message = self.flying.pop(int.from_bytes(packet[1:3], "big"), None)
            is_refused = len(packet) > 3 and packet[3] >= REFUSED
            if message is not None and not is_refused:
                self.tap.acked.append(message)


@dataclass
class Wiretap:
    """Listens on ``port`` for as long as the ``with`` lasts; the broker may come and go."""

    broker_port: int
    port: int = field(default_factory=free_port)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    acked: list[tuple[str, bytes]] = field(default_factory=list)

    def __enter__(self) -> Wiretap:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                agent, _ = self.listener.accept()
                try:
                    broker = socket.create_connection(("127.0.0.1", self.broker_port), 5)
                    broker.settimeout(None)
                except OSError:
                    agent.close()
                    continue
                for each in (agent, broker):  # else small packets wait 40 ms for one another
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                conversation = Conversation(self)
                for source, target, note in (
                    (agent, broker, conversation.from_agent),
                    (broker, agent, conversation.from_broker),
                ):
                    threading.Thread(target=self._pump, args=(source, target, note), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, note: object) -> None:
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                buffer += data
                for packet in packets(buffer):
                    note(packet)  # type: ignore[operator]
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
