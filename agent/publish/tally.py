"""What was made, and what of it has been done with: counted where no kill can take it and no card wears out.

A file of 33 KiB in memory (tmpfs), mapped; one for each start of the agent. For each delivery class it holds the
newest ``seq``, a bit for each of the last 16,320 that is set once the message is acknowledged or given up, and the
losses. Each is one store of a word or a byte, so that a kill finds it whole. The next start reads what its former left.
The folder may be open to everybody: what is not our own, or is none, is left alone, and nothing is known then.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

log = logging.getLogger("agent.publish")

End = Literal["clean", "killed", "unknown"]

LAST_VALUES = frozenset({"state", "birth", "health", "reported", "d", "homeassistant"})
"""Classes that are not counted: a newer one makes up for any that was lost."""

MOST_FORMER = 16

_MAGIC = int.from_bytes(b"edgetal1", "little")
_RUNNING, _CLEAN = 1, 2
_RING = 16_384
SPAN = _RING - 64
"""Sequence numbers with a bit; an older one that was still open when it left counts as lost."""

_HEAD_BYTES = 128
_BOOT_AT, _BOOT_BYTES = 16, 64
_NAME_BYTES = 16
_MADE, _OLDER, _DROPPED, _REFUSED = 2, 3, 4, 5
_BITS_AT = 64
_SLOT_BYTES = _BITS_AT + _RING // 8
_SLOTS = 16
SIZE_BYTES = _HEAD_BYTES + _SLOTS * _SLOT_BYTES


@dataclass(frozen=True, slots=True)
class Count:
    """One delivery class of a former start.

    Attributes:
        made: newest ``seq``.
        older: left open, and too old for its number to be known.
        dropped, refused: lost there, or thrown away by the broker.
        open: numbers that were neither acknowledged nor given up.
    """

    made: int
    older: int
    dropped: int
    refused: int
    open: frozenset[int]


@dataclass(frozen=True, slots=True)
class Former:
    """What a former start left.

    Attributes:
        boot: its word; empty when nothing is known.
        end: how it ended.
        classes: what it counted.
        path: the file; None when it is gone.
    """

    boot: str = ""
    end: End = "unknown"
    classes: Mapping[str, Count] = field(default_factory=dict)
    path: Path | None = None

    def forget(self) -> None:
        """It has been told: the file is of no use any more."""
        if self.path is not None:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("cannot remove %s (%s)", self.path, error)


class Tally:
    """Counts for this start; owned by the mqtt thread. Until :meth:`open` it counts for itself only."""

    def __init__(self, boot: str) -> None:
        self._slots: dict[str, int] = {}
        self._map: mmap.mmap | None = None
        self._fd = -1
        self._bytes = memoryview(bytearray(SIZE_BYTES))
        self._words = self._bytes.cast("Q")  # native words: each is stored at once
        word = boot.encode(errors="replace")[:_BOOT_BYTES]
        self._bytes[_BOOT_AT : _BOOT_AT + len(word)] = word
        self._words[0], self._words[1] = _MAGIC, _RUNNING

    def open(self, folder: Path, name: str) -> None:
        """Counts in a file from now on; where that cannot be, it is said, and a kill takes the figures along."""
        path = folder / f"{name}-{secrets.token_hex(4)}.tally"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # reserved: a full tmpfs must refuse now, and not kill us by SIGBUS later
            os.posix_fallocate(self._fd, 0, SIZE_BYTES)
            self._map = mmap.mmap(self._fd, SIZE_BYTES)
        except OSError as error:
            log.warning("cannot count in %s (%s): what a kill takes along will not be known", path, error)
            return
        self._map[:] = self._bytes.tobytes()
        self._use(self._map)

    def made(self, cls: str, seq: int) -> None:
        """A message got its number."""
        slot = self._slots.get(cls)
        if slot is None:
            slot = self._add(cls)
        if slot < 0:
            return
        words, left = slot // 8, seq - SPAN
        if left > 0 and not self._bytes[self._bit(slot, left)] & 1 << (left & 7):
            self._words[words + _OLDER] += 1
        self._bytes[self._bit(slot, seq)] &= ~(1 << (seq & 7)) & 0xFF
        self._words[words + _MADE] = seq

    def done(self, cls: str, ranges: Iterable[tuple[int, int]]) -> None:
        """The broker has these, or they are given up: first and last of each range."""
        slot = self._slots.get(cls, -1)
        if slot < 0:
            return
        oldest = max(1, self._words[slot // 8 + _MADE] - SPAN + 1)
        for first, last in ranges:
            for seq in range(max(first, oldest), last + 1):
                self._bytes[self._bit(slot, seq)] |= 1 << (seq & 7)

    def dropped(self, cls: str, messages: int) -> None:
        """So many were lost here."""
        self._count(cls, _DROPPED, messages)

    def refused(self, cls: str, messages: int) -> None:
        """So many were thrown away by the broker."""
        self._count(cls, _REFUSED, messages)

    def clean(self) -> None:
        """The agent ends as it should."""
        self._words[1] = _CLEAN

    def close(self) -> None:
        """Lets go of the file, which stays for the next start."""
        if self._map is not None:
            self._use(bytearray(self._bytes))
            self._map.close()
            self._map = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _use(self, buffer: bytearray | mmap.mmap) -> None:
        self._words.release()
        self._bytes.release()
        self._bytes = memoryview(buffer)
        self._words = self._bytes.cast("Q")

    def _add(self, cls: str) -> int:
        word = cls.encode()
        used = sum(slot >= 0 for slot in self._slots.values())
        if cls in LAST_VALUES or used >= _SLOTS or len(word) > _NAME_BYTES:
            return self._slots.setdefault(cls, -1)
        slot = _HEAD_BYTES + used * _SLOT_BYTES
        self._bytes[slot : slot + len(word)] = word
        self._slots[cls] = slot
        return slot

    def _count(self, cls: str, which: int, messages: int) -> None:
        slot = self._slots.get(cls)
        if slot is None:
            slot = self._add(cls)
        if slot >= 0:
            self._words[slot // 8 + which] += messages

    @staticmethod
    def _bit(slot: int, seq: int) -> int:
        return slot + _BITS_AT + seq % _RING // 8


def name_of(prefix: str, state_dir: Path) -> str:
    """What the files of a device, with this state directory, are called."""
    return f"edge-agent-{hashlib.sha256(f'{prefix} {state_dir.resolve()}'.encode()).hexdigest()[:12]}"


def folder_in(environ: Mapping[str, str], uid: int) -> Path | None:
    """Where the files go: systemd's runtime directory, the user's, or else /dev/shm; None where all are missing."""
    named = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    places = [Path(named)] if named else []
    for folder in (*places, Path(f"/run/user/{uid}"), Path("/dev/shm")):  # noqa: S108  # what is in it is checked
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def formers(folder: Path, name: str) -> list[Former]:
    """What the former starts left that nobody has told of yet, oldest first; never more than a few."""
    try:
        paths = [path for path in folder.iterdir() if path.name.startswith(f"{name}-") and path.suffix == ".tally"]
    except OSError as error:
        log.warning("cannot read %s (%s): what a kill took along is not known", folder, error)
        return []
    found = sorted(entry for path in paths if (entry := _read(path)) is not None)
    kept = [_parse(content, path) for _, path, content in found]
    for former in kept[:-MOST_FORMER]:
        log.error("%s is one of too many: what it counted is not told", former.path)
        former.forget()
    return kept[-MOST_FORMER:]


def _read(path: Path) -> tuple[int, Path, bytes] | None:
    """Time of its making, path and content; None for what is not ours, or is still in use."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None  # a symbolic link, another user's, or gone
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
            return None
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return info.st_ctime_ns, path, os.read(fd, SIZE_BYTES + 1)
    except OSError:
        return None
    finally:
        os.close(fd)


