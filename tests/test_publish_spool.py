"""What waits survives a restart, a broken file and a full disk; all that leaves was acknowledged, or is counted."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from agent.publish import decode_batch, translate
from agent.publish.batch import pack, unpack
from agent.publish.contract import Envelope, HealthCard
from agent.publish.gather import Gather
from agent.publish.inbox import AlarmChange, Happening
from agent.publish.link import Acked
from agent.publish.rows import Row
from agent.publish.store import FILE_NAME, Entry, Gone, Store
from agent.publish.stored import merge_rows, messages, thin
from agent.records import Answer, Command
from tests.publish_fakes import Link, board_reading, health, perf_report, stamp
from tests.spools import P, StoredRig


def event(number: int, at_s: float = 90.0) -> Happening:
    return Happening("tick", {"n": number}, at_s)


def ticks(link: Link) -> list[int]:
    return [sent.payload.data["n"] for sent in link.on("e/tick")]  # type: ignore[attr-defined]


def windows(links: list[Link], cls: str = "m/perf") -> Counter[int]:
    """How often each window of a class was sent, alone or in a batch, merged ones as what they stand for."""
    seen: Counter[int] = Counter()
    for link in links:
        for sent in link.sent:
            below = sent.topic.removeprefix(f"{P}/")
            found: list[Envelope] = [sent.payload] if below == cls else []
            if below in {"mb", cls.replace("m/", "mh/")}:
                found = [each for each in decode_batch(sent.topic, sent.body) if type(each).__name__ in {"Perf"}]
            for each in found:
                seen.update(range(each.seq_first or each.seq, each.seq + 1))
    return seen


def offline_rig(folder: Path | None, **settings: object) -> StoredRig:
    rig = StoredRig(folder, **settings)  # type: ignore[arg-type]
    rig.offline()
    return rig


def after(rig: StoredRig, folder: Path, life: str = "b008", **settings: object) -> StoredRig:
    """The next start, after a death without a goodbye: the file is all that is left."""
    store = rig.spool._disk._store
    if store is not None and store._db is not None:
        store._db.close()
    return StoredRig(folder, clock=rig.clock, life=life, **settings)  # type: ignore[arg-type]


# ---- a restart


def test_what_must_not_be_lost_survives_a_kill_and_goes_first(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    for number in range(3):
        rig.inbox.put_notice(event(number))
    rig.inbox.put_notice(Answer(Command("snapshot", "x1"), "succeeded"))
    rig.steps(2)
    rig = after(rig, tmp_path)
    rig.inbox.put_notice(event(7))
    rig.online()
    rig.steps()
    assert ticks(rig.link) == [0, 1, 2, 7]
    assert [sent.payload.boot for sent in rig.link.on("e/tick")] == ["b007"] * 3 + ["b008"]
    assert len(rig.link.on("res/snapshot/x1")) == 1
    assert rig.network.status.queue_rows == 0


def test_a_row_leaves_the_disk_on_its_acknowledgement_only(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.links = [Link(rig.clock, acks=False)]
    for number in range(4):
        rig.inbox.put_notice(event(number))
    rig.steps(6)
    assert ticks(rig.link) == [0, 1, 2, 3]
    rig.link.coming += [Acked(mid) for mid in (1, 2, 4)]  # state, and the events 0 and 2
    rig.wait(5.0)
    rig = after(rig, tmp_path)
    rig.online()
    rig.steps()
    assert ticks(rig.link) == [1, 3]
    rig.stop()
    rig = after(rig, tmp_path, life="b009")
    rig.online()
    rig.steps()
    assert ticks(rig.link) == []


def test_a_stop_saves_windows_and_the_next_start_sends_them_as_backlog(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    for _ in range(5):
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
    rig.steps(2)
    assert not rig.stop()
    rig = after(rig, tmp_path)
    rig.inbox.put_window(perf_report(started_s=rig.clock()))
    rig.online()
    rig.wait(10.0)
    assert len(rig.link.on("m/perf")) == 1, "only what is of today"
    (batch,) = rig.link.on("mh/perf")
    assert [(each.boot, each.seq) for each in decode_batch(batch.topic, batch.body)] == [
        ("b007", n + 1) for n in range(5)
    ]
    assert rig.network.status.queue_rows == 0


def test_a_stop_saves_what_is_under_way_too(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.links = [Link(rig.clock, acks=False)]
    for _ in range(3):
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
    rig.steps(4)
    assert len(rig.link.on("m/perf")) == 3
    assert not rig.stop()
    rig = after(rig, tmp_path)
    rig.online()
    rig.wait(10.0)
    assert set(windows([rig.link])) == {1, 2, 3}


def test_a_clean_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.inbox.put_window(perf_report())
    rig.inbox.put_notice(event(1))
    rig.online()
    assert rig.stop()
    store = Store(tmp_path / FILE_NAME)
    store.open()
    assert store.totals()[0] == 0
    store.close()


def test_an_alarm_of_a_former_start_is_told_and_then_said_right(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    rig.inbox.put_notice(AlarmChange("thermal", "83 degrees", 95.0))
    rig.inbox.put_notice(AlarmChange("disk", "full", 95.0))
    rig.steps(2)
    rig = after(rig, tmp_path)
    rig.inbox.put_notice(AlarmChange("disk", "still full", 99.0))
    rig.online()
    rig.steps(12)
    assert [(sent.retain, sent.body[:1]) for sent in rig.link.on("a/thermal")] == [(False, b"{"), (True, b"")]
    last = rig.link.on("a/disk")[-1]
    assert (last.retain, last.payload.message) == (True, "still full")  # type: ignore[attr-defined]


def test_what_another_device_left_is_not_sent_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.open()
    store.adopt("edge/v1/home/cam0")
    store.add([Entry("b", "e", "edge/v1/home/cam0/e/tick", 1, 1, 1, 0, 1.0, 0.0, b"{}")] * 3)
    store.close()
    rig = StoredRig(tmp_path)
    rig.online()
    rig.steps()
    assert not [sent for sent in rig.link.sent if "cam0" in sent.topic]
    assert rig.network.status.dropped == {"e": 3}
    assert "another device" in caplog.text


# ---- what the disk is used for


def test_a_connected_agent_writes_no_windows(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.online()
    rig.steps()
    before = rig.network.status.disk_bytes_written
    for _ in range(360):
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
        rig.wait(10.0)
    assert rig.network.status.disk_bytes_written == before
    assert sum(windows([rig.link]).values()) == 360


def test_events_are_on_the_disk_before_they_are_sent_in_one_transaction(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.online()
    rig.steps()
    rig.link.acks = False
    before = rig.network.status.disk_bytes_written
    rig.inbox.put_notice(event(0))
    rig.steps(2)
    one = rig.network.status.disk_bytes_written - before
    for number in range(1, 21):
        rig.inbox.put_notice(event(number))
    rig.steps(2)
    assert 0 < rig.network.status.disk_bytes_written - before - one < 6 * one
    rig = after(rig, tmp_path)
    rig.online()
    rig.steps(12)
    assert ticks(rig.link) == list(range(21))


def test_windows_are_saved_in_batches_of_minutes(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    rig.inbox.put_window(perf_report())
    rig.wait(250.0)
    assert rig.spool.disk().rows == 0
    rig.wait(100.0)
    assert rig.spool.disk().rows == 1
    assert rig.outbox.counts().rows == 0, "not in memory as well"


def test_a_day_without_a_broker_costs_the_card_little_and_loses_nothing(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path, as_measured=False)
    rig.offline()
    day_s, begun_s = 86_400.0, rig.clock()
    while rig.clock() - begun_s < day_s:
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
        for _ in range(2):
            rig.inbox.put_window(board_reading(rig.clock()))
            rig.clock.now_s += 5.0
        rig.network.step()
    status = rig.network.status
    assert status.dropped == {}
    assert status.disk_bytes_written < 10e6
    count = rig.stamper._last["m/perf"]
    rig = after(rig, tmp_path)
    rig.inbox.put_window(health())
    rig.online()
    rig.run_until(lambda: rig.network.status.queue_rows == 0)
    seen = windows(rig.dialled)
    assert set(seen) == set(range(1, count + 1 - 12)) | set(seen), "but for what had not been saved when it was killed"
    assert count - len(seen) <= 36, "five minutes and a window"
    assert set(seen.values()) == {1}
    assert rig.network.status.dropped == {}


def test_over_the_bound_the_disk_merges_before_it_drops_and_counts_both(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path, disk_bytes=8_000, live_s=5.0)
    for number in range(700):
        rig.inbox.put_window(perf_report([0.01 + number % 7 / 1000, 0.02], started_s=rig.clock()))
        rig.wait(10.0)
        if number == 250:
            assert rig.network.status.merged > 0
            assert rig.network.status.dropped == {}
    assert rig.spool.disk().bytes <= 8_000
    rig.online()
    rig.run_until(lambda: rig.network.status.queue_rows == 0)
    seen = windows(rig.dialled)
    assert set(seen.values()) == {1}
    assert len(seen) + rig.network.status.dropped["m/perf"] == 700
    assert max(seen) == 700, "the oldest go first"


def test_notices_outlive_windows_on_a_full_bound(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path, disk_bytes=30_000, live_s=5.0)
    for number in range(60):
        rig.inbox.put_notice(event(number))
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
        rig.wait(20.0)
    assert set(rig.network.status.dropped) <= {"m/perf"}
    rig.online()
    rig.steps(60)
    assert ticks(rig.link) == list(range(60))


def test_what_is_too_old_is_dropped_and_counted(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path, max_age_s=3600.0)
    rig.inbox.put_notice(event(0))
    rig.steps()
    rig.wait(1000.0)
    rig.inbox.put_notice(event(1))
    rig.wait(3000.0)
    assert rig.network.status.dropped == {"e": 1}
    rig.online()
    rig.steps()
    assert ticks(rig.link) == [1]


def test_health_tells_what_was_written(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    rig.inbox.put_notice(event(0))
    rig.steps(4)
    rig.online()
    rig.inbox.put_window(health())
    rig.steps()
    (card,) = [sent.payload for sent in rig.link.on("health")]
    assert isinstance(card, HealthCard)
    assert card.disk_bytes_written > 1000
    assert card.disk_faults == 0


def test_the_bytes_counted_are_those_of_the_files(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.open()
    before, wal = store.written_bytes, tmp_path / f"{FILE_NAME}-wal"
    start = wal.stat().st_size
    for number in range(50):
        store.add([Entry("b", "e", "t", number, number, 1, 0, 1.0, 0.0, b"x" * 300)])
    assert store.written_bytes - before == wal.stat().st_size - start
    store.close()


# ---- a disk that fails


def test_without_a_state_directory_everything_waits_in_memory() -> None:
    rig = offline_rig(None)
    for number in range(3):
        rig.inbox.put_notice(event(number))
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
        rig.wait(200.0)
    assert rig.network.status.queue_rows == 6
    rig.online()
    rig.wait(10.0)
    assert ticks(rig.link) == [0, 1, 2]
    assert set(windows([rig.link])) == {1, 2, 3}
    assert rig.network.status.queue_rows == 0


@pytest.mark.parametrize(
    ("pragma", "over"),
    [("max_page_count = 1", "max_page_count = 1000000"), ("query_only = ON", "query_only = OFF")],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_is_said_once_counted_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pragma: str, over: str
) -> None:
    rig = offline_rig(tmp_path)
    rig.steps(2)
    store = rig.spool._disk._store
    assert store is not None
    caplog.set_level(logging.INFO)
    store._open_db().execute(f"PRAGMA {pragma}").fetchall()
    for number in range(5):
        rig.inbox.put_notice(event(number))
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
        rig.wait(400.0)
    status = rig.network.status
    assert (status.queue_rows, status.dropped) == (11, {}), "and the alarm"
    assert status.disk_faults >= 5
    assert caplog.text.count("cannot save what waits") == 1
    store._open_db().execute(f"PRAGMA {over}").fetchall()
    rig.wait(400.0)
    assert rig.spool.disk().rows > 0, "it is tried again"
    assert caplog.text.count("can be saved again") == 1
    rig.online()
    rig.wait(10.0)
    assert ticks(rig.link) == [0, 1, 2, 3, 4]
    assert set(windows([rig.link])) == {1, 2, 3, 4, 5}


def test_a_state_directory_that_is_none_is_survived(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path / "nowhere")
    rig.inbox.put_notice(event(0))
    rig.steps()
    rig.online()
    rig.steps()
    assert ticks(rig.link) == [0]
    assert rig.network.status.disk_faults == 1


def test_a_second_agent_on_the_same_file_keeps_its_things_in_memory(tmp_path: Path) -> None:
    first, second = StoredRig(tmp_path), StoredRig(tmp_path, life="b009")
    first.online()
    second.inbox.put_notice(event(0))
    second.online()
    second.steps()
    assert ticks(second.link) == [0]
    assert second.network.status.disk_faults >= 1
    assert first.network.status.disk_faults == 0


def filled(folder: Path, count: int = 6) -> Path:
    """A file with events whose agent was killed, so that its log is still there."""
    rig = offline_rig(folder)
    for number in range(count):
        rig.inbox.put_notice(event(number))
        rig.steps(1)
    path = folder / FILE_NAME
    copies = {name: (folder / name).read_bytes() for name in (FILE_NAME, f"{FILE_NAME}-wal")}
    rig.spool._disk._store._db.close()  # type: ignore[union-attr]
    for name, content in copies.items():
        (folder / name).write_bytes(content)
    return path


def restarted(folder: Path) -> StoredRig:
    rig = StoredRig(folder, life="b008")
    rig.inbox.put_notice(event(99))
    rig.online()
    rig.steps(12)
    return rig


def test_a_log_that_a_kill_left_is_read(tmp_path: Path) -> None:
    filled(tmp_path)
    rig = restarted(tmp_path)
    assert ticks(rig.link) == [0, 1, 2, 3, 4, 5, 99]
    assert rig.link.on("e/outbox-corrupt") == []


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_file_is_moved_aside_and_work_goes_on(tmp_path: Path, content: bytes) -> None:
    path = filled(tmp_path)
    (tmp_path / f"{FILE_NAME}-wal").unlink()
    path.write_bytes(content)
    rig = restarted(tmp_path)
    assert 99 in ticks(rig.link)
    if content:
        (told,) = rig.link.on("e/outbox-corrupt")
        assert told.payload.data == {"moved_to": f"{FILE_NAME}.corrupt-1"}  # type: ignore[attr-defined]
        assert (tmp_path / f"{FILE_NAME}.corrupt-1").read_bytes() == content
    assert rig.network.status.queue_rows == 0


def test_a_garbled_page_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path, 60)
    store = Store(path)
    store.open()  # moves the log into the file
    store.close()
    content = bytearray(path.read_bytes())
    content[3 * 1024 : 4 * 1024] = b"\xa5" * 1024
    path.write_bytes(content)
    rig = restarted(tmp_path)
    assert len(rig.link.on("e/outbox-corrupt")) == 1
    assert 99 in ticks(rig.link)


@pytest.mark.parametrize("where", [0, 40, 5000], ids=["header", "first frame", "a later frame"])
def test_a_garbled_log_is_noticed_kept_and_survived(tmp_path: Path, where: int) -> None:
    filled(tmp_path)
    log = tmp_path / f"{FILE_NAME}-wal"
    content = bytearray(log.read_bytes())
    content[where : where + 60] = b"\xa5" * 60
    log.write_bytes(content)
    rig = restarted(tmp_path)
    assert 99 in ticks(rig.link)
    (told,) = rig.link.on("e/outbox-corrupt")
    moved = str(told.payload.data["moved_to"])  # type: ignore[attr-defined]
    assert (tmp_path / moved).exists()


@pytest.mark.parametrize("kept", [0, 20, 32, 1500, 6000])
def test_a_truncated_log_is_survived(tmp_path: Path, kept: int) -> None:
    filled(tmp_path)
    log = tmp_path / f"{FILE_NAME}-wal"
    log.write_bytes(log.read_bytes()[:kept])
    rig = restarted(tmp_path)
    told = ticks(rig.link)
    assert told == [*range(len(told) - 1), 99], "the earlier ones, in order"


def test_a_file_that_breaks_under_way_is_moved_aside_and_memory_goes_on(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    rig.inbox.put_notice(event(0))
    rig.steps(2)
    store = rig.spool._disk._store
    assert store is not None
    add = store.add

    def malformed(_entries: object) -> list[int]:
        store.add = add  # type: ignore[method-assign]
        raise sqlite3.DatabaseError("database disk image is malformed")

    store.add = malformed  # type: ignore[method-assign]
    rig.inbox.put_notice(event(1))
    rig.steps(3)
    rig.online()
    rig.steps(8)
    assert ticks(rig.link) == [1]
    assert len(rig.link.on("e/outbox-corrupt")) == 1
    assert len(list(tmp_path.glob("*.corrupt-1"))) == 1


def test_no_more_than_three_broken_files_are_kept(tmp_path: Path) -> None:
    for _ in range(6):
        (tmp_path / FILE_NAME).write_bytes(b"garbage" * 1000)
        store = Store(tmp_path / FILE_NAME)
        store.open()
        store.close()
    assert sorted(path.name for path in tmp_path.glob("*corrupt*")) == [f"{FILE_NAME}.corrupt-{n}" for n in (4, 5, 6)]


def test_a_row_of_a_later_version_is_left_out_and_counted(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.open()
    store.adopt(P)
    store.add([Entry("b", "zz", f"{P}/zz", 1, 1, 1, 0, 1.8e9, 0.0, b"{}")])
    store.add([Entry("b", "m/perf", f"{P}/mh/perf", 1, 4, 4, 2, 1.8e9, 0.0, b"no zlib")])
    store.close()
    rig = StoredRig(tmp_path)
    rig.inbox.put_notice(event(0))
    rig.online()
    rig.wait(10.0)
    assert ticks(rig.link) == [0]
    assert rig.network.status.dropped == {"zz": 1, "m/perf": 4}
    assert rig.network.status.queue_rows == 0


def test_the_thread_is_quiet_about_a_file_it_can_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rig = StoredRig(tmp_path)
        rig.online()
        rig.wait(60.0)
        rig.stop()
    assert caplog.text == ""


def test_what_is_acknowledged_and_not_forgotten_yet_is_no_loss(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path, disk_bytes=4000)
    rig.online()
    rig.wait(1.0)
    for number in range(60):
        rig.inbox.put_notice(event(number))
        rig.steps(4)
    assert ticks(rig.link) == list(range(60))
    assert rig.network.status.dropped == {}


def test_rows_on_a_disk_that_fails_for_a_while_are_sent_later(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    rig.inbox.put_notice(event(0))
    rig.steps(2)
    rig = after(rig, tmp_path)
    store = rig.spool._disk._store
    assert store is not None
    notices = store.notices

    def failing(_after: int, _most: int) -> list[tuple[int, Entry]]:
        raise OSError(5, "Input/output error")

    store.notices = failing  # type: ignore[method-assign]
    rig.online()
    rig.wait(20.0)
    assert ticks(rig.link) == []
    store.notices = notices  # type: ignore[method-assign]
    rig.wait(70.0)
    assert ticks(rig.link) == [0]
    assert rig.network.status.disk_faults == 1


def test_a_backlog_that_cannot_be_read_for_a_while_is_sent_later(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path)
    for _ in range(3):
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
    rig.wait(400.0)
    store = rig.spool._disk._store
    assert store is not None
    packs = store.packs

    def failing(_after: int, _most: int) -> list[tuple[int, Entry]]:
        raise OSError(5, "Input/output error")

    store.packs = failing  # type: ignore[method-assign]
    rig.online()
    rig.wait(20.0)
    assert rig.link.on("mh/perf") == []
    store.packs = packs  # type: ignore[method-assign]
    rig.wait(70.0)
    assert len(rig.link.on("mh/perf")) == 1


def test_a_stop_does_not_wait_for_a_backlog_that_is_safe(tmp_path: Path) -> None:
    rig = offline_rig(tmp_path, backlog_bytes_s=256.0)
    for _ in range(300):
        rig.inbox.put_window(perf_report(started_s=rig.clock()))
        rig.wait(10.0)
    rig.online()
    rig.wait(5.0)
    begun_s = rig.clock()
    assert not rig.stop(), "not everything was delivered"
    assert rig.clock() - begun_s < 1.0
    assert rig.link.end == "closed"
    rig = after(rig, tmp_path)
    rig.online()
    rig.run_until(lambda: not rig.network.status.queue_rows)
    assert rig.network.status.dropped == {}


def test_what_is_on_its_way_does_not_expire(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.open()
    numbers = store.add([Entry("b", "e", "t", n, n, 1, 0, 1000.0, 0.0, b"{}") for n in range(3)])
    assert store.expire(10.0, 2000.0, frozenset(numbers[:1])) == [Gone("b", "e", n, n, 1) for n in (1, 2)]
    assert [number for number, _ in store.notices(0, 9)] == numbers[:1]
    store.close()


def test_what_is_on_its_way_is_not_dropped_for_room(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.open()
    numbers = store.add([Entry("b", "e", "t", n, n, 1, 0, 1000.0, 0.0, b"{}") for n in range(2)])
    assert store.drop(frozenset(numbers[:1])) == Gone("b", "e", 1, 1, 1)
    assert store.drop(frozenset(numbers[:1])) is None
    store.close()


def test_a_text_that_is_none_is_left_out_and_counted(tmp_path: Path) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("UPDATE rows SET topic = CAST(x'ff80' AS TEXT)")
    db.close()
    rig = restarted(tmp_path)
    assert ticks(rig.link) == [99]
    assert rig.network.status.dropped == {"e": 6}


def test_a_new_file_begins_with_numbers_of_its_own(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.links = [Link(rig.clock, acks=False)]
    rig.inbox.put_notice(event(0))
    rig.steps(6)
    rig.spool._disk._failed(rig.spool._disk._store, sqlite3.DatabaseError("malformed"))  # type: ignore[arg-type]
    rig.inbox.put_notice(event(1))
    rig.steps(1)
    rig.link.coming.append(Acked(2))  # of the event that was in the former file under the same number
    rig.steps(1)
    rig.spool._forget(rig.clock())
    rig = after(rig, tmp_path)
    rig.online()
    rig.steps()
    assert 1 in ticks(rig.link)
    assert len(rig.link.on("e/outbox-corrupt")) == 1


def test_what_was_acknowledged_in_a_former_file_deletes_nothing_in_the_new_one(tmp_path: Path) -> None:
    rig = StoredRig(tmp_path)
    rig.online()
    rig.steps(2)
    for number in (0, 5):  # the second one's deletion waits for more
        rig.inbox.put_notice(event(number))
        rig.steps(3)
    assert ticks(rig.link) == [0, 5]
    rig.offline()
    rig.spool._disk._failed(rig.spool._disk._store, sqlite3.DatabaseError("malformed"))  # type: ignore[arg-type]
    for number in (1, 2, 3):
        rig.inbox.put_notice(event(number))
    rig.wait(40.0)  # what is acknowledged is deleted now
    rig = after(rig, tmp_path)
    rig.online()
    rig.steps()
    assert ticks(rig.link) == [1, 2, 3]
    assert len(rig.link.on("e/outbox-corrupt")) == 1


def test_only_windows_that_follow_one_another_are_merged() -> None:
    def row(seq: int) -> Row:
        body = msgspec.json.encode(translate.perf(stamp(seq), perf_report()))
        return Row("m/perf", "t", body, 100.0 + seq, seq, seq, mergeable=True)

    found: list[Row] = []
    gather = Gather(merge_rows, lambda _cls: 1000.0, found.append)
    for seq in (1, 2, 4, 5):
        gather.put(row(seq))
    gather.flush()
    assert [(each.seq_first, each.seq_last) for each in found] == [(1, 2), (4, 5)]
    thinned = thin("m/perf", pack([row(seq).body for seq in (1, 3, 4, 5)]))
    assert thinned is not None
    assert [messages(line) for line in unpack(thinned[0])] == [1, 2, 1]
