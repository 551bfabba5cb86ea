"""Reading the small files in which the kernel answers: three outcomes, never a guess.

In: a path under ``/sys`` or ``/proc``. Out: the text or the number, or None when there is no such file. What is there
but cannot be believed (unreadable, empty, cut, too long, no number, not plausible) is a ``ValueError`` or an
``OSError`` with one sentence; nothing is ever read as zero.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

ATTRIBUTE_BYTES = 4096
"""A sysfs attribute is one page at most (Documentation/filesystems/sysfs.rst)."""

TABLE_BYTES = 256 * 1024
"""More than any ``/proc`` table that is read here: ``meminfo`` and ``status`` take 1.5 KB."""


def read_text(path: Path, limit_bytes: int = ATTRIBUTE_BYTES) -> str | None:
    """The file's text, or None when it is not there.

    Raises:
        OSError: it is there and cannot be read.
        ValueError: it is empty, longer than ``limit_bytes`` or no text.
    """
    try:
        with open(path, "rb", opener=_open_now) as file:  # Path.open takes no opener
            raw = file.read(limit_bytes + 1) or b""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        error.filename = str(path)  # a failed read does not know its file
        raise
    if not raw.strip(b" \n\0"):
        raise ValueError(f"{path} is empty")
    if len(raw) > limit_bytes:
        raise ValueError(f"{path} is longer than {limit_bytes} bytes: that is not what the kernel writes there")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} holds {raw[:16]!r}, which is no text") from error


def read_line(path: Path) -> str | None:
    """The only line of a sysfs attribute, without its end.

    Raises:
        OSError: see :func:`read_text`.
        ValueError: the line has no end, so it was cut; or see :func:`read_text`.
    """
    text = read_text(path)
    if text is not None and not text.endswith("\n"):
        raise ValueError(f"{path} holds {text[:32]!r} without an end of line: it was cut")
    return text.strip() if text is not None else None


def read_number(path: Path, base: int = 10) -> int | None:
    """The number that a sysfs attribute holds; raises as :func:`read_line` and :func:`parse_number`."""
    line = read_line(path)
    return None if line is None else parse_number(line, path, base)


def parse_number(line: str, path: Path, base: int = 10) -> int:
    """The number in one line; the path is for the sentence.

    Raises:
        ValueError: it is no number of this base.
    """
    pattern = r"-?[0-9]{1,19}" if base == 10 else r"(0x)?[0-9a-fA-F]{1,16}"
    if not re.fullmatch(pattern, line):
        raise ValueError(f"{path} holds {line[:32]!r}, which is no number")
    return int(line, base)


def read_kilobytes(path: Path, key: str) -> int | None:
    """One ``Key:   123 kB`` line of a ``/proc`` table, in bytes; None when there is no such table.

    Raises:
        OSError: see :func:`read_text`.
        ValueError: the table has no such whole line; or see :func:`read_text`.
    """
    text = read_text(path, TABLE_BYTES)
    return None if text is None else 1024 * int(find_field(text, key, r"([0-9]{1,15}) kB", path))


def find_field(text: str, key: str, pattern: str, path: Path) -> str:
    """What the ``key`` line of a table holds, by a pattern with one group.

    Raises:
        ValueError: there is no such whole line.
    """
    found = re.search(rf"^{re.escape(key)}:[ \t]*{pattern}[ \t]*\n", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} has no whole line {key}: it was cut or is of another kernel")
    return found[1]


def _open_now(path: str, flags: int) -> int:
    # A pipe in a file's place would block the thread for ever; kernel files don't mind the flag.
    return os.open(path, flags | os.O_NONBLOCK)
