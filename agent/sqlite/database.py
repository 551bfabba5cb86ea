"""One file of SQLite in WAL mode, used by one thread at a time.

Everything here does I/O and may raise :data:`FAULTS`; nothing is half done then.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.sqlite import wal

FAULTS = (sqlite3.Error, OSError)
"""A full disk, a read-only one, a file that is none of ours: what any call may raise."""

_PAGE_BYTES = 1024
"""Small pages: a commit of one short row writes three of them."""

_WAL_BYTES = 2**20
_KEPT_ASIDE = 3
_ROOM_BYTES = 2**16
_ROOM = "CREATE TABLE IF NOT EXISTS room (filler BLOB NOT NULL);"
_BUSY_S = 1.0


class Database:
    """A file whose tables a subclass knows.

    Args:
        path: where it lies; ``-wal`` beside it is its log.
        schema: statements that make the tables where they are missing.
        probe: a query that only a file with our columns answers.
        is_exclusive: nobody else may have it open: no shared memory file, and a second agent on the same folder is
            refused instead of mixed in.

    Attributes:
        written_bytes: handed to the file system so far: the log's growth, and the pages moved from there.
        is_another: :meth:`open` found another file than before: what was known of its rows means nothing any more.
            Whoever has seen that resets it.
    """

    def __init__(self, path: Path, schema: str, probe: str, *, is_exclusive: bool = True) -> None:
        self.written_bytes = 0
        self.is_another = False
        self._path = path
        self._schema, self._probe = _ROOM + schema, probe
        self._is_exclusive = is_exclusive
        self._place: tuple[int, int] | None = None
        self._wal = path.with_name(path.name + "-wal")
        self._wal_bytes = 0
        self._db: sqlite3.Connection | None = None

    def open(self) -> str:
        """Opens the file, or makes it; what is corrupt is moved aside. The name of what was moved, or nothing."""
        before = self._place
        # the new file may well get the number of the old one
        self.is_another = self.is_another or (self._db is not None and not self.is_in_place)
        self.close()
        moved = self._open()
        self.is_another = self.is_another or (before is not None and before != self._place)
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
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def let_go(self) -> None:
        """Closes it, come what may."""
        with suppress(*FAULTS):
            self.close()

    def prove(self) -> None:
        """Writes as much as a batch of rows takes, and takes it back: whether there is room for more than a page."""
        with self._transaction():
            self._run("INSERT INTO room VALUES (zeroblob(?))", (_ROOM_BYTES,))
        with self._transaction():
            self._run("DELETE FROM room")

    @property
    def is_in_place(self) -> bool:
        """It is open, and the file of its name is still the same one."""
        return self._db is not None and self._look() == self._place

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
            if db.in_transaction:
                db.execute("ROLLBACK")
        self._count_written()

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

    def _connect(self) -> int:
        """Opens and checks the file; how many frames SQLite found in the log."""
        busy_s, mode = (0.0, "EXCLUSIVE") if self._is_exclusive else (_BUSY_S, "NORMAL")
        with ExitStack() as undo:
            undo.callback(self.let_go)
            # the thread that uses it may die and be started again, as another one
            self._db = db = sqlite3.connect(self._path, timeout=busy_s, isolation_level=None, check_same_thread=False)
            db.text_factory = lambda text: text.decode(errors="replace")  # garbled words are refused one by one
            for pragma in (f"page_size = {_PAGE_BYTES}", f"locking_mode = {mode}", "journal_mode = WAL"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            for pragma in ("synchronous = FULL", "wal_autocheckpoint = 0", "mmap_size = 0"):
                db.execute(f"PRAGMA {pragma}").fetchall()
            ((_, frames, _),) = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            verdict = db.execute("PRAGMA quick_check(1)").fetchall()
            if verdict != [("ok",)]:
                raise sqlite3.DatabaseError(f"malformed: {verdict[0][0]}")
            db.executescript(self._schema)
            db.execute(self._probe)
            self._place = self._look()
            undo.pop_all()
        return int(frames)

    def _look(self) -> tuple[int, int] | None:
        try:
            info = self._path.stat()
        except OSError:
            return None
        return info.st_dev, info.st_ino

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
