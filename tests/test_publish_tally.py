"""What a kill takes along is known to the next start, to the number; and no file that lies there can do harm."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.publish.contract import Event, HealthCard
from agent.publish.inbox import Happening
from agent.publish.link import Acked
from agent.publish.tally import SIZE_BYTES, SPAN, Former, Tally, _parse, folder_in, formers, name_of
from tests.publish_fakes import Link, board_reading, health, perf_report
from tests.spools import P, StoredRig

NAME = "edge-agent-0123456789ab"


def read(folder: Path) -> Former:
    (former,) = formers(folder, NAME)
    return former


def told(rig: StoredRig) -> dict[str, object]:
    (sent,) = rig.link.on("e/losses")
    assert isinstance(sent.payload, Event)
    return dict(sent.payload.data)


def killed(folder: Path, windows: int = 5, acks: int = 2) -> StoredRig:
    """A connected agent with that many windows sent, some of them acknowledged, and then it is killed."""
    rig = StoredRig(folder / "state", run=folder)
    rig.links = [Link(rig.clock, acks=False)]
    rig.steps(2)
    rig.link.coming.append(Acked(1))  # the state
    for _ in range(windows):
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
    rig.steps(2)
    rig.link.coming += [Acked(sent.mid) for sent in rig.link.on("m/perf") if sent.payload.seq <= acks]
    rig.steps(2)
    rig.kill()
    return rig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


def reborn(folder: Path, rig: StoredRig, life: str = "b008") -> StoredRig:
    rig = StoredRig(folder / "state", clock=rig.clock, life=life, run=folder)
    rig.inbox.put_window(health())
    rig.online()
    rig.steps(8)
    return rig


# ---- what is told


def test_windows_that_a_kill_took_are_told_with_their_numbers(folder: Path) -> None:
    rig = reborn(folder, killed(folder))
    assert told(rig) == {"boot": "b007", "end": "killed", "lost.m/perf": 3, "seq.m/perf": "3-5"}
    assert rig.network.status.lost_at_restart == {"m/perf": 3}
    (card,) = (sent.payload for sent in rig.link.on("health"))
    assert isinstance(card, HealthCard)
    assert card.lost_at_restart == {"m/perf": 3}


def test_it_is_told_once(folder: Path) -> None:
    rig = reborn(folder, killed(folder))
    rig.wait(2.0)
    rig.kill()
    rig = reborn(folder, rig, "b009")
    assert told(rig)["boot"] == "b008"


def test_windows_on_the_disk_are_not_lost(folder: Path) -> None:
    rig = StoredRig(folder / "state", run=folder)
    rig.offline()
    for _ in range(40):
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
        rig.wait(10.0)
    assert rig.spool.disk().rows
    rig.kill()
    rig = reborn(folder, rig)
    first, _, last = str(told(rig)["seq.m/perf"]).partition("-")
    rig.run_until(lambda: not rig.network.status.queue_rows)
    late = rig.link.on("mh/perf")
    assert late
    assert last == "40"
    assert int(first) > 20, "what was saved is not told as lost"


def test_an_end_as_it_should_be_loses_nothing_and_says_so(folder: Path) -> None:
    rig = StoredRig(folder / "state", run=folder)
    rig.online()
    rig.inbox.put_window(perf_report())
    rig.inbox.put_window(board_reading())
    rig.inbox.put_notice(Happening("tick", {"n": 1}, 90.0))
    assert rig.stop()
    rig = reborn(folder, rig)
    assert told(rig) == {"boot": "b007", "end": "clean"}
    assert rig.network.status.lost_at_restart == {}


def test_what_was_given_up_and_refused_is_told_though_its_health_card_died(folder: Path) -> None:
    rig = StoredRig(folder / "state", run=folder, queue_bytes=65536, disk_bytes=0)
    rig.links = [Link(rig.clock, acks=False)]
    for _ in range(3):
        rig.inbox.put_window(board_reading(rig.clock()))
    rig.steps(3)
    rig.link.coming += [Acked(sent.mid, "Not authorized") for sent in rig.link.on("m/sys")]
    rig.steps(3)
    rig.outbox.count_dropped("m/perf", 2)
    rig.kill()
    data = told(reborn(folder, rig))
    assert (data["refused.m/sys"], data["dropped.m/perf"]) == (3, 2)
    assert "lost.m/sys" not in data


def test_a_damaged_file_is_a_loss_that_is_told(folder: Path) -> None:
    rig = StoredRig(folder / "state", run=folder)
    rig.offline()
    for number in range(3):
        rig.inbox.put_notice(Happening("tick", {"n": number}, 90.0))
        rig.steps(2)
    rig.kill()
    for file in (folder / "state").iterdir():
        file.unlink()
    rig = reborn(folder, rig)
    assert told(rig) == {"boot": "b007", "end": "killed", "lost.e": 3, "seq.e": "1-3"}


def test_what_a_former_start_left_and_is_acknowledged_now_is_none_of_ours(folder: Path) -> None:
    rig = StoredRig(folder / "state", run=folder)
    rig.offline()
    for _ in range(3):
        rig.inbox.put_window(perf_report(started_s=rig.clock() - 10.0))
    rig.wait(400.0)
    rig.kill()
    second = StoredRig(folder / "state", clock=rig.clock, life="b008", run=folder)
    second.online()
    second.run_until(lambda: second.link.on("mh/perf"))
    second.link.acks = False
    for _ in range(3):
        second.inbox.put_window(perf_report(started_s=second.clock() - 10.0))
    second.steps(2)
    second.kill()
    data = told(reborn(folder, second, "b009"))
    assert (data["boot"], data["lost.m/perf"], data["seq.m/perf"]) == ("b008", 3, "1-3")


def test_what_the_disk_had_no_room_for_is_told_as_dropped_and_not_as_lost_too(folder: Path) -> None:
    rig = StoredRig(folder / "state", run=folder, disk_bytes=3000, live_s=5.0)
    rig.offline()
    for number in range(30):
        rig.inbox.put_notice(Happening("tick", {"n": number}, rig.clock()))
        rig.steps(2)
    dropped = rig.network.status.dropped["e"]
    rig.kill()
    data = told(reborn(folder, rig))
    assert dropped > 0
    assert data == {"boot": "b007", "end": "killed", "dropped.e": dropped}


def test_the_figures_stay_until_the_event_is_safe(folder: Path) -> None:
    rig = killed(folder)
    silent = StoredRig(folder / "state", clock=rig.clock, life="b008", run=folder, disk_bytes=0)
    silent.offline()
    silent.steps(4)
    assert len(formers(folder, name_of(P, folder / "state"))) == 1
    silent.kill()
    rig = StoredRig(folder / "state", clock=rig.clock, life="b009", run=folder)
    rig.online()
    rig.steps(8)
    boots = [sent.payload.data["boot"] for sent in rig.link.on("e/losses")]  # type: ignore[attr-defined]
    assert boots == ["b007", "b008"]
    assert rig.network.status.lost_at_restart == {"m/perf": 3, "e": 1}


# ---- the file


@given(st.lists(st.tuples(st.sampled_from(["m/perf", "e", "m/sys"]), st.booleans()), max_size=200))
def test_made_is_done_or_open(steps: list[tuple[str, bool]]) -> None:
    tally = Tally("b1")
    made: dict[str, int] = {}
    done: dict[str, set[int]] = {}
    for cls, is_done in steps:
        made[cls] = made.get(cls, 0) + 1
        tally.made(cls, made[cls])
        if is_done:
            tally.done(cls, [(made[cls], made[cls])])
            done.setdefault(cls, set()).add(made[cls])
    former = _parse(tally._bytes.tobytes(), Path("x"))
    assert (former.boot, former.end) == ("b1", "killed")
    assert {cls: count.made for cls, count in former.classes.items()} == made
    for cls, count in former.classes.items():
        assert count.open == set(range(1, made[cls] + 1)) - done.get(cls, set())


def test_old_numbers_leave_and_are_counted(tmp_path: Path) -> None:
    tally = Tally("b1")
    tally.open(tmp_path, NAME)
    for seq in range(1, SPAN + 101):
        tally.made("m/sys", seq)
        if seq == 50:
            tally.done("m/sys", [(1, 40)])
    tally.done("m/sys", [(90, SPAN + 95)])
    tally.close()
    count = read(tmp_path).classes["m/sys"]
    assert (count.made, count.older) == (SPAN + 100, 60)
    assert count.open == set(range(SPAN + 96, SPAN + 101))


def test_last_values_and_more_classes_than_there_is_room_for_are_left_out(tmp_path: Path) -> None:
    tally = Tally("b1")
    tally.open(tmp_path, NAME)
    for cls in ("state", "health", *(f"m/{n}" for n in range(20)), "m/" + "x" * 20):
        tally.made(cls, 1)
        tally.dropped(cls, 1)
        tally.done(cls, [(1, 1)])
    tally.close()
    assert sorted(read(tmp_path).classes) == sorted(f"m/{n}" for n in range(16))


def test_the_file_is_ours_alone_and_of_one_size(tmp_path: Path) -> None:
    tally = Tally("b1")
    tally.open(tmp_path, NAME)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == SIZE_BYTES
    assert path.stat().st_blocks * 512 >= SIZE_BYTES, "reserved"
    assert formers(tmp_path, NAME) == [], "in use"
    tally.close()
    assert read(tmp_path).boot == "b1"


GARBAGE = {
    "empty": b"",
    "short": b"edgetal1" * 10,
    "zeros": bytes(SIZE_BYTES),
    "ones": b"\xff" * SIZE_BYTES,
    "long": bytes(SIZE_BYTES + 1),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_garbled_file_means_that_nothing_is_known(folder: Path, content: bytes) -> None:
    rig = killed(folder)
    (path,) = folder.glob("*.tally")
    path.write_bytes(content)
    rig = reborn(folder, rig)
    assert told(rig) == {"end": "unknown"}
    assert not path.exists()


@given(st.integers(0, 400), st.binary(min_size=1, max_size=80))
def test_no_bytes_break_the_reader(at: int, noise: bytes) -> None:
    tally = Tally("b1")
    tally.made("m/perf", 3)
    content = bytearray(tally._bytes)
    content[at : at + len(noise)] = noise
    former = _parse(bytes(content), Path("x"))
    assert former.end in {"killed", "clean", "unknown"}
    assert all(len(count.open) <= SPAN for count in former.classes.values())


def test_what_is_no_file_of_ours_is_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(SIZE_BYTES))
    secret.chmod(0o600)
    (tmp_path / f"{NAME}-link.tally").symlink_to(secret)
    (tmp_path / f"{NAME}-loose.tally").write_bytes(bytes(SIZE_BYTES))
    (tmp_path / f"{NAME}-loose.tally").chmod(0o644)
    (tmp_path / f"{NAME}-folder.tally").mkdir()
    os.mkfifo(tmp_path / f"{NAME}-pipe.tally", 0o600)
    (tmp_path / f"{NAME}-absent.tally").symlink_to(tmp_path / "nowhere")
    if os.geteuid() == 0:
        stranger = tmp_path / f"{NAME}-stranger.tally"
        stranger.write_bytes(bytes(SIZE_BYTES))
        stranger.chmod(0o600)
        os.chown(stranger, 65534, 65534)
    before = sorted(tmp_path.iterdir())
    assert formers(tmp_path, NAME) == []
    tally = Tally("b1")
    tally.open(tmp_path, NAME)
    tally.close()
    assert [former.boot for former in formers(tmp_path, NAME)] == ["b1"]
    assert set(before) < set(tmp_path.iterdir())
    assert secret.read_bytes() == bytes(SIZE_BYTES)


def test_a_file_that_another_process_uses_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}-1.tally"
    path.write_bytes(bytes(SIZE_BYTES))
    path.chmod(0o600)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert formers(tmp_path, NAME) == []
    assert len(formers(tmp_path, NAME)) == 1


def test_without_a_place_it_counts_for_itself_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally("b1")
    tally.open(tmp_path / "nowhere", NAME)
    tally.made("m/perf", 1)
    tally.close()
    assert "what a kill takes along will not be known" in caplog.text
    assert formers(tmp_path / "nowhere", NAME) == []


def test_no_more_than_a_few_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(20):
        tally = Tally(f"b{number}")
        tally.open(tmp_path, NAME)
        tally.close()
    assert len(formers(tmp_path, NAME)) == 16
    assert len(list(tmp_path.iterdir())) == 16
    assert caplog.text.count("too many") == 4


def test_places_in_their_order(tmp_path: Path) -> None:
    assert folder_in({"RUNTIME_DIRECTORY": f"{tmp_path}:/other"}, 0) == tmp_path
    absent = str(tmp_path / "absent")
    assert folder_in({"RUNTIME_DIRECTORY": absent}, 4_000_000) == Path("/dev/shm")  # noqa: S108


def test_one_name_for_each_device_and_state_directory(tmp_path: Path) -> None:
    names = {name_of(prefix, tmp_path / state) for prefix in ("a/b", "a/c") for state in ("x", "y")}
    assert len(names) == 4
    assert name_of("a/b", tmp_path / "x") == name_of("a/b", tmp_path / "y" / ".." / "x")
