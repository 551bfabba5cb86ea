"""Agent and broker are killed at random, under load: what must not be lost leaves on its acknowledgement only.

And what may be lost, windows that wait in memory, is told by the next start, number by number: what was made is what
the broker acknowledged, what lay on the disk, and what was told as lost.

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

from agent.publish import decode_batch
from agent.publish.contract import Event
from agent.publish.store import FILE_NAME, Store
from agent.publish.tally import formers, name_of
from agent.publish.topics import find, find_batch
from tests.servers.mosquitto import Mosquitto
from tests.servers.wiretap import Wiretap
from tools.fleet.boards import Fleet

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CYCLES = int(os.environ.get("EDGE_CRASH_CYCLES", "10"))
MUST_ARRIVE = {"a", "e", "res"}

Name = tuple[str, str, int]
"""Boot, class and number of a message."""


P = "edge/v1/home/cam1"
WINDOW = 8
"""Messages under way at a time: so many may be acknowledged without the killed agent having known it."""


class _Label(msgspec.Struct):
    boot: str
    seq: int
    seq_first: int = 0


def victim(port: int, state_dir: Path, mode: str) -> subprocess.Popen[str]:
    """A publisher; one that is to be killed works already."""
    command = [sys.executable, "-m", "tests.servers.victim", str(port), str(state_dir), mode]
    env = {**os.environ, "PYTHONPATH": "."}
    child = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, env=env)
    if mode == "load":
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
    return child


def names(messages: Iterable[tuple[str, bytes]]) -> set[Name]:
    """Those that must arrive; an alarm that is cleared has no number."""
    found = set()
    for topic, body in messages:
        line = find(topic)
        if line is not None and line.cls in MUST_ARRIVE and body:
            label = msgspec.json.decode(body, type=_Label)
            found.add((label.boot, line.cls, label.seq))
    return found


def windows(messages: Iterable[tuple[str, bytes]]) -> dict[str, set[int]]:
    """Numbers of the ``m/perf`` of each boot."""
    found: dict[str, set[int]] = defaultdict(set)
    for topic, body in messages:
        if find_batch(topic) is not None:
            labels = [(each.boot, each.seq_first or each.seq, each.seq) for each in decode_batch(topic, body)]
        elif topic == f"{P}/m/perf":
            label = msgspec.json.decode(body, type=_Label)
            labels = [(label.boot, label.seq_first or label.seq, label.seq)]
        else:
            continue
        for boot, first, last in labels:
            found[boot].update(range(first, last + 1))
    return found


def numbers_in(shown: str) -> set[int]:
    """The numbers that ``3-5,9`` stands for."""
    ends = [part.partition("-") for part in shown.split(",")]
    return {number for first, _, last in ends for number in range(int(first), int(last or first) + 1)}


def told(messages: Iterable[tuple[str, bytes]]) -> dict[str, dict[str, object]]:
    """What was said of each boot's end."""
    events = [msgspec.json.decode(body, type=Event) for topic, body in messages if topic == f"{P}/e/losses"]
    return {str(event.data["boot"]): event.data for event in events}


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
    runtime, saved = Path(os.environ["RUNTIME_DIRECTORY"]), defaultdict(set)
    made: dict[str, dict[str, int]] = {}
    deaths = {"agent": 0, "broker": 0}
    with Wiretap(broker.port) as tap:

        def look_at_the_dead() -> None:
            if not (state / FILE_NAME).exists():
                return
            known.update(on_disk(state, copy))
            for former in formers(runtime, name_of(P, state)):
                made[former.boot] = {cls: count.made for cls, count in former.classes.items()}
                store = Store(copy / FILE_NAME)
                store.open()
                saved[former.boot] = store.of_boot(former.boot).get("m/perf", set())
                store.close()

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
                    agent.wait(60)
                    deaths["agent"] += 1
                    look_at_the_dead()
                    agent = victim(tap.port, state, "load")
                if broker.process is not None and broker.process.poll() is not None:
                    broker.start()
            agent.kill()
            agent.wait(60)
            look_at_the_dead()
            agent = victim(tap.port, state, "drain")
            said, _ = agent.communicate(timeout=120)
            assert said.strip() == "drained"
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
    assert len(acked) > 10 * CYCLES, "under load"
    fleet = Fleet()
    for topic, body in tap.acked:
        fleet.take(topic, body, 0.0)
    assert not any(gap.unexplained for gap in fleet.gaps("home", "cam1").values()), "a reader can tell"
    check_windows(made, saved, windows(tap.acked), told(tap.acked))
    check_committed(told(tap.acked), known | names(tap.sent))


def check_committed(told: dict[str, dict[str, object]], safe: set[Name]) -> None:
    """What must arrive is lost only where the kill came between its number and its commit: nobody has seen it."""
    for boot, data in told.items():
        for key in data:
            head, _, cls = key.partition(".")
            assert head in {"boot", "end", "lost", "seq"}, f"{boot}: {key}"
            if head == "seq" and cls in MUST_ARRIVE:
                lost = numbers_in(str(data[key]))
                assert not {(boot, cls, number) for number in lost} & safe, f"{boot}: {cls} {data[key]}"
                assert len(lost) <= WINDOW, f"{boot}: {cls} {data[key]} is more than one turn makes"


def check_windows(
    made: dict[str, dict[str, int]],
    saved: dict[str, set[int]],
    acked: dict[str, set[int]],
    told: dict[str, dict[str, object]],
) -> None:
    """Each boot: made is acknowledged, or was on the disk and is acknowledged by now, or told as lost."""
    assert set(told) == set(made)
    lost_total = 0
    for boot, counts in made.items():
        every = set(range(1, counts.get("m/perf", 0) + 1))
        lost = numbers_in(str(told[boot]["seq.m/perf"])) if "seq.m/perf" in told[boot] else set()
        assert told[boot].get("lost.m/perf", 0) == len(lost)
        assert told[boot]["end"] == "killed"
        assert acked[boot] | lost == every
        assert saved[boot] <= acked[boot]
        assert not lost & saved[boot]
        assert len(lost & acked[boot]) <= WINDOW, "acknowledged on the wire, and killed before it was read"
        lost_total += len(lost - acked[boot])
    print(f"{len(made)} boots, {lost_total} windows lost and told")  # noqa: T201
