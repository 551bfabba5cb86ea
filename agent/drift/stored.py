"""A reference as bytes and as a file: written whole, refused when it is damaged or of something else.

Layout: a magic word with the version, the head's length, the head in JSON, then of each condition the blocks' places
(int32), their features (float32) and the mean profile (float32), little-endian; at the end a CRC-32 of all after the
magic word. About 110 bytes a block.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agent.drift.features import FEATURES, VERSION, Schema
from agent.drift.learner import MOST_ROWS
from agent.drift.reference import Condition, Reference
from agent.errors import ModelError, StorageError
from agent.files import write_whole
from agent.wording import fault_in

FOLDER = "reference"
FILE_NAME = "drift"
MOST_BYTES = 8 << 20

_MAGIC = b"DRIFTRF" + bytes([VERSION])
_LENGTH = struct.Struct("<I")
_MOST_CONDITIONS = 8
_MOST_HEAD = 4096


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    classes: int
    groups: int
    width: int
    height: int
    block_frames: int
    frames: int
    edges: list[float]
    blocks: list[int]


def to_bytes(reference: Reference) -> bytes:
    """The reference as a file."""
    head = msgspec.json.encode(
        _Head(
            reference.model,
            reference.schema.classes,
            reference.schema.groups,
            reference.width,
            reference.height,
            reference.block_frames,
            reference.frames,
            list(reference.edges),
            [len(each.at) for each in reference.conditions],
        )
    )
    parts = [_LENGTH.pack(len(head)), head]
    for each in reference.conditions:
        parts += [np.asarray(each.at, "<i4").tobytes()]
        parts += [np.asarray(array, "<f4").tobytes() for array in (each.blocks, each.template)]
    body = b"".join(parts)
    return _MAGIC + body + _LENGTH.pack(zlib.crc32(body))


def from_bytes(data: bytes) -> Reference:
    """The inverse of :func:`to_bytes`.

    Raises:
        ValueError: it is no such file, was cut or damaged, or is of another version.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        if data[: len(_MAGIC) - 1] == _MAGIC[:-1]:
            raise ValueError(f"it is of version {data[len(_MAGIC) - 1 : len(_MAGIC)].hex() or '?'}, not {VERSION:02x}")
        raise ValueError(f"no reference of drift: {len(data)} bytes that begin with {data[:8]!r}")
    body = data[len(_MAGIC) : -_LENGTH.size]
    if len(body) < _LENGTH.size or zlib.crc32(body) != _LENGTH.unpack(data[-_LENGTH.size :])[0]:
        raise ValueError("it was cut or damaged: its checksum is wrong")
    head, rest = _head(body)
    schema = Schema(head.classes, head.groups)
    reader = _Reader(rest)
    conditions = tuple(reader.condition(count, schema.profile_size) for count in head.blocks)
    reader.finish()
    size = (head.width, head.height, head.block_frames, head.frames)
    return Reference(head.model, schema, *size, tuple(head.edges), conditions)


def _head(body: bytes) -> tuple[_Head, bytes]:
    length = _LENGTH.unpack_from(body)[0]
    if length > _MOST_HEAD:
        raise ValueError(f"its head is {length} bytes long")
    try:
        head = msgspec.json.decode(body[_LENGTH.size : _LENGTH.size + length], type=_Head)
    except msgspec.ValidationError as error:
        raise ValueError(f"its head: {fault_in(error, _Head)}") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"its head is no JSON: {error}") from None
    if not 1 <= len(head.blocks) <= _MOST_CONDITIONS or not all(1 <= each <= MOST_ROWS for each in head.blocks):
        raise ValueError(f"blocks of its conditions: {head.blocks[:_MOST_CONDITIONS]}")
    return head, body[_LENGTH.size + length :]


@dataclass(slots=True)
class _Reader:
    """Takes arrays from the front."""

    left: bytes

    def condition(self, blocks: int, profile: int) -> Condition:
        at = np.frombuffer(self._take(4 * blocks), "<i4").astype(np.int32)
        features = np.frombuffer(self._take(4 * blocks * len(FEATURES)), "<f4").astype(np.float32)
        template = np.frombuffer(self._take(4 * profile), "<f4").astype(np.float32)
        if np.isinf(features).any() or np.isinf(template).any():
            raise ValueError("a feature is infinite")
        return Condition(features.reshape(blocks, len(FEATURES)), at, template)

    def _take(self, size: int) -> bytes:
        if len(self.left) < size:
            raise ValueError(f"it ends {size - len(self.left)} bytes too early")
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def finish(self) -> None:
        if self.left:
            raise ValueError(f"{len(self.left)} bytes too many")


def read_reference(path: Path, model: str) -> Reference | None:
    """The kept reference; None when there is none.

    Args:
        path: its file.
        model: what it must have been learned with.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is damaged, of another version, or of another model.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES} bytes")  # noqa: TRY301  # told like all the others
        reference = from_bytes(data)
    except ValueError as error:
        raise ModelError(f"{path}: no reference of drift: {error}; remove it, and it is learned anew") from None
    if reference.model != model:
        raise ModelError(
            f"{path}: was learned with model {reference.model[:12]!r}, and {model[:12]!r} runs; "
            "remove it, and it is learned anew"
        )
    return reference


def write_reference(path: Path, reference: Reference) -> None:
    """Keep it, in place of what was kept before.

    Raises:
        StorageError: it cannot be written; what was kept stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_bytes(reference))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
