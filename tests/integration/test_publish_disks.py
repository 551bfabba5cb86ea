"""A disk that is full, read-only, gone or forbidden, for real: work goes on, nothing is lost, and it is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import MqttConfig
from agent.publish import Publisher
from agent.publish.inbox import AlarmChange, Happening
from agent.publish.link import Acked
from agent.publish.store import FILE_NAME
from agent.records import Answer, Command
from tests.conftest import missing
from tests.publish_fakes import Link, perf_report
from tests.servers.mosquitto import Mosquitto, Observer, wait_until
from tests.servers.volume import Volume, Volumes
from tests.spools import StoredRig

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RETRY_S = 65.0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user gets to: pytest closes its own folders again whenever it is started."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def tick(rig: StoredRig, numbers: range) -> None:
    for number in numbers:
        rig.inbox.put_notice(Happening("tick", {"n": number}, rig.clock()))
        rig.inbox.put_notice(Answer(Command("snapshot", f"r{number}"), "succeeded"))
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
        rig.wait(10.0)


def ticks(rig: StoredRig) -> list[int]:
    return [sent.payload.data["n"] for link in rig.dialled for sent in link.on("e/tick")]  # type: ignore[attr-defined]


def replies(rig: StoredRig) -> set[str]:
    return {sent.topic.rpartition("/")[2] for link in rig.dialled for sent in link.sent if "/res/" in sent.topic}


def alarms(rig: StoredRig) -> list[str]:
    """What was said on the alarm's topic: its sentences, and an empty one when it was cleared."""
    bodies = [sent.body for link in rig.dialled for sent in link.on("a/disk")]
    return [json.loads(body)["message"] if body else "" for body in bodies]


def is_well_again(rig: StoredRig, count: int, says: str) -> None:
    """Everything arrived, the trouble was counted, and the alarm was raised and cleared."""
    rig.online()
    rig.wait(RETRY_S)
    rig.run_until(lambda: not rig.network.status.queue_rows)
    assert sorted(set(ticks(rig))) == list(range(count))
    assert replies(rig) == {f"r{number}" for number in range(count)}
    assert rig.network.status.dropped == {}
    assert rig.network.status.disk_faults > 0
    said = alarms(rig)
    assert says in said[0]
    assert said[-1] == ""
    assert rig.session._cards.alarms == {}


def survives(rig: StoredRig, folder: Path, count: int) -> None:
    """A kill right now loses no event: what the next start finds is all that was not acknowledged."""
    rig.kill()
    after = StoredRig(folder, clock=rig.clock, life="b008")
    after.online()
    after.wait(30.0)
    after.run_until(lambda: not after.network.status.queue_rows)
    assert set(ticks(after)) == set(range(count))


def test_no_room_in_the_middle_of_a_commit_and_room_again(volumes: Volumes) -> None:
    volume = volumes()
    rig = StoredRig(volume.path)
    rig.offline()
    tick(rig, range(5))
    saved = rig.spool.disk().rows
    assert saved >= 10
    volume.fill(leave_kib=6)
    tick(rig, range(5, 25))
    assert rig.network.status.disk_faults > 0
    assert rig.spool.disk().rows >= saved, "what is there stays there"
    assert rig.outbox.has_notices, "in memory meanwhile"
    volume.free()
    rig.wait(RETRY_S)
    is_well_again(rig, 25, "full")


def test_what_came_while_it_was_full_survives_a_kill_once_there_is_room(volumes: Volumes) -> None:
    volume = volumes()
    rig = StoredRig(volume.path)
    rig.offline()
    volume.fill(leave_kib=20)
    tick(rig, range(30))
    assert rig.network.status.disk_faults > 0
    volume.free()
    rig.wait(400.0)
    survives(rig, volume.path, 30)


def test_a_disk_that_was_full_from_the_first_moment(volumes: Volumes) -> None:
    volume = volumes()
    volume.fill()
    rig = StoredRig(volume.path)
    rig.offline()
    tick(rig, range(3))
    assert rig.spool.disk().rows == 0
    volume.free()
    rig.wait(RETRY_S)
    is_well_again(rig, 3, "cannot save what waits for the broker")


def test_an_alarm_tells_a_full_disk_to_a_broker_that_listens_and_that_it_is_over(volumes: Volumes) -> None:
    volume = volumes()
    rig = StoredRig(volume.path)
    rig.online()
    volume.fill()
    rig.inbox.put_notice(Happening("tick", {"n": 0}, rig.clock()))
    rig.inbox.put_notice(Answer(Command("snapshot", "r0"), "succeeded"))
    rig.wait(5.0)
    assert ticks(rig) == [0]
    assert "full" in alarms(rig)[0]
    for _ in range(5):
        rig.wait(RETRY_S)
    assert len(alarms(rig)) == 1, "it is said once"
    volume.free()
    rig.wait(RETRY_S)
    assert alarms(rig)[-1] == "", "though nothing was to be saved"
    is_well_again(rig, 1, "full")


def test_a_card_that_goes_read_only_under_way_and_comes_back(volumes: Volumes) -> None:
    volume = volumes(4096, ext4=True)
    state = volume.path / "state"
    state.mkdir()
    rig = StoredRig(state)
    rig.offline()
    tick(rig, range(5))
    volume.break_down()
    tick(rig, range(5, 12))
    assert rig.network.status.disk_faults > 0
    rig.online()
    rig.wait(20.0)
    assert set(ticks(rig)) == set(range(12)), "what lay there can be read, what came since is in memory"
    assert "I/O error" in alarms(rig)[0]
    rig.offline()
    tick(rig, range(12, 15))
    rig.spool._disk._store.let_go()  # type: ignore[union-attr]  # nobody may have it open at a remount
    volume.unmount()
    volume.mount()
    rig.wait(RETRY_S)
    is_well_again(rig, 15, "I/O error")


