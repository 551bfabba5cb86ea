"""The reference light on the disk."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.errors import ModelError, StorageError
from agent.recalibrate.levels import Light, look
from agent.recalibrate.reference import (
    CORRECTION_NAME,
    FILE_NAME,
    FOLDER,
    PART_NAME,
    KeptCorrection,
    digest,
    forget_correction,
    forget_light,
    read_correction,
    read_light,
    write_correction,
    write_light,
)
from agent.records import Correction


def some_light() -> Light:
    rng = np.random.default_rng(1)
    return look([rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(3)])


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    light = some_light()
    assert read_light(tmp_path) is None
    write_light(tmp_path, light)
    found = read_light(tmp_path)
    assert found is not None
    assert np.allclose(found.levels, light.levels, atol=1 / 256)
    assert forget_light(tmp_path)
    assert not forget_light(tmp_path)
    assert read_light(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"LIGHT", b"x" * 1000])
def test_a_damaged_one_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / FILE_NAME).write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged: .*; remove it"):
        read_light(tmp_path)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_light(tmp_path, some_light())


KEPT = KeptCorrection(
    reference="0123456789abcdef", base=Correction(), correction=Correction(1.5, 2.0, 0.8, (1.1, 1.0, 0.9))
)


def test_a_part_of_it_is_another_file(tmp_path: Path) -> None:
    light = some_light()
    write_light(tmp_path, light, PART_NAME)
    assert read_light(tmp_path) is None
    assert forget_light(tmp_path, PART_NAME)
    assert read_light(tmp_path, PART_NAME) is None


def test_its_name_is_the_same_after_it_was_read(tmp_path: Path) -> None:
    light = some_light()
    write_light(tmp_path, light)
    found = read_light(tmp_path)
    assert found is not None
    assert digest(found) == digest(light)
    assert digest(light.some(np.array([0, 1]))) != digest(light)


def test_the_correction_comes_back_as_it_was(tmp_path: Path) -> None:
    assert read_correction(tmp_path) is None
    write_correction(tmp_path, KEPT)
    assert read_correction(tmp_path) == KEPT
    assert forget_correction(tmp_path)
    assert not forget_correction(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"v": 1}',
        msgspec.json.encode(KEPT).replace(b'"v":1', b'"v":2'),
        msgspec.json.encode(KEPT).replace(b'"gain":2.0', b'"gain":1e9'),
        msgspec.json.encode(KEPT).replace(b'"gain":2.0', b'"gain":"2"'),
        msgspec.json.encode(KEPT)[:-1],
        b"[" * 100_000,
    ],
)
def test_a_damaged_correction_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / CORRECTION_NAME).write_bytes(content)
    with pytest.raises(ModelError, match=r"correction\.json: is damaged"):
        read_correction(tmp_path)
