"""The reference light on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.errors import ModelError, StorageError
from agent.recalibrate.levels import Light, look
from agent.recalibrate.reference import FILE_NAME, FOLDER, forget_light, read_light, write_light


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
