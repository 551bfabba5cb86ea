"""The reference light that a board keeps: what its camera saw when the model was right. One file, no picture in it."""

from __future__ import annotations

from pathlib import Path

from agent.errors import ModelError, StorageError
from agent.files import sync_folder, write_whole
from agent.recalibrate.levels import Light

FOLDER = "reference"
FILE_NAME = "light"
_MOST_BYTES = 1 << 20


def read_light(state: Path) -> Light | None:
    """The kept light; None when there is none.

    Args:
        state: the agent's folder.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is damaged.
    """
    path = state / FOLDER / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
        return Light.from_bytes(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"{path}: is damaged: {error}; remove it, and the light is learned anew") from None


def write_light(state: Path, light: Light) -> None:
    """Keep it, in place of what was kept before.

    Raises:
        StorageError: it cannot be written; what was kept stays.
    """
    path = state / FOLDER / FILE_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, light.to_bytes())
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None


def forget_light(state: Path) -> bool:
    """Remove it; False when there was none.

    Raises:
        StorageError: it cannot be removed.
    """
    path = state / FOLDER / FILE_NAME
    try:
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
    return True
