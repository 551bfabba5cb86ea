"""The file, and what happens when it does not answer: said once, counted, tried again; what is corrupt moved aside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent.sqlite.database import FAULTS, Database, is_corrupt

log = logging.getLogger("agent.sqlite")

D = TypeVar("D", bound=Database)
T = TypeVar("T")

RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class DiskCounts:
    """How the disk is used: rows and bytes that lie there, bytes written so far, and calls that failed."""

    rows: int = 0
    bytes: int = 0
    written_bytes: int = 0
    faults: int = 0


class Disk(Generic[D]):
    """A file that may not be there; used by one thread at a time.

    Args:
        store: the file; None: there is none, ever.
        clock: monotonic seconds.
        what: is kept in it, for the log: "what waits for the broker".
        on_open: called with the file each time that it was opened or begun anew; may raise what any call to it may.
        on_size: how many rows there are, and their bytes.
        on_damage: told the name that a corrupt file has now, or nothing where it had gone; it is another one from
            then on, or lacks some rows.
        on_trouble: told in a sentence that nothing can be saved any more; an empty one when that is over.
    """

    def __init__(
        self,
        store: D | None,
        clock: Callable[[], float],
        what: str,
        *,
        on_open: Callable[[D], None],
        on_size: Callable[[D], tuple[int, int]] = lambda _store: (0, 0),
        on_damage: Callable[[str], None] = lambda _moved: None,
        on_trouble: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._what = what
        self._on_open = on_open
        self._on_size = on_size
        self._on_damage = on_damage
        self._on_trouble = on_trouble
        self._is_open = False
        self._is_readable = False
        self._was_told = False
        self._try_from_s = clock()
        self._faults = 0
        self._sums = (0, 0)

    @property
    def exists(self) -> bool:
        """There is a file, or should be."""
        return self._store is not None

    @property
    def is_open(self) -> bool:
        """As of the last call: it was opened and has not failed since."""
        return self._is_open

    def attempt(self, what: Callable[[D], T]) -> T | None:
        """What a call to the file gives; None where there is none, or where it fails."""
        return self._call(what) if self.is_usable() else None

    def look(self, what: Callable[[D], T]) -> T | None:
        """The same for a call that only reads: what is full or read-only can still be sent."""
        if not (self.is_usable() or (self._is_readable and self._store is not None and self._store.is_in_place)):
            return None
        faults = self._faults
        given = self._call(what)
        self._is_readable = self._faults == faults
        return given

    def _call(self, what: Callable[[D], T]) -> T | None:
        if self._store is None:
            return None
        try:
            given = what(self._store)
            self._sums = self._on_size(self._store)
        except FAULTS as error:
            self._failed(self._store, error)
            return None
        return given

    def took(self) -> None:
        """Something was saved: whatever was wrong is over."""
        if self._was_told:
            self._was_told = False
            log.info("%s can be saved again", self._what)
            self._on_trouble("")

    def is_usable(self) -> bool:
        """The file is open; opens it where that is due."""
        if self._store is None or self._is_open or self._clock() < self._try_from_s:
            return self._is_open
        try:
            was_open = self._store.is_in_place
            moved = "" if was_open else self._store.open()
            if self._was_told:
                self._store.prove()  # a full disk can be opened
            if not was_open:
                self._on_open(self._store)
            self._sums = self._on_size(self._store)
        except FAULTS as error:
            self._failed(self._store, error)
        else:
            self._opened(self._store, moved)
            self.took()
        return self._is_open

    def close(self) -> None:
        """The end; it may be opened again."""
        if self._store is not None and self._is_open:
            self._is_open = False
            try:
                self._store.close()
            except FAULTS as error:
                self._failed(self._store, error)

    def counts(self) -> DiskCounts:
        """As of the last call."""
        return DiskCounts(*self._sums, self._store.written_bytes if self._store else 0, self._faults)

    def _opened(self, store: D, moved: str) -> None:
        self._is_open = self._is_readable = True
        is_another, store.is_another = store.is_another, False
        if moved:
            log.error("%s: the file on the disk was corrupt; it is in %s now", self._what, moved)
            self._on_damage(moved)
        elif is_another:
            log.error("%s: the file on the disk was taken away; a new one is begun", self._what)
            self._on_damage("")

    def _failed(self, store: D, error: BaseException) -> None:
        self._faults += 1
        self._is_open = False
        self._try_from_s = self._clock() + RETRY_S
        if is_corrupt(error):
            try:
                moved = store.set_aside()
                self._on_open(store)
            except FAULTS as worse:
                error = worse
            else:
                self._opened(store, moved)
                return
        if not self._was_told:
            self._was_told = True
            log.error("cannot save %s (%s): it waits in memory, and is tried again", self._what, error)
            self._on_trouble(f"cannot save {self._what}: {error}")
