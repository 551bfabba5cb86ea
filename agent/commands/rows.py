"""The rows of ``commands.sqlite``. Everything here does I/O and may raise :data:`agent.sqlite.FAULTS`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.records import Answer
from agent.sqlite import Database

MOST_ROWS = 256
MOST_AGE_S = 7 * 86400.0

_COLUMNS = "op, id, status, code, message, data, at_s, delivered"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
  op TEXT, id TEXT, status TEXT, code TEXT, message TEXT, data TEXT, at_s REAL, delivered INTEGER,
  PRIMARY KEY (op, id)) WITHOUT ROWID;
"""
_NOT_OLD = "DELETE FROM commands WHERE at_s < ? AND status NOT IN ('accepted', 'running')"
_ONLY_NEWEST = "DELETE FROM commands WHERE (op, id) NOT IN (SELECT op, id FROM commands ORDER BY at_s DESC LIMIT ?)"


@dataclass(frozen=True, slots=True)
class Row:
    """The last reply to a command, when it was saved (unix seconds), and whether the broker has it."""

    answer: Answer
    at_s: float
    is_delivered: bool


class Rows(Database):
    """The file; at most :data:`MOST_ROWS` of the newest, none older than :data:`MOST_AGE_S`."""

    def __init__(self, path: Path) -> None:
        probe = f"SELECT {_COLUMNS} FROM commands LIMIT 0"  # noqa: S608  # our own words
        super().__init__(path, _SCHEMA, probe, is_exclusive=False)

    def put(self, rows: Sequence[Row]) -> int:
        """Saves rows in one transaction; when this returns they are on the disk. How many they were."""
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_values, rows))
            db.execute(_ONLY_NEWEST, (MOST_ROWS,))
        return len(rows)

    def read(self, wall_s: float) -> list[Row]:
        """All rows, the oldest first; what is too old at this unix time is thrown away."""
        with self._transaction() as db:
            # An open one may look old: it was accepted before the board had learned the time.
            db.execute(_NOT_OLD, (wall_s - MOST_AGE_S,))
            db.execute(_ONLY_NEWEST, (MOST_ROWS,))
        return [_read(row) for row in self._run(f"SELECT {_COLUMNS} FROM commands ORDER BY at_s")]  # noqa: S608


def _values(row: Row) -> tuple[object, ...]:
    answer = row.answer
    data = msgspec.json.encode(answer.data).decode()
    words = (answer.command.op, answer.command.id, answer.status, answer.code, answer.message, data)
    return (*words, row.at_s, int(row.is_delivered))


def _read(row: tuple[str, str, str, str, str, str, float, int]) -> Row:
    """A row as a reply. Raises :class:`sqlite3.DatabaseError` for one that was not written here."""
    op, name, status, code, message, data, at_s, is_delivered = row
    try:
        plain = {"command": {"op": op, "id": name}, "status": status, "code": code, "message": message}
        answer = msgspec.convert(plain | {"data": msgspec.json.decode(data)}, Answer)
        return Row(answer, float(at_s), bool(is_delivered))
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(f"malformed row: {error}") from None
