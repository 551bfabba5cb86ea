"""What became of each command: one row for each ``(op, id)``, kept over a crash where it matters.

A command that was promised an answer (``accepted``) is on disk before the promise is sent, and its last reply before
that is sent; so the next start can finish what a ``kill -9`` left, and a repeated request is not carried out twice. A
file of its own, a few rows, one connection; a damaged one is moved aside. Without a folder, or when the disk fails, the
rows live in memory only.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import msgspec

from agent.records import Answer, Command

log = logging.getLogger("agent.commands")

FILE_NAME = "commands.sqlite"
MOST_ROWS = 256
MOST_AGE_S = 7 * 86400.0
MOST_DATA_BYTES = 4096
"""Longer data (a picture) is not kept for whoever asks a second time."""

OPEN = frozenset({"accepted", "running"})
NOT_KEPT = "done before; what it gave is kept no longer: ask again under another id"

Key = tuple[str, str]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
  op TEXT, id TEXT, status TEXT, code TEXT, message TEXT, data TEXT, at_s REAL, delivered INTEGER,
  PRIMARY KEY (op, id)) WITHOUT ROWID
"""
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
_NOT_OLD = "DELETE FROM commands WHERE at_s < ? AND status NOT IN ('accepted', 'running')"
_ONLY_NEWEST = "DELETE FROM commands WHERE (op, id) NOT IN (SELECT op, id FROM commands ORDER BY at_s DESC LIMIT ?)"


def key_of(command: Command) -> Key:
    """What names a command."""
    return command.op, command.id


class Ledger:
    """Used by the threads "writer" and "mqtt"; ``find`` and ``remember`` touch no disk.

    Args:
        folder: where the file lies; None: memory only.
        wall: unix time in seconds.
    """

    def __init__(self, folder: Path | None, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._rows: OrderedDict[Key, Answer] = OrderedDict()
        self._kept: set[Key] = set()
        self._awaiting: Counter[Key] = Counter()
        self._undelivered: list[Answer] = []
        self._file: sqlite3.Connection | None = None
        if folder is not None:
            self._open(folder / FILE_NAME)

    @property
    def is_lasting(self) -> bool:
        """Rows survive the process."""
        return self._file is not None

    def find(self, key: Key) -> Answer | None:
        """The last reply to a command; None for one that is new."""
        with self._lock:
            return self._rows.get(key)

    def left_open(self) -> list[Answer]:
        """Of a former life: accepted, and then nothing."""
        with self._lock:
            return [answer for answer in self._rows.values() if answer.status in OPEN]

    def undelivered(self) -> list[Answer]:
        """Of a former life: last replies that the broker may not have got."""
        return self._undelivered

    def remember(self, answer: Answer) -> None:
        """Keeps a reply in memory; the oldest beyond the bound are forgotten."""
        key = key_of(answer.command)
        with self._lock:
            self._rows[key] = _slim(answer)
            self._rows.move_to_end(key)
            while len(self._rows) > MOST_ROWS:
                self._kept.discard(self._rows.popitem(last=False)[0])

    def keep(self, answer: Answer) -> None:
        """Keeps a reply in memory and on disk, safe against power cuts when this returns."""
        self.remember(answer)
        slim = _slim(answer)
        data = msgspec.json.encode(slim.data).decode()
        self._kept.add(key_of(answer.command))
        values = (*key_of(slim.command), slim.status, slim.code, slim.message, data, self._wall())
        self._write("INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, 0)", values)

    def is_kept(self, key: Key) -> bool:
        """It is on disk."""
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
        answer = self.find(key)
        if key in self._kept and answer is not None and answer.status not in OPEN:
            self._write("UPDATE commands SET delivered = 1 WHERE op = ? AND id = ?", key)

    def close(self) -> None:
        """Lets go of the file."""
        with self._disk:
            self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, path: Path) -> None:
        try:
            self._load(path)
        except sqlite3.DatabaseError as error:
            self.close()
            if _is_passing(error) or not _move_aside(path):
                log.warning("%s: %s: commands are not remembered over a restart", path, error)
                return
            log.warning("%s: %s: moved aside, a new one is begun", path, error)
            self._retry(path)

    def _retry(self, path: Path) -> None:
        try:
            self._load(path)
        except sqlite3.DatabaseError as error:
            self.close()
            log.warning("%s: %s: commands are not remembered over a restart", path, error)

    def _load(self, path: Path) -> None:
        # Only ever one thread at a time; not always the one that opened it.
        self._file = sqlite3.connect(path, timeout=1.0, check_same_thread=False, isolation_level=None)
        for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _SCHEMA):
            self._file.execute(line)
        # An open one may look old: it was accepted before the board had learned the time.
        self._file.execute(_NOT_OLD, (self._wall() - MOST_AGE_S,))
        self._file.execute(_ONLY_NEWEST, (MOST_ROWS,))
        rows = "SELECT op, id, status, code, message, data, delivered FROM commands ORDER BY at_s"
        with closing(self._file.execute(rows)) as cursor:
            for *words, data, is_delivered in cursor:
                self._take(_read(words, data), is_delivered=bool(is_delivered))

    def _take(self, answer: Answer, *, is_delivered: bool) -> None:
        key = key_of(answer.command)
        self._rows[key] = answer
        self._kept.add(key)
        if not is_delivered and answer.status not in OPEN:
            self._undelivered.append(answer)

    def _write(self, line: str, values: Iterable[object]) -> None:
        with self._disk:
            if self._file is None:
                return
            try:
                self._file.execute(line, tuple(values))
                self._file.execute(_ONLY_NEWEST, (MOST_ROWS,))
            except sqlite3.Error as error:
                log.warning("commands are not remembered over a restart any more: %s", error)
                self._let_go()


def _slim(answer: Answer) -> Answer:
    if len(msgspec.json.encode(answer.data)) <= MOST_DATA_BYTES:
        return answer
    return Answer(answer.command, answer.status, answer.code, NOT_KEPT)


def _read(words: list[str], data: str) -> Answer:
    """A row as a reply. Raises :class:`sqlite3.DatabaseError` for one that was not written here."""
    op, name, status, code, message = words
    try:
        return msgspec.convert(
            {
                "command": {"op": op, "id": name},
                "status": status,
                "code": code,
                "message": message,
                "data": msgspec.json.decode(data),
            },
            Answer,
        )
    except (msgspec.MsgspecError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a row is damaged: {error}") from None


def _is_passing(error: sqlite3.DatabaseError) -> bool:
    """The file may be sound: the disk is full or read-only, or another process has it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING


def _move_aside(path: Path) -> bool:
    try:
        for end in ("", "-wal", "-shm"):
            part = Path(f"{path}{end}")
            if part.exists():
                part.replace(f"{path}.damaged{end}")
    except OSError:
        return False
    return True
