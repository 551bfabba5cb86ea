"""The folder of kept frames, read: what is a kept frame, what is a damaged one, what is not ours. Changes nothing.

A frame is there when its record is: whole, of its own name, and beside it the picture that it speaks of, of the right
size. The picture is written first, so that a kill between the two leaves a picture that nobody lists. Links are not
followed and belong to others, as does every file that is not named as ours. Needs no lock, beside a running agent too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent.errors import StorageError
from agent.sample import record as records
from agent.sample.record import NAME, Record

RECORD, PICTURE = ".json", ".jpg"
LIVED = ".lived"
LOCK = ".lock"
_MOST_PICTURE_BYTES = 256 << 20
_LEFT_OVER = re.compile(r"\.(\d{8}-[0-9a-f]{8}\.(json|jpg)|\.lived)\.\d+")
"""What :func:`agent.files.write_whole` writes to before it moves the file in place."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept frame.

    Attributes:
        record: what is known of it.
        size_bytes: of its files.
    """

    record: Record
    size_bytes: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return self.record.name


@dataclass(slots=True)
class Shelf:
    """What a folder holds.

    Attributes:
        kept: in the order taken.
        damaged: a sentence by the name of each frame that is none any more.
        orphans: pictures that no record speaks of.
        left_over: files that were being written when their writer died.
        foreign: names of what is not ours, links among them.
        lived_s: how long the agent had run when it last said so.
    """

    kept: list[Kept] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    lived_s: float = 0.0


class _ForeignError(Exception):
    """Somebody else's: a link, a folder, a device."""


def read(folder: Path) -> Shelf:
    """Everything in a folder; one that is not there is empty.

    Raises:
        StorageError: the folder cannot be read.
    """
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  # names alone: they are sorted out before any is opened
    except FileNotFoundError:
        return Shelf()
    except OSError as error:
        raise StorageError(f"{folder}: cannot be read: {error.strerror}") from None
    shelf, pictures = Shelf(), set()
    for name in names:
        stem, ending = os.path.splitext(name)  # noqa: PTH122
        if NAME.fullmatch(stem) and ending == RECORD:
            _take(shelf, folder, stem)
        elif NAME.fullmatch(stem) and ending == PICTURE and _is_plain(folder / name):
            pictures.add(stem)
        elif _LEFT_OVER.fullmatch(name) and _is_plain(folder / name):
            shelf.left_over.append(name)
        elif name not in {LIVED, LOCK}:
            shelf.foreign.append(name)
    spoken_of = {Path(name).stem for name in names if name.endswith(RECORD)}
    shelf.orphans = sorted(pictures - spoken_of)
    shelf.lived_s = max([_read_lived(folder), *(kept.record.lived_s for kept in shelf.kept)])
    return shelf


def picture(folder: Path, record: Record) -> bytes:
    """The JPEG of a kept frame, as it was written.

    Raises:
        StorageError: it cannot be read, there is none, or it is not what was written.
    """
    path = folder / f"{record.name}{PICTURE}"
    if record.withheld:
        raise StorageError(f"{path}: there is no picture: {record.withheld}")
    try:
        data = read_own(path, min(record.picture_bytes + 1, _MOST_PICTURE_BYTES))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    except _ForeignError:
        raise StorageError(f"{path}: is no plain file") from None
    if hashlib.sha256(data).hexdigest() != record.picture_sha256:
        raise StorageError(f"{path}: is not the picture that was written; is the disk failing?")
    return data


def read_own(path: Path, most: int) -> bytes:
    """At most so many bytes of a plain file; no link is followed, nothing waits on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise _ForeignError from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _ForeignError
        return file.read(most)


def _take(shelf: Shelf, folder: Path, name: str) -> None:
    path = folder / f"{name}{RECORD}"
    try:
        data = read_own(path, records.MOST_BYTES + 1)
        record = records.decode(data, name)
        shelf.kept.append(Kept(record, len(data) + _picture_size(folder, record)))
    except FileNotFoundError:
        return  # given up meanwhile
    except ValueError as error:
        if path.exists():  # else it is being given up, and its picture went first from where we stand
            shelf.damaged[name] = str(error)
    except (_ForeignError, OSError):
        shelf.foreign.append(path.name)


def _picture_size(folder: Path, record: Record) -> int:
    if record.withheld:
        return 0
    try:
        found = os.lstat(folder / f"{record.name}{PICTURE}")
    except FileNotFoundError:
        raise ValueError("its picture is gone") from None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("its picture is no plain file")
    if found.st_size != record.picture_bytes:
        raise ValueError(f"its picture has {found.st_size} bytes, not {record.picture_bytes}")
    return record.picture_bytes


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _read_lived(folder: Path) -> float:
    """How long the agent had run; 0 where nobody knows."""
    with contextlib.suppress(OSError, _ForeignError, ValueError):
        return msgspec.json.decode(read_own(folder / LIVED, 64), type=records.Lived)
    return 0.0
