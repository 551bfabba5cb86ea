"""The kept frames on disk: bounded by bytes, age and free space; a kill, a power cut or a full disk tears none.

A frame is two files, a JPEG and a record, each written beside and moved in place, the record last: it is what makes a
frame. There is no index: it is read from the records at the start, and a card is not worn by writing one anew for each
frame. Nothing of a picture is written that the privacy policy does not allow, to no file of whatever name.

One thread owns a store, "writer" in the service; one process at a time may write to a folder. Readers need nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agent.config import SampleConfig
from agent.errors import StorageError
from agent.files import write_whole
from agent.sample import record as records
from agent.sample import shelf
from agent.sample.cover import Cover
from agent.sample.describe import Rules, Taken, When, describe
from agent.sample.record import Record
from agent.sample.retention import Held, age_s, first_to_go
from agent.sample.sampler import Remembered
from agent.sample.shelf import PICTURE, RECORD
from agent.sample.tenure import MODE, Tenure

log = logging.getLogger("agent.sample")

_LAST_NUMBER = 99_999_999


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write to the disk of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Store:
    """Opened by :meth:`open`; used by one thread.

    Args:
        folder: where; made when it is not there.
        config: its bounds.
        rules: how frames are described, and what of them may be written.
        clock: monotonic seconds.
        wall: unix seconds; None while the board does not know the time, and for a while after the clock was set.
        free: free bytes of a folder's disk.

    Attributes:
        written_bytes_total: all that was written to the disk, as files count it.
        given_up_total: frames that went for age, bytes or room.
    """

    def __init__(
        self,
        folder: Path,
        config: SampleConfig,
        rules: Rules,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float | None],
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._folder, self._config, self._rules = folder, config, rules
        self._wall, self._free = wall, free
        self._tenure = Tenure(folder, clock)
        self._held: dict[str, Held] = {}
        self._cover = Cover(config.coverage_frames)
        self._next = 1
        self.written_bytes_total = 0
        self.given_up_total = 0

    @property
    def size_bytes(self) -> int:
        """Of all kept frames."""
        return sum(held.size_bytes for held in self._held.values())

    @property
    def names(self) -> list[str]:
        """Of all kept frames, in the order taken."""
        return sorted(self._held)

    @property
    def lived_s(self) -> float:
        """How long agents have run on this store by now; never falls, whatever the clocks do."""
        return self._tenure.lived_s

    def open(self) -> list[Remembered]:
        """Take the folder over, clear what a dead writer left, and keep to the bounds; what is kept, for the sampler.

        Raises:
            StorageError: it cannot be written or read.
            UnavailableError: another process writes to it.
        """
        self._tenure.take()
        kept = self._read()
        self._shrink_to(self._config.max_bytes)
        return [self._remembered(record) for record in kept if record.name in self._held]

    def close(self) -> None:
        """Write down how long the agent ran, and let go of the folder; nothing where it is not open."""
        if self._tenure.is_taken:
            self.written_bytes_total += self._tenure.note(at_once=True)
            self._tenure.let_go()

    def put(self, taken: Taken) -> str:
        """Keep a frame, as far as the privacy policy allows; its name, or nothing where that is ``off``.

        Raises:
            StorageError: there is no room, or the disk refuses; nothing of the frame is left behind.
        """
        if self._rules.privacy.mode == "off":
            return ""
        record, jpeg = describe(taken, self._rules, self._next, When(self.lived_s, self._wall()))
        data = records.encode(record)
        self._make_room(len(data) + len(jpeg))
        try:
            self._write(record.name, jpeg, data)
        except FileNotFoundError:
            self._start_over()
            self._write_or_say(record.name, jpeg, data)
        except OSError as error:
            raise self._refused(error) from None
        self._take(record, len(data) + len(jpeg))
        self._next = min(self._next + 1, _LAST_NUMBER)
        return record.name

    def expire(self) -> int:
        """Remove what is too old, and what a disk without room asks for; how many. To be called each few minutes.

        Raises:
            StorageError: the disk refuses.
        """
        before = self.given_up_total
        self.written_bytes_total += self._tenure.note()
        self._forget_missing()
        self._expire()
        self._shrink_to(self._config.max_bytes)
        self._free_room(0)
        return self.given_up_total - before

    def _write(self, name: str, jpeg: bytes, data: bytes) -> None:
        """Both files, the record last; neither, when the disk refuses."""
        record, picture = self._folder / f"{name}{RECORD}", self._folder / f"{name}{PICTURE}"
        try:
            if jpeg:
                write_whole(picture, jpeg, mode=MODE)
                self.written_bytes_total += len(jpeg)
            write_whole(record, data, mode=MODE)
        except OSError:
            with contextlib.suppress(OSError):
                record.unlink(missing_ok=True)
                picture.unlink(missing_ok=True)
            raise
        self.written_bytes_total += len(data)

    def _write_or_say(self, name: str, jpeg: bytes, data: bytes) -> None:
        try:
            self._write(name, jpeg, data)
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(f"{self._folder}: a frame cannot be kept: {error.strerror}")

    def _take(self, record: Record, size_bytes: int) -> None:
        self._held[record.name] = Held(record.name, record.why[0], size_bytes, record.lived_s, record.wall_s)
        vector = records.vector(record)
        if len(vector) and np.isfinite(vector).all():
            self._cover.add(record.name, vector)

    def _make_room(self, size_bytes: int) -> None:
        most = self._config.max_bytes
        if size_bytes > most:
            raise StorageError(f"{self._folder}: a frame of {size_bytes} bytes is more than sample.max_bytes ({most})")
        self._expire()
        if self.size_bytes + size_bytes > most:
            self._forget_missing()
            self._shrink_to(most - size_bytes)
        self._free_room(size_bytes)
        short = self._short_of(size_bytes)
        if short > 0:
            raise StorageError(f"{self._folder}: {short} bytes short of what sample.min_free_bytes keeps free")

    def _free_room(self, size_bytes: int) -> None:
        """Give up as much as is missing of the free space, and no more at a time: freed room may show up later."""
        short = self._short_of(size_bytes)
        if short > 0:
            self._shrink_to(self.size_bytes - short)

    def _shrink_to(self, most: int) -> None:
        while self._held and self.size_bytes > most:
            held = first_to_go(self._held.values(), self._cover.tags)
            if held is not None:
                self._give_up(held.name)

    def _short_of(self, size_bytes: int) -> int:
        try:
            return self._config.min_free_bytes + size_bytes - self._free(self._folder)
        except FileNotFoundError:
            return 0  # the folder was removed: it is made anew when the frame is written
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot be read: {error.strerror}") from None

    def _expire(self) -> None:
        lived_s, wall_s = self.lived_s, self._wall()
        for held in list(self._held.values()):
            if age_s(held, lived_s, wall_s) > self._config.max_age_s:
                self._give_up(held.name)

    def _forget_missing(self) -> None:
        """Frames that a person removed: `samples purge` needs no running agent, and asks none."""
        try:
            there = set(os.listdir(self._folder))  # noqa: PTH208  # names alone
        except OSError:
            return
        for name in [name for name in self._held if f"{name}{RECORD}" not in there]:
            del self._held[name]
            self._cover.drop(name)

    def _give_up(self, name: str) -> None:
        """The record first: without it there is no frame, and a kill before the rest leaves a picture to clear."""
        self._remove(f"{name}{RECORD}", f"{name}{PICTURE}")
        self._held.pop(name, None)
        self._cover.drop(name)
        self.given_up_total += 1

    def _remove(self, *names: str) -> None:
        for name in names:
            try:
                (self._folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"{self._folder / name}: cannot be removed: {error.strerror}") from None

    def _read(self) -> list[Record]:
        """What is there, once what a dead writer or a failing disk left is cleared and what is too old is gone."""
        found = shelf.read(self._folder)
        for name, fault in found.damaged.items():
            log.warning("kept frame %s is damaged and removed: %s", name, fault)
            self._remove(f"{name}{RECORD}", f"{name}{PICTURE}")
        self._remove(*(f"{name}{PICTURE}" for name in found.orphans), *found.left_over)
        self._held.clear()
        self._cover = Cover(self._config.coverage_frames)
        for kept in found.kept:
            self._take(kept.record, kept.size_bytes)
        self._tenure.lived_at_least(found.lived_s)
        numbers = [int(name.partition("-")[0]) for name in (*self._held, *found.damaged)]
        self._next = min(max([self._next - 1, *numbers]) + 1, _LAST_NUMBER)
        self._expire()
        return [kept.record for kept in found.kept]

    def _remembered(self, record: Record) -> Remembered:
        return Remembered(record.why[0], self.lived_s - record.lived_s, records.tiles(record), records.vector(record))

    def _start_over(self) -> None:
        """The folder was taken away under us: what was in it is gone, and how long agents ran on it is not."""
        log.warning("%s was removed; it is made anew", self._folder)
        self._tenure.take()
        self._read()
