"""What must survive a restart, in SQLite: one connection in WAL mode, used by one thread at a time.

A row is a notice (an alarm, an event or a reply, as it is sent) or a pack: neighbouring windows of one class, deflated.
Everything here does I/O and may raise :data:`FAULTS`; nothing is half done then. What to save, and when, is judged in
:mod:`agent.publish.spool`.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.publish import wal
from agent.publish.ranges import of_pack

FILE_NAME = "outbox.sqlite"
FAULTS = (sqlite3.Error, OSError)
"""A full disk, a read-only one, a file that is none of ours: what any call may raise."""

ROW_OVERHEAD_BYTES = 160
"""What a row takes on disk beside its body, about."""

_PAGE_BYTES = 1024
"""Small pages: a commit of one alarm writes three of them."""

_WAL_BYTES = 2**20
_KEPT_ASIDE = 3
_ROOM_BYTES = 2**16
_COLUMNS = "boot, cls, topic, seq_first, seq_last, messages, lines, at_s, shift_s, body"
_GONE = "boot, cls, seq_first, seq_last, messages"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS room (filler BLOB NOT NULL);
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


class Store:
    """The file ``outbox.sqlite``.

    Attributes:
        written_bytes: handed to the file system so far: the log's growth, and the pages moved from there.
        is_another: :meth:`open` found another file than before: numbers of rows mean nothing any more. Whoever has
            seen that resets it.
    """

    def __init__(self, path: Path) -> None:
        self.written_bytes = 0
        self.is_another = False
        self._path = path
        self._place: tuple[int, int] | None = None
        self._rescued: list[Entry] = []
        self._wal = path.with_name(path.name + "-wal")
        self._wal_bytes = 0
        self._sums: tuple[int, int] | None = None
        self._db: sqlite3.Connection | None = None

    def open(self) -> str:
        """Opens the file, or makes it; what is corrupt is moved aside. The name of what was moved, or nothing.

        What was deleted or replaced while it was open is read once more, and goes into the new one.
        """
        before = self._place
        # the new file may well get the number of the old one
        self.is_another = self.is_another or (self._db is not None and not self.is_in_place)
        self._rescued += self._rescue()
        self.close()
        moved = self._open()
        self.is_another = self.is_another or (before is not None and before != self._place)
        if self._rescued:
            self.add(self._rescued)
            self._rescued = []
        return moved

    def _open(self) -> str:
        seen = wal.look(self._wal)
        try:
            read = self._connect()
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            return self.set_aside()
        moved = ""
        if seen.garbled or read < seen.committed:
            moved = f"{self._aside().name}-wal"
            shutil.copyfile(self._wal, self._path.with_name(moved))
        self._checkpoint()
        return moved

    def set_aside(self) -> str:
        """Moves the file and its log aside and begins with an empty one; the name that it has now."""
        self.close()
        aside = self._aside()
        for suffix in ("", "-wal"):
            source = self._path.with_name(self._path.name + suffix)
            if source.exists():
                source.replace(aside.with_name(aside.name + suffix))
        self._connect()
        return aside.name

    def close(self) -> None:
        """Writes everything into the one file."""
        db, self._db, self._sums = self._db, None, None
        if db is not None:
            db.close()

    def let_go(self) -> None:
        """Closes it, come what may."""
        with suppress(*FAULTS):
            self.close()

    def prove(self) -> None:
        """Writes as much as a batch of windows takes, and takes it back: whether there is room for more than a page."""
        with self._transaction():
            self._run("INSERT INTO room VALUES (zeroblob(?))", (_ROOM_BYTES,))
        with self._transaction():
            self._run("DELETE FROM room")

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

    def _run(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        return self._open_db().execute(statement, tuple(values)).fetchall()

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the file is not open")
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open_db()
        if not self.is_in_place:  # SQLite itself writes on into a file that nobody will ever find again
            raise FileNotFoundError(errno.ENOENT, "deleted or replaced by somebody else", str(self._path))
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        finally:
            self._sums = None
            if db.in_transaction:
                db.execute("ROLLBACK")
        self._count_written()

    def _connect(self) -> int:
        """Opens and checks the file; how many frames SQLite found in the log."""
        with ExitStack() as undo:
            undo.callback(self.let_go)
            # the thread that uses it may die and be started again, as another one
            self._db = db = sqlite3.connect(self._path, timeout=0.0, isolation_level=None, check_same_thread=False)
            db.text_factory = lambda text: text.decode(errors="replace")  # garbled words are refused one by one
            # exclusive: no shared memory file, and a second agent on the same folder is refused instead of mixed in
            for pragma in (f"page_size = {_PAGE_BYTES}", "locking_mode = EXCLUSIVE", "journal_mode = WAL"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            for pragma in ("synchronous = FULL", "wal_autocheckpoint = 0", "mmap_size = 0"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            ((_, frames, _),) = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            verdict = db.execute("PRAGMA quick_check(1)").fetchall()
            if verdict != [("ok",)]:
                raise sqlite3.DatabaseError(f"malformed: {verdict[0][0]}")
            db.executescript(_SCHEMA)
            db.execute(f"SELECT number, size, {_COLUMNS} FROM rows LIMIT 0")  # noqa: S608  # our own words
            self._place = self._look()
            undo.pop_all()
        return int(frames)

    def _look(self) -> tuple[int, int] | None:
        try:
            info = self._path.stat()
        except OSError:
            return None
        return info.st_dev, info.st_ino

    @property
    def is_in_place(self) -> bool:
        """It is open, and the file of its name is still the same one."""
        return self._db is not None and self._look() == self._place

    def _rescue(self) -> list[Entry]:
        """Everything in a file that is open and has no name any more."""
        if self._db is None or self.is_in_place:
            return []
        try:
            return [entry for _, entry in self._entries("true ORDER BY number")]
        except FAULTS:
            return []

    def _count_written(self) -> None:
        size = self._wal.stat().st_size if self._wal.exists() else 0
        self.written_bytes += max(0, size - self._wal_bytes)
        self._wal_bytes = size
        if size > _WAL_BYTES:
            self._checkpoint()

    def _checkpoint(self) -> None:
        seen = wal.look(self._wal)
        self._open_db().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.written_bytes += len(seen.pages) * seen.page_bytes
        self._wal_bytes = self._wal.stat().st_size if self._wal.exists() else 0

    def _aside(self) -> Path:
        """A name that is free; of four the oldest goes, or a disk that garbles everything would be filled with them."""
        stem = f"{self._path.name}.corrupt-"
        taken = [path.name.removeprefix(stem).partition("-")[0] for path in self._path.parent.glob(f"{stem}*")]
        number = max((int(word) for word in taken if word.isdecimal()), default=0) + 1
        for suffix in ("", "-wal"):
            self._path.with_name(f"{stem}{number - _KEPT_ASIDE}{suffix}").unlink(missing_ok=True)
        return self._path.with_name(f"{stem}{number}")


def is_corrupt(error: BaseException) -> bool:
    """The file's content is broken, and not only its disk."""
    text = str(error)
    return isinstance(error, sqlite3.DatabaseError) and any(
        words in text for words in ("malformed", "not a database", "no such column", "no such table")
    )


def _values(entry: Entry) -> tuple[object, ...]:
    size = len(entry.body) + ROW_OVERHEAD_BYTES
    values = (getattr(entry, name) for name in Entry.__slots__)
    return (size, *values)
