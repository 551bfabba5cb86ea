"""The result on disk: whole or not at all, tried before the run begins, kept up to date while it runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

from agent.bench.result import MOST_BYTES, Result, decode, encode
from agent.errors import StorageError
from agent.files import write_whole

log = logging.getLogger("agent.bench")

LEAST_PAUSE_S = 10.0
SHARE_OF_RUN = 0.05
"""A long soak is written ever more rarely: what is lost by a kill is at most this share of it."""

_BEGIN = re.compile(rb'\s*\{\s*"format"\s*:\s*"edge-agent-(bench|sweep)/')


class ResultFile:
    """One result in one file.

    Args:
        path: where; a file that is there is written over (:func:`is_strange` says whether it may be).
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
            write_whole(path.with_name(f"{path.name}.part"), b"{}\n", safely=False)
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
            write_whole(self.path, encode(make()), safely=False)
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
            write_whole(self.path, encode(result))
        except OSError as error:
            raise StorageError(f"{self.path}: the result cannot be written: {error.strerror}") from None


def is_strange(path: Path) -> bool:
    """Whether a file lies there that is no result, whole or partial, of a run or a sweep; an empty one is nobody's.

    Raises:
        StorageError: it cannot be looked into.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            begin = file.read(200)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}; name another with --out") from None
    return bool(begin) and _BEGIN.match(begin) is None


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
