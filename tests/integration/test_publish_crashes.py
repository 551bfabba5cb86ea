"""Agent and broker are killed at random, under load: what must not be lost leaves on its acknowledgement only.

Seen from both sides. On the wire: what was published, and what the broker acknowledged. On the agent's disk, after
each of its deaths: what it knows to be unacknowledged. Whatever was ever seen on either must have been acknowledged in
the end, and the numbers of each start of the agent must have no gap. What the broker loses afterwards is its affair.

``EDGE_CRASH_CYCLES`` says how many deaths; 100 take some minutes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from agent.publish.store import FILE_NAME, Store
from agent.publish.topics import find
from tests.servers.mosquitto import Mosquitto
from tests.servers.wiretap import Wiretap

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CYCLES = int(os.environ.get("EDGE_CRASH_CYCLES", "10"))
MUST_ARRIVE = {"a", "e", "res"}

Name = tuple[str, str, int]
"""Boot, class and number of a message."""


class _Label(msgspec.Struct):
    boot: str
    seq: int


def victim(port: int, state_dir: Path, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.servers.victim", str(port), str(state_dir), mode]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."})


def names(messages: Iterable[tuple[str, bytes]]) -> set[Name]:
    """Those that must arrive; an alarm that is cleared has no number."""
    found = set()
    for topic, body in messages:
        line = find(topic)
        if line is not None and line.cls in MUST_ARRIVE and body:
            label = msgspec.json.decode(body, type=_Label)
            found.add((label.boot, line.cls, label.seq))
    return found


def on_disk(state_dir: Path, copy: Path) -> set[Name]:
    """What a killed agent left: read from a copy, so that nothing is changed by looking."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state_dir, copy)
    store = Store(copy / FILE_NAME)
    assert store.open() == "", "a kill breaks no file"
    rows = store.notices(0, 1_000_000)
    store.close()
    return names((entry.topic, entry.body) for _, entry in rows)


@pytest.mark.timeout(60 + 20 * CYCLES)
def test_under_random_kills_nothing_that_must_arrive_vanishes_before_its_acknowledgement(tmp_path: Path) -> None:
    seed = int(os.environ.get("EDGE_CRASH_SEED", str(random.randrange(2**32))))  # noqa: S311
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)  # noqa: S311
    state, copy = tmp_path / "state", tmp_path / "copy"
    state.mkdir()
    broker = Mosquitto(
        tmp_path / "broker", ["allow_anonymous true", "max_inflight_messages 100", "set_tcp_nodelay true"]
    )
    broker.start()
    known: set[Name] = set()
    deaths = {"agent": 0, "broker": 0}
    with Wiretap(broker.port) as tap:
        agent = victim(tap.port, state, "load")
        try:
            for _ in range(CYCLES):
                time.sleep(rng.uniform(0.3, 2.0))
                if rng.random() < 0.5:
                    broker.stop(signal.SIGKILL)
                    deaths["broker"] += 1
                    time.sleep(rng.uniform(0.0, 0.5))
                if rng.random() < 0.7:
                    agent.kill()
                    agent.wait(10)
                    deaths["agent"] += 1
                    known |= on_disk(state, copy) if (state / FILE_NAME).exists() else set()
                    agent = victim(tap.port, state, "load")
                if broker.process is not None and broker.process.poll() is not None:
                    broker.start()
            agent.kill()
            agent.wait(10)
            known |= on_disk(state, copy)
            agent = victim(tap.port, state, "drain")
            told, _ = agent.communicate(timeout=120)
            assert told.strip() == "drained"
        finally:
            agent.kill()
            broker.stop(signal.SIGKILL)
    acked = names(tap.acked)
    vanished = (known | names(tap.sent)) - acked
    assert not vanished, f"{len(vanished)} of {len(known)} vanished: {sorted(vanished)[:5]} ({deaths})"
    assert on_disk(state, copy) == set()
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    for boot, cls, seq in acked:
        numbers[boot, cls].add(seq)
    gaps = {key: sorted(set(range(1, max(found))) - found)[:5] for key, found in numbers.items()}
    assert not any(gaps.values()), gaps
    assert len(acked) > 50 * CYCLES, "under load"
