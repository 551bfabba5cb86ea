"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from agent import files
from agent.files import remove, sync_folder, write_whole


def test_bytes_and_mode_arrive_and_nothing_lies_beside(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"one", mode=0o640)
    write_whole(path, b"two", mode=0o640)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_refusal_leaves_what_was_there_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_whole(path, b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"two")
    assert path.read_bytes() == b"one"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_file_that_cannot_grow_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            write_whole(path, b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_link_that_waits_there_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    (tmp_path / f".a.{os.getpid()}").symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        write_whole(tmp_path / "a", b"two")
    assert other.read_bytes() == b"mine"


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_DEVICES", tmp_path)
    device, elsewhere = tmp_path / "null", tmp_path / "other" / "null"
    elsewhere.parent.mkdir()
    for path in (device, elsewhere):
        path.touch()
    before = [path.stat().st_ino for path in (device, elsewhere)]
    for path in (device, elsewhere):
        write_whole(path, b"one")
    assert device.read_bytes() == elsewhere.read_bytes() == b"one"
    assert [path.stat().st_ino == number for path, number in zip((device, elsewhere), before, strict=True)] == [
        True,
        False,
    ]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_folder_that_cannot_be_synced_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def unable(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", unable)
    sync_folder(tmp_path)


def test_a_disk_that_fails_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)


def test_what_is_removed_is_gone_and_the_disk_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Path] = []
    monkeypatch.setattr("agent.files.sync_folder", told.append)
    path = tmp_path / "a"
    write_whole(path, b"one", safely=False)
    assert remove(path)
    assert not path.exists()
    assert told == [tmp_path]
    assert not remove(path)
    assert told == [tmp_path]
    with pytest.raises(OSError, match="directory"):
        remove(tmp_path)
