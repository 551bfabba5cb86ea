"""A broker that misbehaves on purpose: never acknowledges, refuses, stalls, speaks an old version, talks nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP = 1, 2, 3, 4, 8, 9, 12, 13


@dataclass
class FakeBroker:
    """Speaks just enough MQTT; what it does wrong is what a test sets.

    Attributes:
        listens_on: a port; 0: any that is free.
        acks: answer a PUBLISH of QoS 1.
        puback: reason code of those answers, for connections of MQTT 5.
        deaf: read nothing any more after the CONNACK, and never close: what is sent fills the buffers between.
        cuts: so many connections are closed in the middle of the first PUBLISH on each.
        connack: bytes to send for a CONNECT of a protocol version; None hangs up, empty says nothing.
        nonsense: bytes to send right after the CONNACK.
        hangs_up: close the connection after the nonsense.
    """

    acks: bool = True
    connack: Callable[[int], bytes | None] = lambda version: b"\x20\x03\0\0\0" if version == 5 else b"\x20\x02\0\0"
    nonsense: bytes = b""
    hangs_up: bool = False
    puback: int = 0
    deaf: bool = False
    cuts: int = 0
    listens_on: int = 0
    versions: list[int] = field(default_factory=list)
    publishes: list[tuple[int, bytes]] = field(default_factory=list)
    connects: list[bytes] = field(default_factory=list)
    pings: int = 0

    def __enter__(self) -> FakeBroker:
        self._listener = socket.create_server(("127.0.0.1", self.listens_on))
        self._over = threading.Event()
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, name="fake-broker", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._over.set()
        for sock in self._open:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.deaf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock, len(self._open)), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        version = 4
        try:
            with sock, sock.makefile("rb") as stream:
                while head := stream.read(1):
                    if self.cuts and head[0] >> 4 == PUBLISH:
                        self.cuts -= 1
                        return
                    body = stream.read(_length(stream.read))
                    if head[0] >> 4 == CONNECT:
                        version = body[6]
                        self.versions.append(version)
                        self.connects.append(body)
                        answer = self.connack(version)
                        if answer is None:
                            return
                        sock.sendall(answer + self.nonsense)
                        if self.hangs_up:
                            return
                        if self.deaf:
                            self._over.wait()
                            return
                    else:
                        self._answer(sock, head[0], body, version, number)
        except OSError:
            return

    def _answer(self, sock: socket.socket, head: int, body: bytes, version: int, number: int) -> None:
        kind = head >> 4
        properties = b"\0" if version == 5 else b""
        if kind == PUBLISH:
            start = 2 + int.from_bytes(body[:2])
            self.publishes.append((number, body[2:start]))
            if self.acks and head & 0x06:
                reason = bytes([self.puback]) if self.puback and version == 5 else b""
                sock.sendall(bytes([PUBACK << 4, 2 + len(reason)]) + body[start : start + 2] + reason)
                if body[2:start].endswith((b"/a/check", b"/cmd/check/probe")):  # what `check` reads back
                    rest = body[:start] + properties
                    sock.sendall(bytes([PUBLISH << 4, len(rest)]) + rest)
        elif kind == SUBSCRIBE:
            granted = properties + b"\1\1"
            sock.sendall(bytes([SUBACK << 4, 2 + len(granted)]) + body[:2] + granted)
        elif kind == PINGREQ:
            self.pings += 1
            sock.sendall(bytes([PINGRESP << 4, 0]))


def _length(read: Callable[[int], bytes]) -> int:
    value = shift = 0
    while True:
        byte = read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value
