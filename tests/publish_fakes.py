"""Clock, link and records for the tests of agent.publish: everything that the stage is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from agent.publish.access import Access
from agent.publish.backoff import Backoff
from agent.publish.conn import ConnCounter
from agent.publish.contract import Envelope, Stamp
from agent.publish.home_assistant import Announcer
from agent.publish.inbox import Inbox
from agent.publish.link import Accepted, Acked, Closed, LinkEvent, Will
from agent.publish.network import Network
from agent.publish.outbox import Outbox
from agent.publish.session import Session
from agent.publish.stamp import Stamper
from agent.publish.stored import merge_rows
from agent.publish.topics import Names, decode
from agent.records import (
    BoardInfo,
    BoardReading,
    Box,
    CameraStatus,
    Health,
    Identity,
    ModelInfo,
    PerfReport,
    ProcessReading,
    RuntimeInfo,
    SensorStatus,
    Sighting,
    SketchBins,
    StageStats,
    ThermalReading,
)
from tests.contract_watch import complaint

WALL_S = 1_795_000_000.0
STAGES = ("age", "preprocess", "invoke", "postprocess", "total")


class Clock:
    """Time stands still until a test or a sleep moves it."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return WALL_S + self.now_s


@dataclass
class Wake:
    """Sleeping moves the clock."""

    clock: Clock
    sets: int = 0

    def set(self) -> None:
        self.sets += 1

    def clear(self) -> None: ...

    def wait(self, timeout_s: float) -> None:
        self.clock.now_s += timeout_s


@dataclass
class Sent:
    topic: str
    body: bytes
    qos: int
    retain: bool
    mid: int

    @property
    def payload(self) -> Envelope:
        payload = decode(self.topic, self.body)
        assert payload is not None
        return payload


@dataclass
class Link:
    """A broker of few words: accepts at once, and acknowledges when told to."""

    clock: Clock
    will: Will | None = None
    version: int = 5
    acks: bool = True
    greeting: list[LinkEvent] = field(default_factory=lambda: [Accepted(window=8, max_packet_bytes=128 * 1024)])
    fault: Exception | None = None
    sent: list[Sent] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    asked_qos: dict[str, int] = field(default_factory=dict)
    marked: list[str] = field(default_factory=list)
    keeps: bool = False
    coming: list[LinkEvent] = field(default_factory=list)
    end: str = ""

    def open(self) -> None:
        if self.fault is not None:
            raise self.fault
        self.coming += self.greeting

    def poll(self, timeout_s: float) -> list[LinkEvent]:
        if not self.coming:
            self.clock.now_s += timeout_s
        events, self.coming = self.coming, []
        return events

    def publish(self, topic: str, body: bytes, qos: int, retain: bool) -> int:
        assert not complaint(topic, body), complaint(topic, body)
        mid = len(self.sent) + 1
        self.sent.append(Sent(topic, body, qos, retain, mid))
        if self.acks and qos:
            self.coming.append(Acked(mid))
        return mid

    def subscribe(self, topics: list[str], qos: int = 1, *, as_published: bool = False) -> None:
        self.asked_qos |= dict.fromkeys(topics, qos)
        self.marked += topics if as_published else []
        self.topics += topics

    def close(self) -> None:
        self.end = "closed"

    def abort(self) -> None:
        self.end = "aborted"

    def cut(self, detail: str = "gone") -> None:
        self.coming.append(Closed(detail))

    def on(self, below: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.topic == f"edge/v1/home/cam1/{below}"]


