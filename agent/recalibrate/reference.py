"""What a board keeps of the light: three small files without a picture in them.

The reference (what its camera saw when the model was right); what of it is learned so far; and the correction in force,
which belongs to one reference.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent import files
from agent.errors import ModelError, StorageError
from agent.files import write_whole
from agent.recalibrate.levels import Light
from agent.records import Correction

FOLDER = "reference"
FILE_NAME = "light"
PART_NAME = "light.part"
"""The reference while it is learned."""

CORRECTION_NAME = "correction.json"
_MOST_BYTES = 1 << 20


class KeptCorrection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The correction in force, with what it belongs to."""

    v: Annotated[Literal[1], Meta(description="Version of this record.")] = 1
    reference: Annotated[str, Meta(description="The light that it leads to, as digest() names it.")]
    base: Annotated[Correction, Meta(description="What the model was loaded with; neutral: nothing.")]
    correction: Annotated[Correction, Meta(description="What is done instead.")]


def digest(light: Light) -> str:
    """A name for one reference, the same before it is written and after it was read."""
    return hashlib.sha256(light.to_bytes()).hexdigest()[:16]


def read_light(state: Path, name: str = FILE_NAME) -> Light | None:
    """The kept light; None when there is none.

    Args:
        state: the agent's folder.
        name: the reference, or what of it is learned so far.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is damaged.
    """
    path = state / FOLDER / name
    data = _read(path)
    try:
        return None if data is None else Light.from_bytes(data)
    except ValueError as error:
        raise ModelError(f"{path}: is damaged: {error}; remove it, and the light is learned anew") from None


def write_light(state: Path, light: Light, name: str = FILE_NAME) -> None:
    """Keep it, in place of what was kept before.

    Raises:
        StorageError: it cannot be written; what was kept stays.
    """
    _write(state / FOLDER / name, light.to_bytes())


def forget_light(state: Path, name: str = FILE_NAME) -> bool:
    """Remove it; False when there was none.

    Raises:
        StorageError: it cannot be removed.
    """
    return _remove(state / FOLDER / name)


def read_correction(state: Path) -> KeptCorrection | None:
    """The correction that was in force; None when there was none.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is damaged.
    """
    path = state / FOLDER / CORRECTION_NAME
    data = _read(path)
    try:
        return None if data is None else msgspec.json.decode(data, type=KeptCorrection)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path}: is damaged: {error}") from None


def write_correction(state: Path, kept: KeptCorrection) -> None:
    """Keep it, in place of what was kept before.

    Raises:
        StorageError: it cannot be written; what was kept stays.
    """
    _write(state / FOLDER / CORRECTION_NAME, msgspec.json.encode(kept))


def forget_correction(state: Path) -> bool:
    """Remove it; False when there was none.

    Raises:
        StorageError: it cannot be removed.
    """
    return _remove(state / FOLDER / CORRECTION_NAME)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None


def _remove(path: Path) -> bool:
    try:
        return files.remove(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
