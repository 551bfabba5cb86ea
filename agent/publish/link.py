"""One connection to a broker, as the rest of the stage sees it: a few verbs, and events that are polled for.

A link lives for one connection only; the next attempt makes a new one. That keeps a client library's own queue, its
resending and its state from outliving the connection that they belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, QoS 1 and retained, when the connection dies without a goodbye."""

    topic: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker let us in.

    Attributes:
        window: unacknowledged messages that it takes at a time.
        max_packet_bytes: the largest packet that it takes.
    """

    window: int
    max_packet_bytes: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker answered CONNECT with no: an MQTT 5 reason code and its name."""

    code: int
    name: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; ``detail`` is whatever is known of why. Always the last event."""

    detail: str
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class Acked:
    """PUBACK for one message; ``refusal`` names the reason code when the broker threw the message away (MQTT 5)."""

    mid: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """SUBACK; ``refusal`` names the reason code when a subscription was not granted."""

    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a topic that we subscribed to; ``retained`` when the broker had kept it."""

    topic: str
    body: bytes
    retained: bool = False


LinkEvent = Accepted | Refused | Closed | Acked | Subscribed | Received


class Link(Protocol):
    """One connection; used from the mqtt thread only."""

    def open(self) -> None:
        """TCP, TLS and CONNECT; blocks up to the deadline. Raises OSError or ValueError; ``Accepted`` comes later."""

    def poll(self, timeout_s: float) -> list[LinkEvent]:
        """Waits for the broker or a wake-up, does what is due, and gives what happened."""

    def publish(self, topic: str, body: bytes, qos: int, retain: bool) -> int:
        """Sends a message as far as the socket takes it; its number comes back in :class:`Acked` when QoS is 1."""

    def subscribe(self, topics: list[str], qos: int = 1, *, as_published: bool = False) -> None:
        """Asks for topics; ``as_published``: what is sent while we listen keeps its mark "retained" (MQTT 5)."""

    def close(self) -> None:
        """Says goodbye: the broker keeps the last will to itself."""

    def abort(self) -> None:
        """Cuts the connection: the broker publishes the last will."""