class Rig:
    """A network on the clock of the test; each attempt takes the next of ``links``, or a plain one."""

    def __init__(
        self,
        *,
        limit_bytes: int = 2**20,
        max_s: float = 120.0,
        ack_deadline_s: float = 15.0,
        home: Callable[[Clock], Announcer] | None = None,
        wants_session: bool = False,
        seed: int = 7,
    ) -> None:
        self.clock = Clock()
        self.wake = Wake(self.clock)
        self.inbox = Inbox(self.wake)  # type: ignore[arg-type]
        self.outbox = Outbox(limit_bytes, merge_rows)
        self.stamper = Stamper(device="cam1", boot="b007", clock=self.clock, wall=self.clock.wall)
        self.session = Session(
            Names("home", "cam1"),
            self.outbox,
            self.stamper,
            self.clock,
            ack_deadline_s=ack_deadline_s,
            home=home(self.clock) if home else None,
        )
        self.conn = ConnCounter()
        self.links: list[Link] = []
        self.dialled: list[Link] = []
        self.network = Network(
            Access("broker", 1883),
            self._dial,
            session=self.session,
            inbox=self.inbox,
            wake=self.wake,  # type: ignore[arg-type]
            conn=self.conn,
            backoff=Backoff(max_s, Random(seed)),  # noqa: S311  # jitter
            clock=self.clock,
            wants_session=wants_session,
        )

    def _dial(self, version: int, will: Will, keeps: bool = False) -> Link:
        link = self.links.pop(0) if self.links else Link(self.clock)
        link.version, link.will, link.keeps = version, will, keeps
        self.dialled.append(link)
        return link

    @property
    def link(self) -> Link:
        return self.dialled[-1]

    def steps(self, count: int = 8) -> None:
        for _ in range(count):
            self.network.step()

    def run_until(self, condition: Callable[[], object], limit: int = 10_000) -> None:
        for _ in range(limit):
            if condition():
                return
            self.network.step()
        raise AssertionError("it never came true")


def stamp(seq: int = 1, **changes: object) -> Stamp:
    base = Stamp(v=1, id="cam1", boot="b007", conn=3, seq=seq, ts=WALL_S + seq, clk="ok", up=None)
    base.update(changes)  # type: ignore[typeddict-item]
    return base


def bins(values: Iterable[float]) -> SketchBins:
    """The fixed schema, by the book: bucket k holds (g^(k-1), g^k]."""
    gamma = 1.01 / 0.99
    keys = [math.ceil(math.log(value, gamma)) for value in values if value > 0]
    zeros = sum(value == 0 for value in values)
    if not keys:
        return SketchBins(0, (), zeros)
    low = min(keys)
    counts = [0] * (max(keys) - low + 1)
    for key in keys:
        counts[key - low] += 1
    return SketchBins(low, tuple(counts), zeros)


def stats(values: list[float]) -> StageStats:
    ordered = sorted(values)
    p50, p90, p99 = (ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.9, 0.99))
    return StageStats(len(values), p50, p90, p99, ordered[-1], sum(values) / len(values), bins(values))


def perf_report(values: list[float] | None = None, started_s: float = 90.0, duration_s: float = 10.0) -> PerfReport:
    values = values or [0.031, 0.030, 0.045, 0.0312, 0.029]
    frames = len(values)
    stages = {name: stats(values) for name in STAGES}
    return PerfReport(started_s, duration_s, frames, frames / duration_s, 2, 7, stages)


def board_reading(taken_s: float = 99.0, soc_celsius: float | None = 61.3) -> BoardReading:
    return BoardReading(
        taken_s,
        ProcessReading(rss_bytes=130_000_000, peak_rss_bytes=140_000_000, cpu_percent=97.25, threads=6),
        ThermalReading(soc_celsius=soc_celsius, throttle_bits=0x50000 if soc_celsius else None),
        (SensorStatus("memory", True, 0.001), SensorStatus("apex", False, 0.0, "Input/output error")),
    )


def health(uptime_s: float = 60.0) -> Health:
    return Health(uptime_s, 12.4, CameraStatus("streaming", "", 744, 3, 1, 0), board_reading(), 1.5)


def identity() -> Identity:
    board = BoardInfo("Raspberry Pi 4 Model B Rev 1.4", "aarch64", 4, 3_900_000_000, "Debian 12", "6.6.31", "3.11.2")
    runtime = RuntimeInfo("litert", "2.3.0", 2)
    model = ModelInfo("coco-ssd", "1.0", "ab" * 32, "uint8 1x300x300x3", 90)
    return Identity("0.1.0", "cd" * 32, board, runtime, model)


def sighting(at_s: float = 99.0, people: int = 2) -> Sighting:
    box = Box("person", 0.91, (0.1, 0.2, 0.3, 0.4), ("door",))
    counts = {"dog": 0, "person": people}
    return Sighting(at_s, True, "", 812, 0.061, counts, {"door": {"dog": 0, "person": 1}}, (box,) * people)
