"""How publishing goes, for the service, the command line and the tests."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """A look at the publisher; the counters count from the agent's start.

    Attributes:
        connected: the broker let us in.
        reason: what is wrong, one sentence; empty while nothing is.
        version: the MQTT version in use, or tried next.
        connections: how many came about.
        rivals: signs of another client under our name.
        queue_rows, queue_bytes, oldest_s: what waits or is unacknowledged, and the age of the oldest.
        published, acked: messages sent, repeats included, and acknowledged.
        merged: windows merged into a neighbour.
        dropped, refused: messages lost here, and thrown away by the broker, by delivery class.
        bytes_out: MQTT bytes sent, by delivery class.
        disk_bytes_written, disk_faults: written to save what waits, and how often that failed.
        lost_at_restart: what former starts had made and nobody has, by delivery class.
        thread_restarts: times that the network thread died and was started again.
    """

    connected: bool = False
    reason: str = ""
    version: str = "5"
    connections: int = 0
    rivals: int = 0
    queue_rows: int = 0
    queue_bytes: int = 0
    oldest_s: float = 0.0
    published: int = 0
    acked: int = 0
    merged: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    bytes_out: dict[str, int] = field(default_factory=dict)
    disk_bytes_written: int = 0
    disk_faults: int = 0
    lost_at_restart: dict[str, int] = field(default_factory=dict)
    thread_restarts: int = 0
