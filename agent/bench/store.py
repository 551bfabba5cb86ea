"""The result on disk: whole or not at all, tried before the run begins, kept up to date while it runs."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from agent.bench.result import MOST_BYTES, Result, decode, encode
from agent.errors import StorageError

log = logging.getLogger("agent.bench")

LEAST_PAUSE_S = 10.0
SHARE_OF_RUN = 0.05
"""A long soak is written ever more rarely: what is lost by a kill is at most this share of it."""


class ResultFile:
    """One result in one file.

    Args:
        path: where; a file that is there is written over.
        clock: monotonic seconds.

    Raises:
        StorageError: nothing can be written there.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path, self._clock = path, clock
        self._begun_s = clock()
        self._due_s = self._begun_s
        self._has_failed = False
        if path.is_dir():
            raise StorageError(f"{path}: is a folder; name a file in it (--out {path / 'result.json'})")
        try:
            write(path.with_name(f"{path.name}.part"), b"{}\n")
            path.with_name(f"{path.name}.part").unlink()
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}; name another with --out") from None

    def partial(self, make: Callable[[], Result]) -> None:
        """Keep the result so far, when that is due; a disk that refuses is told once and the run goes on."""
        now_s = self._clock()
        if now_s < self._due_s:
            return
        self._due_s = now_s + max(LEAST_PAUSE_S, SHARE_OF_RUN * (now_s - self._begun_s))
        try:
            write(self.path, encode(make()))
        except OSError as error:
            if not self._has_failed:
                log.warning("%s: the result so far cannot be kept: %s", self.path, error.strerror)
            self._has_failed = True

    def final(self, result: Result) -> None:
        """Keep the result.

        Raises:
            StorageError: the disk refuses; what was kept before stays.
        """
        try:
            write(self.path, encode(result), safely=True)
        except OSError as error:
            raise StorageError(f"{self.path}: the result cannot be written: {error.strerror}") from None


def write(path: Path, data: bytes, *, safely: bool = False) -> None:
    """Write beside the place, then move there: a reader and a kill find the old or the new, never a half.

    Args:
        path: where.
        data: what.
        safely: wait until the disk has it.

    Raises:
        OSError: the disk refuses; nothing is left behind.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb", opener=_open_own) as file:  # Path.open takes no opener
            file.write(data)
            if safely:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _open_own(path: str, flags: int) -> int:
    # In a folder that others may write to, a link of this name would lead anywhere.
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def read(path: Path) -> Result:
    """A result from a file.

    Raises:
        StorageError: it cannot be read, or is no result.
    """
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise StorageError(f"{path}: is larger than any result ({MOST_BYTES >> 20} MiB)")
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    return decode(data, str(path))