def _parse(content: bytes, path: Path) -> Former:
    """What stands in a file; unknown, where that makes no sense."""
    if len(content) != SIZE_BYTES:
        return Former(path=path)
    words = memoryview(content).cast("Q")
    boot = content[_BOOT_AT : _BOOT_AT + _BOOT_BYTES].rstrip(b"\0")
    if words[0] != _MAGIC or words[1] not in (_RUNNING, _CLEAN) or not boot.replace(b"-", b"").isalnum():
        return Former(path=path)
    classes = {}
    for slot in range(_HEAD_BYTES, SIZE_BYTES, _SLOT_BYTES):
        word = content[slot : slot + _NAME_BYTES].rstrip(b"\0")
        if not word:
            break
        count = _count_of(content, slot, words)
        if count is None or not word.replace(b"/", b"").isalnum() or word.decode() in LAST_VALUES:
            return Former(path=path)
        classes[word.decode()] = count
    return Former(boot.decode(), "clean" if words[1] == _CLEAN else "killed", classes, path)


def _count_of(content: bytes, slot: int, words: memoryview[int]) -> Count | None:
    made, older, dropped, refused = (words[slot // 8 + which] for which in (_MADE, _OLDER, _DROPPED, _REFUSED))
    if max(made, dropped, refused) >= 2**53 or older > made:
        return None
    bits = content[slot + _BITS_AT : slot + _SLOT_BYTES]
    last = range(max(1, made - SPAN + 1), made + 1)
    still_open = frozenset(seq for seq in last if not bits[seq % _RING // 8] & 1 << (seq & 7))
    return Count(made, older, dropped, refused, still_open)
