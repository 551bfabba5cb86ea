"""How many pixels a picture says it has, from its first bytes: a small file can ask for gigabytes."""

from __future__ import annotations

import struct
from pathlib import Path

MOST_PIXELS = 1 << 26
"""67 million, 201 MB decoded: the largest camera for these boards has 64."""

_MOST_SEGMENTS = 1000


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a JPEG, PNG or BMP; None where its first bytes do not say: other formats, damage.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(32)
        try:
            if head.startswith(b"\x89PNG\r\n\x1a\n"):
                width, height = struct.unpack_from(">II", head, 16)
                return int(width), int(height)
            if head.startswith(b"BM"):
                width, height = struct.unpack_from("<ii", head, 18)
                return abs(width), abs(height)
            return _of_jpeg(path) if head.startswith(b"\xff\xd8\xff") else None
        except struct.error:
            return None


def _of_jpeg(path: Path) -> tuple[int, int] | None:
    """From the frame header (ITU-T T.81, B.2.2); what stands before it is passed over, never read."""
    with path.open("rb") as file:
        file.seek(2)
        for _ in range(_MOST_SEGMENTS):
            mark, kind, length = struct.unpack(">BBH", file.read(4))
            if mark != 0xFF or length < 2:
                return None
            if 0xC0 <= kind <= 0xCF and kind not in {0xC4, 0xC8, 0xCC}:
                height, width = struct.unpack(">xHH", file.read(5))
                return int(width), int(height)
            file.seek(length - 2, 1)
    return None
