"""New ranges in few bytes: only those that change, byte by byte beside each other, deflated. Pure.

``1:`` and base85 of what zlib makes of: how many groups there are (uint32), one bit for each (it changes; the lowest
bit first), the first byte of each changed scale, the second bytes, and so on (float32), their zero points (uint8); all
little-endian. Bytes of one kind beside each other pack better. Patches from before have base85 of all groups alone,
scale and zero point in turn, and are read too; a colon is in no base85.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

Entry = tuple[float, int]
"""A float32 scale, and a zero point less the lowest code, 0 to 255."""

_MARK = "1:"
_ENTRY = struct.Struct("<fB")
_COUNT = struct.Struct("<I")


def pack(entries: Sequence[Entry | None]) -> str:
    """As text.

    Args:
        entries: of each group whose range may change; None: it stays.

    >>> unpack(pack([None, (0.5, 7)]), 2)
    [None, (0.5, 7)]
    """
    changed = [entry for entry in entries if entry is not None]
    bits = np.packbits(np.array([entry is not None for entry in entries], bool), bitorder="little").tobytes()
    rows = b"".join(_ENTRY.pack(*entry) for entry in changed)
    whole = _COUNT.pack(len(entries)) + bits + b"".join(rows[place :: _ENTRY.size] for place in range(_ENTRY.size))
    return _MARK + base64.b85encode(zlib.compress(whole, 9)).decode()


def unpack(text: str, count: int) -> list[Entry | None]:
    """The inverse of :func:`pack`.

    Args:
        text: what was packed, now or before there was a mark.
        count: groups whose range may change.

    Raises:
        ValueError: it is damaged, or is of another number of groups.
    """
    if not text.startswith(_MARK):
        return _first(text, count)
    bits = -(-count // 8)
    whole = _inflated(base64.b85decode(text[len(_MARK) :]), _COUNT.size + bits + count * _ENTRY.size)
    many = _COUNT.unpack_from(whole.ljust(_COUNT.size, b"\0"))[0]
    if many != count:
        raise ValueError(f"it has {many} ranges, this file has {count} groups")
    marks, columns = whole[_COUNT.size : _COUNT.size + bits], whole[_COUNT.size + bits :]
    is_changed = np.unpackbits(np.frombuffer(marks, np.uint8), bitorder="little").astype(bool)
    changes = int(is_changed.sum())
    if len(marks) != bits or len(columns) != changes * _ENTRY.size or is_changed[count:].any():
        raise ValueError("its parts do not belong together")
    rows = b"".join(bytes(row) for row in zip(*_planes(columns, changes), strict=True))
    fresh = iter(_ENTRY.iter_unpack(rows))
    return [next(fresh) if mark else None for mark in is_changed[:count].tolist()]


def _planes(columns: bytes, changes: int) -> list[bytes]:
    return [columns[place * changes : (place + 1) * changes] for place in range(_ENTRY.size)]


def _inflated(packed: bytes, most: int) -> bytes:
    """At most so many bytes and one: what is longer is no patch, and may be very long."""
    stream = zlib.decompressobj()
    try:
        whole = stream.decompress(packed, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not stream.eof or stream.unused_data:
        raise ValueError("it ends too early or too late")
    return whole


def _first(text: str, count: int) -> list[Entry | None]:
    try:
        entries: list[Entry | None] = list(_ENTRY.iter_unpack(base64.b85decode(text)))
    except struct.error as error:
        raise ValueError(str(error)) from None
    if len(entries) != count:
        raise ValueError(f"it has {len(entries)} ranges, this file has {count} groups")
    return entries
