"""What must survive a restart, in SQLite: the rows of the file, used by one thread at a time.

A row is a notice (an alarm, an event or a reply, as it is sent) or a pack: neighbouring windows of one class, deflated.
Everything here does I/O and may raise :data:`agent.sqlite.FAULTS`; nothing is half done then. What to save, and when,
is judged in :mod:`agent.publish.spool`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.publish.ranges import of_pack
from agent.sqlite import FAULTS, Database

FILE_NAME = "outbox.sqlite"

ROW_OVERHEAD_BYTES = 160
"""What a row takes on disk beside its body, about."""

_COLUMNS = "boot, cls, topic, seq_first, seq_last, messages, lines, at_s, shift_s, body"
_GONE = "boot, cls, seq_first, seq_last, messages"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS owner (prefix TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rows (
    number INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL, {_COLUMNS.replace(" body", " body BLOB NOT NULL")}
);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the file.

    Attributes:
        boot: the start of the agent that made it.
        cls: delivery class.
        topic: the whole topic.
        seq_first, seq_last: what it stands for.
        messages: how many of them.
        lines: windows in a pack; 0 for a notice.
        at_s: unix time at which it was saved; a label, used to forget what is too old.
        shift_s: seconds that the clock was set by since; to be added to every time stamp in it.
        body: payload of a notice, or the deflated lines.
    """

    boot: str
    cls: str
    topic: str
    seq_first: int
    seq_last: int
    messages: int
    lines: int
    at_s: float
    shift_s: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Gone:
    """A row that was thrown away unsent: whose it was, and what it stood for."""

    boot: str
    cls: str
    seq_first: int
    seq_last: int
    messages: int


Thin = Callable[[str, bytes], tuple[bytes, int] | None]
"""Merges neighbours in a pack of a class: the pack again and its lines; None where nothing can be merged."""


