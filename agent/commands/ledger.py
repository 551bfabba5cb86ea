"""What became of each command: one row for each ``(op, id)``, kept over a crash where it matters.

A command that was promised an answer (``accepted``) is on disk before the promise is sent, and its last reply before
that is sent; so the next start can finish what a ``kill -9`` left, and a repeated request is not carried out twice. A
file of its own, a few rows. While the disk is full, read-only or gone the rows live in memory, and are saved once it
is well; a corrupt file is moved aside and written anew from memory. Without a folder they live in memory only.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.commands.rows import MOST_ROWS, Row, Rows
from agent.records import Answer, Command
from agent.sqlite import Disk

FILE_NAME = "commands.sqlite"
MOST_DATA_BYTES = 4096
"""Longer data (a picture) is not kept for whoever asks a second time."""

OPEN = frozenset({"accepted", "running"})
NOT_KEPT = "done before; what it gave is kept no longer: ask again under another id"

Key = tuple[str, str]


@dataclass(slots=True)
class _Kept:
    """What is to be on disk of a row beside its reply; ``is_saved``: as it stands here."""

    at_s: float
    is_delivered: bool = False
    is_saved: bool = False


def key_of(command: Command) -> Key:
    """What names a command."""
    return command.op, command.id


class Ledger:
    """Used by the threads "writer" and "mqtt"; ``find`` and ``remember`` touch no disk.

    Args:
        folder: where the file lies; None: memory only.
        wall: unix time in seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self, folder: Path | None, wall: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._rows: OrderedDict[Key, Answer] = OrderedDict()
        self._kept: dict[Key, _Kept] = {}
        self._awaiting: Counter[Key] = Counter()
        self._former: set[Key] = set()
        self._undelivered: list[Answer] = []
        self._is_over = False
        rows = Rows(folder / FILE_NAME) if folder is not None else None
        self._disk = Disk(rows, clock, "what became of commands", on_open=self._read)
        self.save()

    @property
    def is_lasting(self) -> bool:
        """All that is to be kept survives the process."""
        return self.save()

    @property
    def is_behind(self) -> bool:
        """The disk does not take what is to be kept: :meth:`save` is to be tried again."""
        if not self._disk.exists or self._is_over:
            return False
        with self._lock:
            return not (self._disk.is_open and all(kept.is_saved for kept in self._kept.values()))

    def find(self, key: Key) -> Answer | None:
        """The last reply to a command; None for one that is new."""
        with self._lock:
            return self._rows.get(key)

    def left_open(self) -> list[Answer]:
        """Of a former life: accepted, and then nothing."""
        with self._lock:
            return [answer for key, answer in self._rows.items() if key in self._former and answer.status in OPEN]

    def take_undelivered(self) -> list[Answer]:
        """Of a former life: last replies that the broker may not have got; each is given once."""
        with self._lock:
            taken, self._undelivered = self._undelivered, []
        return taken

    def remember(self, answer: Answer) -> None:
        """Keeps a reply in memory; the oldest beyond the bound are forgotten."""
        with self._lock:
            self._put(answer)

    def keep(self, answer: Answer) -> None:
        """Keeps a reply in memory and on disk, safe against power cuts when this returns, unless the disk refuses."""
        with self._lock:
            self._kept[self._put(answer)] = _Kept(self._wall())
        self.save()

    def is_kept(self, key: Key) -> bool:
        """It is on disk, or is to be."""
        return key in self._kept

    def sent(self, key: Key) -> None:
        """A reply is on its way to the broker."""
        with self._lock:
            self._awaiting[key] += 1

    def delivered(self, key: Key) -> None:
        """The broker acknowledged a reply; after the last one there is nothing to say again at the next start."""
        with self._lock:
            self._awaiting[key] -= 1
            if self._awaiting[key] > 0:
                return
            del self._awaiting[key]
            answer, kept = self._rows.get(key), self._kept.get(key)
            if kept is None or answer is None or answer.status in OPEN:
                return
            self._kept[key] = _Kept(kept.at_s, is_delivered=True)
        self.save()

    def save(self) -> bool:
        """Puts on the disk what is not there yet; whether it has all of it now.

        A file that could not be opened is opened where that is due, and what a former life left is read.
        """
        with self._saving:
            if self._is_over or not self._disk.is_usable():
                return False
            with self._lock:
                fresh = {key: kept for key, kept in self._kept.items() if not kept.is_saved}
                rows = [Row(self._rows[key], kept.at_s, kept.is_delivered) for key, kept in fresh.items()]
            if rows and self._disk.attempt(lambda file: file.put(rows)) is None:
                return False
            for kept in fresh.values():
                kept.is_saved = True
            return True

    def close(self) -> None:
        """Lets go of the file, for good."""
        with self._saving:
            self._is_over = True
            self._disk.close()

    def _put(self, answer: Answer) -> Key:
        key = key_of(answer.command)
        self._rows[key] = _slim(answer)
        self._rows.move_to_end(key)
        self._former.discard(key)
        self._trim()
        return key

    def _trim(self) -> None:
        while len(self._rows) > MOST_ROWS:
            self._kept.pop(self._rows.popitem(last=False)[0], None)

    def _read(self, file: Rows) -> None:
        """The file was opened: what it alone knows is taken in, what it lacks is to be saved."""
        found = {key_of(row.answer.command): row for row in file.read(self._wall())}
        with self._lock:
            for key, kept in self._kept.items():
                kept.is_saved = kept.is_saved and key in found
            unknown = {key: row for key, row in found.items() if key not in self._rows}
            for key, row in reversed(unknown.items()):  # older than all that this life has done
                self._rows[key] = row.answer
                self._rows.move_to_end(key, last=False)
                self._kept[key] = _Kept(row.at_s, row.is_delivered, is_saved=True)
            self._former |= unknown.keys()
            waiting = (row.answer for row in unknown.values() if not row.is_delivered)
            self._undelivered += [answer for answer in waiting if answer.status not in OPEN]
            self._trim()


def _slim(answer: Answer) -> Answer:
    if len(msgspec.json.encode(answer.data)) <= MOST_DATA_BYTES:
        return answer
    return Answer(answer.command, answer.status, answer.code, NOT_KEPT)
