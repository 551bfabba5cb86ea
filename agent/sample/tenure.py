"""Who writes to a folder of kept frames, and for how long agents have done so: a clock that no setting moves.

The lived time is the sum of the time that agents ran on this store. It never steps and never falls, and stands still
while none runs. It is in each frame's record, and written down once an hour beside: a death without a goodbye forgets
what came after the later of the two.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from agent.errors import StorageError, UnavailableError
from agent.files import write_whole
from agent.sample.shelf import LIVED, LOCK

log = logging.getLogger("agent.sample")

LIVED_EVERY_S = 3600.0
MODE = 0o600
_FOLDER_MODE = 0o700


class Tenure:
    """Of one folder, by one process.

    Args:
        folder: made when it is not there.
        clock: monotonic seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder, self._clock = folder, clock
        self._lock: IO[bytes] | None = None
        self._base_s, self._begun_s = 0.0, clock()
        self._due_s = self._begun_s

    @property
    def is_taken(self) -> bool:
        """The folder is ours."""
        return self._lock is not None

    @property
    def lived_s(self) -> float:
        """How long agents have run on this store by now."""
        return self._base_s + self._clock() - self._begun_s

    def take(self) -> None:
        """Make the folder, and be the only one who writes to it.

        Raises:
            StorageError: it cannot be written.
            UnavailableError: another process writes to it.
        """
        self.let_go()
        try:
            self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            lock = open(self._folder / LOCK, "wb", opener=_open_own)  # noqa: SIM115  # held until let go
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise UnavailableError(f"{self._folder}: another agent keeps its frames there; stop one of them") from None
        self._lock = lock

    def let_go(self) -> None:
        """Others may write now."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def lived_at_least(self, lived_s: float) -> None:
        """What the folder says of former agents."""
        self._base_s += max(0.0, lived_s - self.lived_s)

    def note(self, *, at_once: bool = False) -> int:
        """Write the time down when an hour has passed, or at once; bytes that were written.

        A disk that refuses costs precision, a line in the log, and nothing else.
        """
        if not at_once and self._clock() < self._due_s:
            return 0
        self._due_s = self._clock() + LIVED_EVERY_S
        data = f"{self.lived_s:.1f}".encode()
        try:
            write_whole(self._folder / LIVED, data, safely=False, mode=MODE)
        except OSError as error:
            log.warning("%s: how long the agent ran cannot be written down: %s", self._folder, error.strerror)
            return 0
        return len(data)


def _open_own(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, MODE)
