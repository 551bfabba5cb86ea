"""What this board has learned about its model: a range patch that lies over the file it was made for.

The file itself, signed and received, is never changed: the patched one is made from it at each start, and is used only
when it is bit for bit what was proven. One small record for each base file, written whole or not at all; dropped by
``undo``, and of itself when another base comes. Any fault here means the base file runs, and a line in the log.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.errors import ModelError, StorageError, UnavailableError
from agent.files import sync_folder, write_whole
from agent.model import RangePatch, apply, mapped
from agent.wording import no_json

log = logging.getLogger("agent.service")

FOLDER = "overlays"
_MOST_BYTES = 64 * 1024


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """One record."""

    v: Annotated[Literal[1], Meta(description="Version of this record.")] = 1
    patch: Annotated[RangePatch, Meta(description="What is changed.")]
    agreement: Annotated[float, Meta(description="With the float reference after it, 0 to 1, on held-out frames.")]
    gain: Annotated[tuple[float, float, float], Meta(description="Of agreement: value, low, high (95 %).")]
    frames: Annotated[int, Meta(description="Held-out frames that proved it.")]


def read(state: Path, base_sha256: str) -> Overlay | None:
    """The record for this base; None when there is none.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is damaged.
    """
    path = _path(state, base_sha256)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        return msgspec.json.decode(data, type=Overlay)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = no_json(error, Overlay)
        raise ModelError(f"{path}: is damaged: {why}; remove it with `edge-agent recalibrate --undo`") from None


def write(state: Path, overlay: Overlay) -> Path:
    """Put a record in force for the next start: whole or not at all, whenever the power goes.

    Raises:
        StorageError: it cannot be written.
    """
    path = _path(state, overlay.patch.base_sha256)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(overlay))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def remove(state: Path, base_sha256: str) -> bool:
    """Take the record away; False when there was none.

    Raises:
        StorageError: it cannot be removed.
    """
    path = _path(state, base_sha256)
    try:
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
    return True


def patched(state: Path, base: Path, base_sha256: str) -> Path | None:
    """The file to run in place of ``base``; None where nothing, or nothing usable, lies over it."""
    try:
        overlay = read(state, base_sha256)
        if overlay is None:
            return None
        made = apply(mapped(base), overlay.patch)
        path = state / FOLDER / f"{overlay.patch.result_sha256}.tflite"
        _keep(path, made)
    except (ModelError, StorageError) as error:
        log.warning("what this board learned is not used: %s", error)
        return None
    except OSError as error:
        log.warning("what this board learned is not used: %s: %s", error.filename, error.strerror)
        return None
    log.info("a range patch of this board lies over the model: agreement %.3f", overlay.agreement)
    return path


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """One recalibration at a time.

    Raises:
        UnavailableError: another one is at work.
        StorageError: the folder cannot be written.
    """
    folder = state / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("wb")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnavailableError(f"{folder}: another recalibration is at work; try again when it is done") from None
        yield


def _path(state: Path, base_sha256: str) -> Path:
    return state / FOLDER / f"{base_sha256}.json"


def _keep(path: Path, data: bytes) -> None:
    """The file with these bytes; what lies there already is compared, not believed."""
    if path.is_file() and path.read_bytes() == data:
        return
    write_whole(path, data, safely=False)
    for other in path.parent.glob("*.tflite"):
        if other != path:
            other.unlink(missing_ok=True)
