"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.files import write_whole


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


def test_a_link_that_waits_there_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    (tmp_path / f".a.{os.getpid()}").symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        write_whole(tmp_path / "a", b"two")
    assert other.read_bytes() == b"mine"
