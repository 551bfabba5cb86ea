"""The number of the connection, kept over restarts: will and birth carry the same one.

A file of a few bytes, written whole, once for each connection that came about: a kill leaves the old or the new number.
It is not waited for, on the thread that talks to the broker: a power cut may lose it. A lost file starts at 1 again,
which a reader survives: it compares ``boot`` and ``conn`` for being equal.
"""

from __future__ import annotations

import logging
from pathlib import Path

from agent.files import write_whole

log = logging.getLogger("agent.publish")

FILE_NAME = "mqtt-conn"


class ConnCounter:
    """Counts connections; in ``state_dir`` when there is one, else from ``last`` in memory."""

    def __init__(self, state_dir: Path | None = None, last: int = 0) -> None:
        self._path = state_dir / FILE_NAME if state_dir else None
        self._last = max(last, self._read())

    @property
    def next(self) -> int:
        """The number for the next attempt; the same one until :meth:`used`."""
        return self._last + 1

    @property
    def is_first(self) -> bool:
        """No connection is known of, of this start or a former one."""
        return self._last == 0

    def used(self) -> None:
        """The broker took the connection: its number is spent."""
        self._last += 1
        if self._path is not None:
            self._write(self._path)

    def _read(self) -> int:
        try:
            return max(0, int(self._path.read_text())) if self._path else 0
        except (OSError, ValueError):
            return 0

    def _write(self, path: Path) -> None:
        try:
            write_whole(path, f"{self._last}\n".encode(), safely=False)
        except OSError as error:
            log.warning("cannot keep the connection number in %s (%s): it starts anew with the agent", path, error)
            self._path = None
