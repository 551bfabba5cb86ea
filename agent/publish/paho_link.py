"""The only file that knows paho-mqtt: one client object for one connection, driven by our own thread and poll.

Measured on paho 2.2.0, and why it is held so short: its queue takes messages while offline and calls that an error; a
reconnect resends everything at once, past the in-flight limit; an exception in a callback kills its thread while
``is_connected()`` stays true; ``loop_stop()`` can block for ever; its back-off has no jitter. So: no thread of its
own, no queue (we send no more than the window), no reconnect, callbacks that only take notes.
"""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from typing import Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.publish.access import Access
from agent.publish.link import Accepted, Acked, Closed, LinkEvent, Received, Refused, Subscribed, Will
from agent.publish.topics import MAX_PACKET_BYTES
from agent.publish.wake import Wake

WINDOW = 8
"""Unacknowledged messages at a time: enough for loopback speed, little to repeat after a cut."""

SESSION_TAKEN_OVER = 0x8E

_EMPTY_NAMES = frozenset({"Unspecified error", "Normal disconnection", "Success"})
"""What paho gives as the reason for a disconnect when it knows none."""


class _Client(mqtt.Client):
    """paho takes in whatever the broker announces, up to 256 MiB, in one piece: here a giant ends the connection."""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > MAX_PACKET_BYTES:  # paho asks for all that is left of the packet
            raise OSError(f"the broker sends a packet of {bufsize} bytes")
        return super()._sock_recv(bufsize)


class PahoLink:
    """One connection by paho; see :class:`agent.publish.link.Link`.

    With ``session_s`` the broker is to keep what is sent to us for so long while we are away (MQTT 3.1.1: for ever);
    without, it forgets what it kept. What *we* send is the outbox's: a client object never outlives its connection, so
    that it has nothing of a former one to repeat.
    """

    def __init__(
        self,
        access: Access,
        *,
        client_id: str,
        version: Literal[4, 5],
        wake: Wake,
        will: Will | None,
        session_s: int = 0,
    ) -> None:
        self._access = access
        self._session_s = session_s
        self._wake = wake
        self._events: list[LinkEvent] = []
        self._last_error = ""
        self._is_over = False
        self._v5 = version == 5
        self._client = self._make(client_id)
        if will is not None:
            self._client.will_set(will.topic, will.body, qos=1, retain=True)

    def open(self) -> None:
        """TCP, TLS and CONNECT; blocks up to the deadline for each address of the name."""
        access = self._access
        if self._v5:
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types all but this
            limits.MaximumPacketSize = MAX_PACKET_BYTES
            limits.SessionExpiryInterval = self._session_s
            is_new = not self._session_s
            self._client.connect(access.host, access.port, access.keepalive_s, clean_start=is_new, properties=limits)
        else:
            self._client.connect(access.host, access.port, access.keepalive_s)
        sock: Any = self._client.socket()
        if sock is not None:  # else each burst of small messages waits 40 ms for the broker's delayed acknowledgement
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def poll(self, timeout_s: float) -> list[LinkEvent]:
        """Waits for the broker or a wake-up, does what is due, and gives what happened."""
        sock: Any = self._client.socket()
        if sock is not None and not self._events:
            self._wait(sock, timeout_s)
        if self._client.socket() is not None:
            self._client.loop_misc()
        events, self._events = self._events, []
        if self._client.socket() is None and not self._is_over:
            self._is_over = True
            events.append(Closed(self._last_error))
        return events

    def publish(self, topic: str, body: bytes, qos: int, retain: bool) -> int:
        """Sends a message as far as the socket takes it; a dead socket shows in the next poll."""
        return self._client.publish(topic, body, qos, retain).mid

    def subscribe(self, topics: list[str], qos: int = 1, *, as_published: bool = False) -> None:
        """Asks for topics; MQTT 3.1.1 has no word for ``as_published``: its brokers take the mark off."""
        if self._v5:
            options = SubscribeOptions(qos, retainAsPublished=as_published)
            self._client.subscribe([(topic, options) for topic in topics])
        else:
            self._client.subscribe([(topic, qos) for topic in topics])

    def close(self) -> None:
        """Says goodbye, if the socket takes it, and closes."""
        self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Cuts the connection."""
        sock: Any = self._client.socket()
        if sock is not None:
            sock.close()

    def _make(self, client_id: str) -> mqtt.Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self._v5 else not self._session_s,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._access.timeout_s
        client.username_pw_set(self._access.username, self._access.password)
        if self._access.tls is not None:
            client.tls_set_context(self._access.tls)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_subscribe = self._on_publish, self._on_subscribe
        client.on_message, client.on_log = self._on_message, self._on_log
        return client

    def _wait(self, sock: Any, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poll.register(self._wake, select.POLLIN)
        # TLS may hold bytes that were already taken from the socket: poll() would sleep over them
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        ready = dict(poll.poll(0 if pending else max(0.0, timeout_s) * 1000))
        flags = ready.get(sock.fileno(), 0)
        if pending or flags & ~select.POLLOUT:
            self._client.loop_read()
        if flags & select.POLLOUT and self._client.socket() is not None:
            self._client.loop_write()

    def _on_connect(self, _c: Any, _u: Any, _flags: Any, reason: ReasonCode, properties: Properties | None) -> None:
        if reason.is_failure:
            self._events.append(Refused(reason.value, reason.getName()))
            return
        window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        limit = min(MAX_PACKET_BYTES, getattr(properties, "MaximumPacketSize", MAX_PACKET_BYTES))
        self._events.append(Accepted(window, limit))

    def _on_disconnect(self, _c: Any, _u: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._is_over = True
        name = "" if reason.getName() in _EMPTY_NAMES else reason.getName()
        detail = name if flags.is_disconnect_packet_from_server else self._last_error or name
        self._events.append(Closed(detail, reason.value == SESSION_TAKEN_OVER))

    def _on_publish(self, _c: Any, _u: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._events.append(Acked(mid, reason.getName() if reason.is_failure else ""))

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        self._events.append(Subscribed(next((reason.getName() for reason in reasons if reason.is_failure), "")))

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        with suppress(UnicodeDecodeError):  # a topic that is no UTF-8 is none of ours
            self._events.append(Received(message.topic, bytes(message.payload), message.retain))

    def _on_log(self, _c: Any, _u: Any, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._last_error = text