class Store(Database):
    """The file ``outbox.sqlite``; nobody else may have it open."""

    def __init__(self, path: Path) -> None:
        probe = f"SELECT number, size, {_COLUMNS} FROM rows LIMIT 0"  # noqa: S608  # our own words
        super().__init__(path, _SCHEMA, probe)
        self._rescued: list[Entry] = []
        self._sums: tuple[int, int] | None = None

    def open(self) -> str:
        """Opens the file; one that was deleted or replaced is read once more, and its rows go into the new one."""
        self._rescued += self._rescue()
        moved = super().open()
        if self._rescued:
            self.add(self._rescued)
            self._rescued = []
        return moved

    def close(self) -> None:
        """Writes everything into the one file."""
        self._sums = None
        super().close()

    def adopt(self, prefix: str) -> Counter[str]:
        """From now on it is of this device; what was kept for another is thrown away, and counted by class."""
        owners = [name for (name,) in self._run("SELECT prefix FROM owner")]
        if owners == [prefix]:
            return Counter()
        found = self._run("SELECT cls, sum(messages) FROM rows GROUP BY cls") if owners else []
        with self._transaction():
            self._run("DELETE FROM owner")
            self._run("INSERT INTO owner VALUES (?)", (prefix,))
            if owners:
                self._run("DELETE FROM rows")
        return Counter(dict(found))

    def add(self, entries: Sequence[Entry]) -> list[int]:
        """Saves rows in one transaction; when this returns they are on the disk. Their numbers, which rise."""
        marks = ", ".join("?" * 11)
        with self._transaction() as db:
            return [
                db.execute(f"INSERT INTO rows (size, {_COLUMNS}) VALUES ({marks})", _values(entry)).lastrowid or 0  # noqa: S608
                for entry in entries
            ]

    def forget(self, numbers: Sequence[int]) -> int:
        """Deletes rows; how many there were."""
        with self._transaction() as db:
            return db.executemany("DELETE FROM rows WHERE number = ?", [(number,) for number in numbers]).rowcount

    def notices(self, after: int, most: int) -> list[tuple[int, Entry]]:
        """Notices with a number above ``after``, oldest first."""
        return self._entries("lines = 0 AND number > ? ORDER BY number LIMIT ?", after, most)

    def packs(self, after: int, most: int) -> list[tuple[int, Entry]]:
        """Packs with a number above ``after``, oldest first."""
        return self._entries("lines > 0 AND number > ? ORDER BY number LIMIT ?", after, most)

    def shift(self, boot: str, seconds: float) -> None:
        """The clock was set: what this boot saved carries stamps that are wrong by so much."""
        with self._transaction():
            self._run("UPDATE rows SET shift_s = shift_s + ?, at_s = at_s + ? WHERE boot = ?", (seconds, seconds, boot))

    def totals(self) -> tuple[int, int]:
        """Rows, and the bytes that they take."""
        if self._sums is None:
            ((rows, size),) = self._run("SELECT count(*), coalesce(sum(size), 0) FROM rows")
            self._sums = int(rows), int(size)
        return self._sums

    def expire(self, since_s: float, before_s: float, busy: frozenset[int]) -> list[Gone]:
        """Drops what was saved between two unix times (before the first nobody knew the time), but for what is busy."""
        found = self._run(f"SELECT number, {_GONE} FROM rows WHERE at_s BETWEEN ? AND ?", (since_s, before_s))  # noqa: S608
        old = {number: Gone(*rest) for number, *rest in found if number not in busy}
        if old:
            self.forget(list(old))
        return list(old.values())

    def thin(self, thin: Thin, most: int, busy: frozenset[int]) -> int:
        """Merges neighbours in the pack that was merged least, the oldest such; how many lines that saved."""
        found = self._run(
            "SELECT number, cls, lines, body, size FROM rows WHERE lines > 1 AND messages * 2 <= ? * lines "
            "ORDER BY messages / lines, number LIMIT 16",
            (most,),
        )
        for number, cls, lines, body, size in found:
            thinned = thin(cls, body) if number not in busy else None
            if thinned is not None and len(thinned[0]) + ROW_OVERHEAD_BYTES < size:
                with self._transaction():
                    self._run(
                        "UPDATE rows SET body = ?, lines = ?, size = ? WHERE number = ?",
                        (thinned[0], thinned[1], len(thinned[0]) + ROW_OVERHEAD_BYTES, number),
                    )
                return int(lines) - thinned[1]
        return 0

    def drop(self, busy: frozenset[int]) -> Gone | None:
        """Drops the oldest pack, or else the oldest notice, never what is on its way."""
        words = f"SELECT number, {_GONE} FROM rows ORDER BY lines = 0, number LIMIT ?"  # noqa: S608  # our own words
        for number, *rest in self._run(words, (len(busy) + 1,)):
            if number not in busy:
                self.forget([number])
                return Gone(*rest)
        return None

    def of_boot(self, boot: str) -> dict[str, set[int]]:
        """The numbers that lie here of a start of the agent, by class."""
        whole = "messages = seq_last - seq_first + 1"
        words = f"SELECT cls, seq_first, seq_last, CASE WHEN {whole} THEN x'' ELSE body END FROM rows WHERE boot = ?"  # noqa: S608
        found: dict[str, set[int]] = {}
        for cls, seq_first, seq_last, body in self._run(words, (boot,)):
            for first, last in of_pack(body) or [(seq_first, seq_last)]:
                found.setdefault(cls, set()).update(range(first, last + 1))
        return found

    def _entries(self, where: str, *values: object) -> list[tuple[int, Entry]]:
        found = self._run(f"SELECT number, {_COLUMNS} FROM rows WHERE {where}", values)  # noqa: S608  # our own words
        return [(number, Entry(*rest)) for number, *rest in found]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with super()._transaction() as db:
                yield db
        finally:
            self._sums = None

    def _rescue(self) -> list[Entry]:
        """Everything in a file that is open and has no name any more."""
        if self._db is None or self.is_in_place:
            return []
        try:
            return [entry for _, entry in self._entries("true ORDER BY number")]
        except FAULTS:
            return []


def _values(entry: Entry) -> tuple[object, ...]:
    size = len(entry.body) + ROW_OVERHEAD_BYTES
    values = (getattr(entry, name) for name in Entry.__slots__)
    return (size, *values)