def test_a_read_only_disk_at_the_start_and_back(volumes: Volumes) -> None:
    volume = volumes()
    volume.remount("ro")
    rig = StoredRig(volume.path)
    rig.offline()
    tick(rig, range(4))
    assert not list(volume.path.iterdir())
    volume.remount("rw")
    rig.wait(RETRY_S)
    assert rig.spool.disk().rows >= 8
    is_well_again(rig, 4, "cannot save")


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "removed and made again"])
def test_the_directory_is_removed_under_way(tmp_path: Path, is_replaced: bool) -> None:
    state = tmp_path / "state"
    state.mkdir()
    rig = StoredRig(state)
    rig.offline()
    tick(rig, range(5))
    shutil.rmtree(state)
    if is_replaced:
        state.mkdir()
    tick(rig, range(5, 9))
    assert rig.network.status.disk_faults > 0
    state.mkdir(exist_ok=True)
    rig.wait(RETRY_S)
    assert (state / FILE_NAME).exists()
    rig.wait(400.0)
    held = rig.spool.disk().rows
    assert held >= 18, "what had been saved was moved into the new file"
    is_well_again(rig, 9, "deleted or replaced")
    assert [link.on("e/outbox-gone") for link in rig.dialled if link.on("e/outbox-gone")]


def test_a_directory_stands_where_the_file_was(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.offline()
    tick(rig, range(3))
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / FILE_NAME).mkdir()
    tick(rig, range(3, 6))
    (tmp_path / FILE_NAME).rmdir()
    rig.wait(RETRY_S)
    is_well_again(rig, 6, "deleted or replaced")


def test_another_disk_is_mounted_over_the_directory(volumes: Volumes) -> None:
    volume = volumes()
    rig = StoredRig(volume.path)
    rig.offline()
    tick(rig, range(4))
    over = Volume(volume.path).mount()
    tick(rig, range(4, 8))
    rig.wait(RETRY_S)
    assert (over.path / FILE_NAME).exists()
    is_well_again(rig, 8, "deleted or replaced")
    over.unmount()


FORBIDDEN = """
import os, sys
from pathlib import Path
from tests.integration.test_publish_disks import tick, is_well_again
from tests.spools import StoredRig
import encodings.idna, tests.contract_watch
os.setgroups([]); os.setgid(65534); os.setuid(65534)
state = Path(sys.argv[1])
rig = StoredRig(state / "outbox")
rig.offline()
tick(rig, range(3))
assert rig.network.status.disk_faults > 0
print("forbidden", flush=True)
sys.stdin.readline()
rig.wait(65.0)
is_well_again(rig, 3, "cannot save")
print("well", flush=True)
"""


def test_no_permission_for_a_user_who_is_not_root_until_there_is(open_folder: Path) -> None:
    if os.geteuid() != 0:
        missing("becoming another user takes root")
    state = open_folder / "outbox"
    state.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", FORBIDDEN, str(open_folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "."},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "forbidden\n"
        state.chmod(0o777)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "well\n"


def test_nothing_leaves_the_disk_before_its_acknowledgement_while_it_is_full(volumes: Volumes) -> None:
    volume = volumes()
    rig = StoredRig(volume.path)
    rig.offline()
    rig.inbox.put_notice(AlarmChange("thermal", "83 degrees", rig.clock()))
    tick(rig, range(4))
    volume.fill()
    rig.links = [Link(rig.clock, acks=False)]
    rig.run_until(lambda: rig.network.status.connected)
    rig.steps(4)
    first = [sent for sent in rig.link.sent if sent.topic.endswith("e/tick")][:2]
    rig.link.coming += [Acked(sent.mid) for sent in first]
    rig.wait(5.0)
    volume.free()
    rig.kill()
    after = StoredRig(volume.path, clock=rig.clock, life="b008")
    after.online()
    after.wait(30.0)
    assert set(ticks(after)) >= set(range(4)) - {sent.payload.data["n"] for sent in first}  # type: ignore[attr-defined]


@pytest.mark.broker
def test_a_whole_publisher_through_a_full_disk_at_a_real_broker(volumes: Volumes, tmp_path: Path) -> None:
    volume = volumes()
    broker = Mosquitto(tmp_path / "broker").start()
    ahead_s = 0.0
    config = MqttConfig(host="127.0.0.1", port=broker.port, reconnect_max_s=0.3, profile="live", resolution_s=0.0)
    publisher = Publisher(
        config, site="home", device="cam1", state_dir=volume.path, clock=lambda: time.monotonic() + ahead_s
    )
    prefix = "edge/v1/home/cam1"
    try:
        with Observer(broker.port) as observer:
            publisher.start()
            assert wait_until(lambda: publisher.status().connected and not publisher.status().queue_rows)
            volume.fill()
            for number in range(20):
                publisher.event("tick", {"n": number})
            assert wait_until(lambda: len(observer.on(f"{prefix}/e/tick")) >= 20)
            assert wait_until(lambda: observer.on(f"{prefix}/a/disk"))
            assert publisher.status().disk_faults > 0
            assert wait_until(lambda: not publisher.status().queue_rows)
            volume.free()
            ahead_s += RETRY_S
            assert wait_until(lambda: observer.on(f"{prefix}/a/disk")[-1] == b"")
            assert publisher.stop(5.0)
            seen = [json.loads(body) for body in observer.on(f"{prefix}/e/tick")]
            assert sorted({event["data"]["n"] for event in seen}) == list(range(20))
            assert sorted(event["seq"] for event in seen) == list(range(1, 21))
    finally:
        publisher.stop(1.0)
        broker.stop()
