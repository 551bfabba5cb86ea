"""Changing a .tflite file's bytes without a schema compiler: numbers are written where they stand, the rest appended.

A flatbuffer's offsets only point forwards, so a table or a vector that has to grow is written anew behind the end and
its owner's offset is turned to it; everything else keeps its byte. A change that changes no value gives the same file.
Format: https://flatbuffers.dev/internals .
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agent.errors import ModelError
from agent.model.flat import Buffer, Table

_ALIGNMENT = 16
"""Vectors of the file begin their data at such a byte, as the runtime's kernels like it (schema.fbs, Buffer)."""


class Draft:
    """A copy of a file that is being changed.

    Args:
        data: the file's bytes; not touched.
    """

    def __init__(self, data: Buffer) -> None:
        self._bytes = bytearray(data)

    def finished(self) -> bytes:
        """The changed file."""
        return bytes(self._bytes)

    def put(self, place: int, kind: str, value: float) -> None:
        """Write one number of struct kind ``kind`` at a byte."""
        struct.pack_into("<" + kind, self._bytes, place, value)

    def put_array(self, place: int, values: npt.NDArray[np.generic]) -> None:
        """Write numbers one after the other, beginning at a byte."""
        packed = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        self._bytes[place : place + len(packed)] = packed

    def put_slot(self, table: Table, slot: int, kind: str, value: float, what: str) -> None:
        """Write a number into a slot that is there.

        Raises:
            ModelError: the slot is absent.
        """
        place = table.slot(slot)
        if place is None:
            raise ModelError(f"cannot be changed: {what} is not written out in the file")
        self.put(place, kind, value)

    def shorten(self, table: Table, slot: int, item_size: int, count: int) -> None:
        """Let a vector end after its first ``count`` entries; an absent one stays absent."""
        start, before = table.entries(slot, item_size)
        if start and before > count:
            self.put(start - 4, "I", count)

    def turn(self, table: Table, slot: int, target: int, what: str) -> None:
        """Let the offset in a slot point to a byte behind it.

        Raises:
            ModelError: the slot is absent.
        """
        place = table.slot(slot)
        if place is None:
            raise ModelError(f"cannot be changed: {what} is not written out in the file")
        self.put(place, "I", target - place)

    def keep_tables(self, table: Table, slot: int, kept: Sequence[Table]) -> None:
        """Reduce a vector of tables to some of them, in their order."""
        start, _ = table.entries(slot, 4)
        for number, item in enumerate(kept):
            place = start + 4 * number
            self.put(place, "I", item.place - place)
        self.put(start - 4, "I", len(kept))

    def append_vector(self, values: npt.NDArray[np.generic]) -> int:
        """A new vector behind the end; returns its byte."""
        start = -(-(len(self._bytes) + 4) // _ALIGNMENT) * _ALIGNMENT
        packed = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        self._bytes += bytes(start - 4 - len(self._bytes)) + struct.pack("<I", values.size) + packed
        return start - 4

    def append_quantization(self, scale: float, zero_point: int) -> int:
        """New QuantizationParameters of one scale (schema.fbs: slot 2 scale, slot 3 zero_point); returns their byte."""
        vtable = self._aligned(8)
        self._bytes += struct.pack("<HH4H", 12, 12, 0, 0, 4, 8)
        table = self._aligned(8)
        self._bytes += struct.pack("<iII", table - vtable, 0, 0)
        for place, values in (
            (table + 4, np.array([scale], np.float32)),
            (table + 8, np.array([zero_point], np.int64)),
        ):
            self.put(place, "I", self.append_vector(values) - place)
        return table

    def append_options(self, options: Table | None, slot: int, value: int) -> int:
        """A copy of a table that holds nothing but numbers, with one byte-sized slot more; returns its byte."""
        head, body = options.packed() if options is not None else (struct.pack("<HH", 4, 4), bytes(4))
        count = max((len(head) - 4) // 2, slot + 1)
        body += bytes(-len(body) % 4)
        entries = [*struct.unpack(f"<{(len(head) - 4) // 2}H", head[4:]), *[0] * count][:count]
        entries[slot] = len(body)
        vtable = self._aligned(8)
        self._bytes += struct.pack(f"<HH{count}H", 4 + 2 * count, len(body) + 1, *entries)
        table = self._aligned(8)
        self._bytes += struct.pack("<i", table - vtable) + body[4:] + struct.pack("<b", value)
        return table

    def _aligned(self, size: int) -> int:
        self._bytes += bytes(-len(self._bytes) % size)
        return len(self._bytes)
