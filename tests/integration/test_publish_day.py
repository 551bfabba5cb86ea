"""A day without a broker, on a real file system: a full disk, a kill, a damaged log; then all is accounted for."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.publish import decode_batch
from agent.publish.contract import Envelope, Event
from agent.publish.inbox import AlarmChange, Happening
from agent.publish.store import FILE_NAME
from agent.records import Answer, Command
from tests.conftest import missing
from tests.integration.test_publish_crashes import numbers_in
from tests.publish_fakes import board_reading, perf_report
from tests.servers.volume import Volume, why_not
from tests.spools import P, StoredRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOUR_S = 3600.0
DAY_BYTES = 10e6
KILL_AT_H = 12.1
"""Not at a round time: something waits in memory."""

Seen = dict[tuple[str, str], set[int]]


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Volume]:
    """An SD card: ext4."""
    if why_not():
        missing(why_not())
    volume = Volume(tmp_path / "card", 16 * 1024, tmp_path / "image")
    try:
        volume.mount()
    except subprocess.CalledProcessError as error:
        missing(f"no right to mount: {error.stderr.strip()}")
    yield volume
    volume.unmount()


def live(rig: StoredRig, hours: float, *, windows_only: bool = False) -> None:
    """Time goes by at real rates: windows of 10 s, readings of 5 s, an event and a reply now and then, an alarm."""
    until_s = rig.clock() + hours * HOUR_S
    while rig.clock() < until_s:
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
        for _ in range(2):
            rig.inbox.put_window(board_reading(rig.clock()))
            rig.clock.now_s += 5.0
        step = int(rig.clock() // 10.0)
        if not windows_only:
            tell(rig, step)
        rig.network.step()


def tell(rig: StoredRig, step: int) -> None:
    if step % 30 == 0:
        rig.inbox.put_notice(Happening("tick", {"n": step}, rig.clock()))
    if step % 60 == 0:
        rig.inbox.put_notice(Answer(Command("diag", f"r{step}"), "succeeded"))
    if step % 60 in {10, 20}:
        rig.inbox.put_notice(AlarmChange("thermal", f"{step} degrees" if step % 60 == 10 else None, rig.clock()))


def killed(rig: StoredRig, folder: Path, damage: Callable[[bytes], bytes]) -> None:
    """Its files stay as they are at this moment, but for what is damaged in the log."""
    names = (FILE_NAME, f"{FILE_NAME}-wal")
    copies = {name: (folder / name).read_bytes() for name in names}
    rig.kill()
    for name, content in copies.items():
        (folder / name).write_bytes(damage(content) if name.endswith("-wal") else content)


def seen(rig: StoredRig) -> Seen:
    """Numbers that were sent, by boot and class."""
    found: Seen = defaultdict(set)
    for link in rig.dialled:
        for sent in link.sent:
            below = sent.topic.removeprefix(f"{P}/")
            if below.startswith(("mb", "mh/")):
                payloads: list[Envelope] = decode_batch(sent.topic, sent.body)
            else:
                payloads = [sent.payload] if sent.body else []
            for each in payloads:
                cls = f"m/{type(each).__name__.lower()}" if below.startswith("m") else below.partition("/")[0]
                found[each.boot, cls].update(range(each.seq_first or each.seq, each.seq + 1))
    return found


def told(rig: StoredRig) -> dict[str, object]:
    (sent,) = (sent for link in rig.dialled for sent in link.on("e/losses"))
    assert isinstance(sent.payload, Event)
    return dict(sent.payload.data)


def written(volume: Volume) -> int:
    """Bytes that the file system itself says it has written since it was mounted, its journal included."""
    os.sync()
    device = subprocess.run(
        ["findmnt", "-no", "SOURCE", str(volume.path)], check=True, capture_output=True, text=True
    ).stdout.strip()
    return int(Path(f"/sys/fs/ext4/{Path(device).name}/session_write_kbytes").read_text()) * 1024


def whole(log: bytes) -> bytes:
    return log


def truncated(log: bytes) -> bytes:
    return log[: len(log) * 2 // 3]


def garbled(log: bytes) -> bytes:
    at = len(log) // 2
    return log[:at] + b"\xa5" * 60 + log[at + 60 :]


@pytest.mark.parametrize("damage", [whole, truncated, garbled])
def test_a_day_without_a_broker_is_accounted_for_to_the_last_number(
    card: Volume, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    run, state = tmp_path / "run", card.path / "state"
    run.mkdir()
    state.mkdir()
    rig = StoredRig(state, as_measured=False, run=run)
    rig.offline(attempts=100_000)
    live(rig, 6.0)
    card.fill()
    live(rig, 1.0)
    assert rig.network.status.disk_faults > 0
    card.free()
    live(rig, KILL_AT_H - 7.0)
    first_bytes = rig.network.status.disk_bytes_written
    assert rig.network.status.dropped == {}
    made = {("b007", cls): last for cls, last in rig.stamper._last.items()}
    killed(rig, state, damage)

    rig = StoredRig(state, clock=rig.clock, life="b008", as_measured=False, run=run)
    rig.offline(attempts=100_000)
    live(rig, 24.0 - KILL_AT_H)
    assert first_bytes + rig.network.status.disk_bytes_written <= DAY_BYTES
    files = sum(path.stat().st_size for path in state.iterdir())
    assert files <= first_bytes + rig.network.status.disk_bytes_written, "no file is larger than what was counted"
    assert written(card) <= DAY_BYTES, "with what the file system itself adds, and its making"
    print(f"counted {first_bytes + rig.network.status.disk_bytes_written}, written {written(card)} bytes")  # noqa: T201
    rig.online()
    rig.run_until(lambda: not rig.network.status.queue_rows, limit=1_000_000)
    assert rig.network.status.dropped == {}
    made |= {("b008", cls): last for cls, last in rig.stamper._last.items()}
    check(rig, {key: last for key, last in made.items() if key[1].startswith("m/") or key[1] in {"a", "e", "res"}})
    if damage is whole:
        assert not {"lost.a", "lost.e", "lost.res"} & set(told(rig)), "what must arrive did"
        assert all(count <= 400.0 / 5.0 for count in rig.network.status.lost_at_restart.values()), "some minutes"
    else:
        assert "lost.e" in told(rig), "the damage was felt"


def check(rig: StoredRig, made: dict[tuple[str, str], int]) -> None:
    """Of each boot and class: every number arrived, or was told as lost; never both."""
    data, arrived = told(rig), seen(rig)
    assert data["boot"] == "b007"
    assert data["end"] == "killed"
    for (boot, cls), last in made.items():
        gaps = set(range(1, last + 1)) - arrived[boot, cls]
        if boot == "b008":
            assert not gaps, (boot, cls)
            continue
        assert data.get(f"lost.{cls}", 0) == len(gaps), cls
        if gaps and not str(data[f"seq.{cls}"]).startswith("..."):
            assert numbers_in(str(data[f"seq.{cls}"])) == gaps
        assert rig.network.status.lost_at_restart.get(cls, 0) == len(gaps)


def test_a_connected_agent_writes_nothing_to_the_card(card: Volume) -> None:
    rig = StoredRig(card.path, as_measured=False)
    rig.online()
    live(rig, 0.1)
    rig.wait(60.0)
    before, files = rig.network.status.disk_bytes_written, written(card)
    live(rig, 6.0, windows_only=True)
    assert rig.network.status.disk_bytes_written == before
    assert written(card) - files <= 16 * 1024, "the file system's own upkeep"
    got = seen(rig)["b007", "m/perf"]
    assert max(got) == len(got) > 2000, "and all of them arrive"
