"""What a day costs on the wire in each profile: every MQTT byte of simulated hours, with its share of TCP/IP.

Counted: each PUBLISH packet, its PUBACK, and the pings that silence makes. For each packet either way, and for the bare
TCP acknowledgement that ends an exchange, 52 bytes are added: 20 of IPv4, 20 of TCP, 12 of its time stamps. TLS is not.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from agent.config import MqttConfig
from agent.publish import decode_batch
from agent.publish.contract import Perf
from agent.publish.profile import profile_of
from agent.publish.topics import packet_bytes
from agent.records import (
    BoardReading,
    EpisodeTotal,
    Health,
    MemoryGrowth,
    PerfReport,
    ProcessReading,
    SensorStatus,
    ThermalReading,
)
from tests.publish_fakes import Link, Sent, health, identity, stats
from tests.spools import P, StoredRig

TCP_IP_BYTES = 52
SEGMENT_BYTES = 1448
ROOM = 0.96
"""What a profile costs today leaves room for the fields of tomorrow."""

SIMULATED_S = 2 * 3600.0
MEDIANS_S = {"age": 0.062, "preprocess": 0.0005, "invoke": 0.055, "postprocess": 0.0007, "total": 0.057}


def noisy_report(rng: random.Random, now_s: float, frames: int) -> PerfReport:
    """Ten seconds of a board whose stages scatter by a quarter."""
    stages = {
        name: stats([rng.lognormvariate(math.log(median_s), 0.25) for _ in range(frames)])
        for name, median_s in MEDIANS_S.items()
    }
    lasted_s = 10.0 + rng.random() / 10
    return PerfReport(
        now_s - lasted_s, lasted_s, frames, frames / lasted_s, rng.randrange(3), rng.randrange(99), stages
    )


def noisy_reading(rng: random.Random, now_s: float) -> BoardReading:
    process = ProcessReading(
        rss_bytes=130_000_000 + 4096 * rng.randrange(300),
        pss_bytes=120_000_000 + 1024 * rng.randrange(900),
        peak_rss_bytes=140_000_000,
        available_bytes=3_400_000_000 + 4096 * rng.randrange(20_000),
        cpu_percent=95 + 5 * rng.random(),
        board_cpu_percent=30 + 5 * rng.random(),
        threads=7,
        uss_bytes=118_000_000 + 4096 * rng.randrange(300),
        cgroup_bytes=150_000_000 + 4096 * rng.randrange(300),
    )
    heat = ThermalReading(
        soc_celsius=60 + 0.487 * rng.randrange(6),
        frequency_hz=1.5e9,
        frequency_max_hz=1.8e9,
        throttle_bits=0,
        under_voltage=False,
        throttled=False,
        throttle_seen_bits=0,
        pmic_celsius=50 + 0.1 * rng.randrange(20),
        core_volts=0.86 + 0.0125 * rng.randrange(3),
        frequency_hardware_max_hz=1.8e9,
        frequency_min_hz=6e8,
        soc_limit_celsius=85.0,
        sources={"throttle": "mailbox", "frequency": "mailbox", "soc": "sysfs"},
    )
    return BoardReading(now_s, process, heat, (SensorStatus("memory", True, 0.001),))


def full_card(rng: random.Random, now_s: float) -> Health:
    """A card of a board that has been through something."""
    return replace(
        health(now_s),
        board=noisy_reading(rng, now_s),
        blind={"start": 1.2, "camera": 310.5},
        episodes={"throttled": EpisodeTotal(7, 903.1)},
        growth=MemoryGrowth(rng.gauss(0.0, 1e5), rng.gauss(-2e5, 1e5), rng.gauss(2e5, 1e5), 21_000.0),
    )


@dataclass
class TimedLink(Link):
    """Notes when something was sent."""

    times: list[float] = field(default_factory=list)

    def publish(self, topic: str, body: bytes, qos: int, retain: bool) -> int:
        self.times.append(self.clock())
        return super().publish(topic, body, qos, retain)


def simulate(profile: str, frames: int) -> tuple[TimedLink, float]:
    """Two hours at the default settings, from the first quiet moment on."""
    rng = random.Random(5)  # noqa: S311  # noise
    rig = StoredRig(None, as_measured=False, profile=profile)
    link = TimedLink(rig.clock)
    rig.links = [link]
    rig.inbox.put_notice(identity())
    rig.steps()
    assert rig.link is link
    link.sent.clear()
    link.times.clear()
    begun_s, due_s, turn = rig.clock(), rig.clock(), 0
    while rig.clock() - begun_s < SIMULATED_S:
        if rig.clock() >= due_s:
            due_s, turn = due_s + 5.0, turn + 1
            rig.inbox.put_window(noisy_reading(rng, rig.clock()))
            if turn % 2 == 0:
                rig.inbox.put_window(noisy_report(rng, rig.clock(), frames))
            if turn % 60 == 0:
                rig.inbox.put_window(full_card(rng, rig.clock()))
        rig.network.step()
    return link, rig.clock() - begun_s


def cost_bytes(sent: Sent) -> int:
    """One message, with what the broker answers."""
    size = packet_bytes(sent.topic, sent.body, sent.qos)
    segments = math.ceil(size / SEGMENT_BYTES)
    return size + segments * TCP_IP_BYTES + ((4 + TCP_IP_BYTES) if sent.qos else 0) + TCP_IP_BYTES


def ping_bytes(times: list[float], keepalive_s: int) -> int:
    """PINGREQ, PINGRESP and the acknowledgement of that, for every silence."""
    return sum(int((after - before) // keepalive_s) for before, after in pairwise(times)) * (4 + 3 * TCP_IP_BYTES)


def bytes_a_day(profile: str, frames: int = 100) -> float:
    link, lasted_s = simulate(profile, frames)
    keepalive_s = profile_of(MqttConfig(profile=profile)).keepalive_s  # type: ignore[arg-type]
    total = sum(map(cost_bytes, link.sent)) + ping_bytes(link.times, keepalive_s)
    return total * 86_400.0 / lasted_s


@pytest.mark.parametrize("frames", [80, 300], ids=["8 fps", "30 fps"])
@pytest.mark.parametrize(("profile", "budget"), [("live", 6.0e6), ("normal", 1.5e6), ("metered", 1.0e6)])
def test_a_day_costs_no_more_than_the_profile_promises(profile: str, budget: float, frames: int) -> None:
    cost = bytes_a_day(profile, frames)
    print(f"{profile}, {frames / 10:.0f} fps: {cost / 1e6:.2f} MB a day")  # noqa: T201
    assert 0.3 * budget < cost <= ROOM * budget


@pytest.mark.parametrize(("profile", "topic", "windows"), [("normal", "mb", 2), ("metered", "mb", 5)])
def test_nothing_is_left_out_to_save_bytes(profile: str, topic: str, windows: int) -> None:
    link, lasted_s = simulate(profile, 10)
    batches = [decode_batch(sent.topic, sent.body) for sent in link.sent if sent.topic == f"{P}/{topic}"]
    perf = [each for batch in batches for each in batch if isinstance(each, Perf)]
    assert sum(each.frames for each in perf) >= 10 * (lasted_s - 360) / 10
    assert all((a.seq + 1) == (b.seq_first or b.seq) for a, b in pairwise(perf))
    assert all(stage.sketch for each in perf for name, stage in each.stages.items() if name in {"age", "total"})
    assert sum(isinstance(each, Perf) for each in batches[2]) == windows


def test_live_sends_json_of_half_a_minute() -> None:
    link, _ = simulate("live", 10)
    perf = [sent.payload for sent in link.on("m/perf")]
    assert all(isinstance(each, Perf) and 20.0 < each.window_s < 41.0 for each in perf[1:])
    assert not link.on("mb")
