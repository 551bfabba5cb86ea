"""Looks into SQLite's write-ahead log before SQLite does: it drops what it cannot read from there without a word.

The format is fixed (https://www.sqlite.org/fileformat2.html#the_write_ahead_log): a header of 32 bytes, then frames
of 24 bytes and a page. Frames that carry the header's two salts belong to this log; what follows them is of a former.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""The byte order of the checksums."""


@dataclass(frozen=True, slots=True)
class Wal:
    """What stands in the log.

    Attributes:
        garbled: the header is none.
        committed: frames up to the last one that ends a transaction; SQLite should find as many.
        pages: numbers of the pages that a checkpoint would write.
        page_bytes: size of one.
    """

    garbled: bool
    committed: int = 0
    pages: frozenset[int] = frozenset()
    page_bytes: int = 0


def look(path: Path) -> Wal:
    """The log at ``path``; one without frames where there is no file. Raises OSError."""
    if not path.exists() or path.stat().st_size < _HEADER.size:
        return Wal(garbled=False)
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        magic, _, page_bytes, _, *salts, first, second = _HEADER.unpack(header)
        if magic not in _MAGIC or _checksum(header[:24], _MAGIC[magic]) != (first, second):
            return Wal(garbled=True)
        committed, pages = 0, set()
        for number in range(1, (path.stat().st_size - _HEADER.size) // (_FRAME.size + page_bytes) + 1):
            page, size_after, *its_salts, _, _ = _FRAME.unpack(file.read(_FRAME.size))
            file.seek(page_bytes, 1)
            if its_salts == salts:
                pages.add(page)
                committed = number if size_after else committed
    return Wal(False, committed, frozenset(pages), page_bytes)


def _checksum(data: bytes, order: str) -> tuple[int, int]:
    first = second = 0
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for x, y in zip(words[::2], words[1::2], strict=True):
        first = (first + x + second) & 0xFFFFFFFF
        second = (second + y + first) & 0xFFFFFFFF
    return first, second
