"""Kept frames on an odd disk: full, removed, shared, damaged, with links and other people's files in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.errors import StorageError, UnavailableError
from agent.sample import Privacy, picture, read
from agent.sample.record import MOST_BYTES
from tests.sampling import Shop, bounded, names, taken


def test_a_disk_without_room_takes_nothing_and_gets_room(tmp_path: Path) -> None:
    shop = bounded(tmp_path, min_free_bytes=1_000_000)
    store = shop.opened()
    first = [store.put(taken(number)) for number in range(3)]
    size = store.size_bytes
    shop.free = 1_000_000 - size // 2
    assert store.expire() in {1, 2}, "what is missing, not all"
    assert 0 < store.size_bytes < size
    shop.free = 0
    with pytest.raises(StorageError, match=r"bytes short of what sample\.min_free_bytes keeps free"):
        store.put(taken(9))
    assert names(tmp_path) == store.names == []
    shop.free = 1 << 30
    assert store.put(taken(9)) > first[-1]


@pytest.mark.parametrize("refused", [".jpg", ".json"])
def test_a_disk_that_is_full_in_the_middle_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    shop = Shop(tmp_path)
    store = shop.opened()
    first = store.put(taken(1))
    there = sorted(path.name for path in tmp_path.iterdir())
    fsync = os.fsync

    def is_refused(descriptor: int) -> bool:
        return refused in str(Path(f"/proc/self/fd/{descriptor}").readlink())

    def full(descriptor: int) -> None:
        if is_refused(descriptor):
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="a frame cannot be kept: No space left on device"):
        store.put(taken(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == there
    monkeypatch.setattr(os, "fsync", fsync)
    second = store.put(taken(2))
    assert names(tmp_path) == store.names == [first, second]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"file/samples: cannot be written: Not a directory"):
        Shop(tmp_path / "file" / "samples").store().open()


def test_a_folder_that_is_removed_is_made_anew(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "samples")
    store = shop.opened()
    shop.now_s += 100.0
    store.put(taken(1))
    (tmp_path / "samples").rename(tmp_path / "away")
    assert store.expire() == 0
    second = store.put(taken(2))
    assert names(tmp_path / "samples") == store.names == [second]
    assert second.startswith("00000002-")
    assert store.lived_s == 100.0
    with pytest.raises(UnavailableError):
        shop.store().open()


def test_two_agents_do_not_share_a_folder(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    store = shop.opened()
    with pytest.raises(UnavailableError, match="another agent keeps its frames there"):
        shop.store().open()
    store.close()
    shop.opened()


def damage(folder: Path, name: str, how: str) -> None:
    """What a failing disk or a clumsy hand does to a frame."""
    record, jpeg = folder / f"{name}.json", folder / f"{name}.jpg"
    raw = json.loads(record.read_bytes())
    changes = {
        "wrong type": {"width": "wide"},
        "no reason": {"why": []},
        "unknown reason": {"why": ["fun"]},
        "other version": {"v": 2},
        "other name": {"name": "00000077-00000000"},
        "no number": {"lived_s": None},
        "negative": {"lived_s": -1.0},
        "tiles": {"tiles": "zz"},
        "both": {"withheld": "and yet there is one"},
    }
    if how in changes:
        record.write_text(json.dumps(raw | changes[how]))
    elif how == "cut":
        record.write_bytes(record.read_bytes()[:-40])
    elif how == "empty":
        record.write_bytes(b"")
    elif how == "huge":
        record.write_bytes(json.dumps(raw | {"told": ["x" * MOST_BYTES]}).encode())
    elif how == "deep":
        record.write_bytes(b"[" * 100_000)
    elif how == "infinite":
        record.write_bytes(record.read_bytes().replace(b'"lived_s":0.0', b'"lived_s":1e999'))
    elif how == "latin":
        record.write_bytes(b'{"v":1,"name":"\xff"}')
    elif how == "picture cut":
        jpeg.write_bytes(jpeg.read_bytes()[:-1])
    elif how == "picture gone":
        jpeg.unlink()
    else:
        raise AssertionError(how)


HOWS = [
    "wrong type",
    "no reason",
    "unknown reason",
    "other version",
    "other name",
    "no number",
    "negative",
    "tiles",
    "both",
    "cut",
    "empty",
    "huge",
    "deep",
    "infinite",
    "latin",
    "picture cut",
    "picture gone",
]


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_frame_is_never_listed_and_goes_at_the_next_start(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(tmp_path)
    store = shop.opened()
    bad, good = store.put(taken(1)), store.put(taken(2))
    store.close()
    damage(tmp_path, bad, how)
    shelf = read(tmp_path)
    assert [kept.name for kept in shelf.kept] == [good]
    assert list(shelf.damaged) == [bad]
    after = shop.opened()
    assert after.names == [good]
    assert not list(tmp_path.glob(f"{bad}.*"))
    assert f"kept frame {bad} is damaged and removed" in caplog.text
    assert after.put(taken(3)).startswith("00000003-")


def test_a_record_under_another_name_is_no_second_frame(tmp_path: Path) -> None:
    shop = Shop(tmp_path, privacy=Privacy("statistics"))
    name = shop.opened().put(taken(1))
    (tmp_path / "00000002-aaaaaaaa.json").write_bytes((tmp_path / f"{name}.json").read_bytes())
    shelf = read(tmp_path)
    assert [kept.name for kept in shelf.kept] == [name]
    assert shelf.damaged == {"00000002-aaaaaaaa": f"belongs to '{name}'"}


def test_a_frame_that_is_gone_stands_for_nothing_any_more(tmp_path: Path) -> None:
    shop = bounded(tmp_path, max_age_s=60.0)
    store = shop.opened()
    first = store.put(taken(1))
    shop.now_s += 30.0
    assert store.put(taken(1)) != first
    assert store._cover.tags == {first}
    shop.now_s += 31.0
    third = store.put(taken(1))
    assert first not in store.names
    assert store._cover.tags == {third}


def test_a_picture_that_rots_is_refused_when_it_is_read(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    name = shop.opened().put(taken(1))
    data = bytearray((tmp_path / f"{name}.jpg").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / f"{name}.jpg").write_bytes(data)
    with pytest.raises(StorageError, match="is not the picture that was written"):
        picture(tmp_path, read(tmp_path).kept[0].record)


def test_what_a_dead_writer_left_is_cleared_and_never_listed(tmp_path: Path) -> None:
    (tmp_path / "00000001-aaaaaaaa.jpg").write_bytes(b"half a fra")
    (tmp_path / ".00000002-bbbbbbbb.jpg.4711").write_bytes(b"half")
    (tmp_path / ".00000002-bbbbbbbb.json.4711").write_bytes(b"half")
    (tmp_path / "..lived.4711").write_bytes(b"1")
    assert names(tmp_path) == []
    Shop(tmp_path).opened()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure.json"
    treasure.write_text("{}")
    shop = Shop(tmp_path / "samples")
    store = shop.opened()
    name = store.put(taken(1))
    store.close()
    (shop.folder / "holiday.jpg").write_bytes(b"sun")
    (shop.folder / "00000009-ZZZZZZZZ.json").write_bytes(b"{}")
    (shop.folder / "00000009-aaaaaaaa.json").symlink_to(treasure)
    (shop.folder / "00000009-aaaaaaaa.jpg").symlink_to(treasure)
    (shop.folder / "00000008-aaaaaaaa.jpg").symlink_to(treasure)
    (shop.folder / "00000007-aaaaaaaa.json").mkdir()
    (shop.folder / ".00000006-aaaaaaaa.jpg.12").mkdir()
    os.mkfifo(shop.folder / "00000005-aaaaaaaa.json")
    foreign = sorted(path.name for path in shop.folder.iterdir() if name not in path.name)
    shelf = read(shop.folder)
    assert [kept.name for kept in shelf.kept] == [name]
    assert not shelf.damaged
    assert not shelf.orphans
    store = shop.opened()
    store.put(taken(2))
    assert set(foreign) <= {path.name for path in shop.folder.iterdir()}
    assert treasure.read_text() == "{}"


def test_a_link_in_a_frames_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    shop = Shop(tmp_path / "samples")
    store = shop.opened()
    name = store.put(taken(1))
    store._give_up(name)
    store._next = 1
    (shop.folder / f"{name}.jpg").symlink_to(other)
    assert store.put(taken(1)) == name
    assert other.read_bytes() == b"mine"
    assert not (shop.folder / f"{name}.jpg").is_symlink()


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / ".lock").symlink_to(other)
    with pytest.raises(StorageError, match="cannot be written"):
        Shop(tmp_path / "samples").store().open()
    assert other.read_bytes() == b"mine"


def test_frames_that_a_person_removed_are_noticed(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    store = shop.opened()
    first, second = store.put(taken(1)), store.put(taken(2))
    (tmp_path / f"{first}.json").unlink()
    (tmp_path / f"{first}.jpg").unlink()
    store.expire()
    assert store.names == [second]
    assert store.given_up_total == 0


def test_a_folder_that_is_not_there_is_empty_and_one_that_is_a_file_is_refused(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing").kept == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be read: Not a directory"):
        read(tmp_path / "file")
