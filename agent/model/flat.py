"""Reading flatbuffer tables without generated code, every offset checked against the file's end.

The ``flatbuffers`` package trusts its input: an offset beyond the end raises whatever struct or numpy raises, a
negative one reads from the wrong side. Files come from users and from the network, so every read here goes through
:func:`_number`, and a wrong one is a :class:`~agent.errors.ModelError` that names its place.

Format: https://flatbuffers.dev/internals ; table slots are numbered as in the schema.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from agent.errors import ModelError

Buffer = memoryview

_MOST_ITEMS = 1 << 16
"""More entries than any real model has in one vector of tables; a larger count is damage."""

_MOST_TEXT = 1 << 14
"""Longest name that is read. Converters join the names of fused layers, to some hundred bytes."""

_MOST_PACKED = 1 << 10
"""Of one table of numbers; the largest options of an operation have some ten fields."""


def _number(data: Buffer, kind: str, place: int) -> int | float:
    size = struct.calcsize(kind)
    if place < 0 or place + size > len(data):
        raise ModelError(f"damaged model: it points at byte {place} of {len(data)}; is the file complete?")
    value: int | float = struct.unpack_from("<" + kind, data, place)[0]
    return value


def _offset(data: Buffer, place: int) -> int:
    return place + int(_number(data, "I", place))


class Table:
    """One table of the file; slots that are absent give the default."""

    def __init__(self, data: Buffer, place: int) -> None:
        self._data = data
        self._place = place
        self._vtable = place - int(_number(data, "i", place))
        self._vtable_size = int(_number(data, "H", self._vtable))

    @classmethod
    def root(cls, data: Buffer) -> Table:
        """The table that the file begins with."""
        return cls(data, _offset(data, 0))

    def _slot(self, slot: int) -> int | None:
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return None
        relative = int(_number(self._data, "H", self._vtable + entry))
        return self._place + relative if relative else None

    @property
    def place(self) -> int:
        """The byte of the file at which this table begins."""
        return self._place

    def slot(self, slot: int) -> int | None:
        """The byte at which what stands in this slot begins; None when the slot is absent."""
        return self._slot(slot)

    def entries(self, slot: int, item_size: int) -> tuple[int, int]:
        """The byte at which a vector's first entry lies, and how many there are; (0, 0) when it is absent."""
        return self._vector(slot, item_size)

    def packed(self) -> tuple[bytes, bytes]:
        """Its vtable and its own bytes; whole only for a table of numbers, which points at nothing."""
        size = int(_number(self._data, "H", self._vtable + 2))
        if self._vtable_size < 4 or self._place + size > len(self._data):
            raise ModelError("damaged model: a table runs beyond its end")
        head = self._data[self._vtable : self._vtable + self._vtable_size]
        if len(head) != self._vtable_size or len(head) % 2 or not 4 <= size < _MOST_PACKED:
            raise ModelError("damaged model: a table's own description is no such thing")
        return bytes(head), bytes(self._data[self._place : self._place + size])

    def integer(self, slot: int, kind: str, default: int = 0) -> int:
        """An integer of struct kind ``kind``."""
        place = self._slot(slot)
        return default if place is None else int(_number(self._data, kind, place))

    def table(self, slot: int) -> Table | None:
        """Another table."""
        place = self._slot(slot)
        return None if place is None else Table(self._data, _offset(self._data, place))

    def text(self, slot: int) -> str:
        """A string; bytes that are no UTF-8 are replaced."""
        packed = self.raw(slot)
        if len(packed) > _MOST_TEXT:
            raise ModelError(f"damaged model: a name of {len(packed)} bytes")
        return bytes(packed).decode("utf-8", "replace")

    def raw(self, slot: int) -> Buffer:
        """A vector of bytes, not copied."""
        start, count = self._vector(slot, 1)
        return self._data[start : start + count]

    def vector(self, slot: int, dtype: str) -> npt.NDArray[np.generic]:
        """A vector of numbers of numpy type ``dtype``, copied."""
        kind = np.dtype(dtype).newbyteorder("<")
        start, count = self._vector(slot, kind.itemsize)
        return np.frombuffer(self._data, kind, count, start).copy() if count else np.empty(0, kind)

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables."""
        return list(self._each(slot))

    def _each(self, slot: int) -> Iterator[Table]:
        start, count = self._vector(slot, 4)
        if count > _MOST_ITEMS:
            raise ModelError(f"damaged model: a list of {count} entries")
        for item in range(count):
            yield Table(self._data, _offset(self._data, start + 4 * item))

    def _vector(self, slot: int, item_size: int) -> tuple[int, int]:
        place = self._slot(slot)
        if place is None:
            return 0, 0
        start = _offset(self._data, place)
        count = int(_number(self._data, "I", start))
        if start + 4 + count * item_size > len(self._data):
            raise ModelError(f"damaged model: a list of {count} entries runs beyond its end; is the file complete?")
        return start + 4, count
