"""What the agent remembers of itself over a restart: blind seconds, why it ended, throttle bits seen in this boot.

One small JSON file in the state folder, ``diary.json``, written whole, and rarely: each ten minutes and
when something changes, because an SD card dies of writes. A file that is none is moved aside and begun anew. Without a
folder, or on a full disk, everything goes on and is forgotten with the process; that is said once.

Times are of the boot clock (``CLOCK_BOOTTIME``), which no setting of the wall clock moves, beside the kernel's name for
the boot that they belong to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.files import write_whole

log = logging.getLogger("agent.diary")

FILE_NAME = "diary.json"
MOST_BYTES = 64 * 1024


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept.

    Attributes:
        boot_id: the kernel's boot that the times and bits below belong to.
        marked_s: boot clock when this was written: the agent lived then.
        ended: why it ended: ``stopped``, ``memory-limit``, ...; empty: it did not say goodbye.
        blind: seconds without an answer, by cause.
        seen_bits: throttle bits that were seen set in this boot.
        planned_restarts: how often the agent ended itself because of its memory.
        restarts_in_a_row: those of them without a life of a day between.
    """

    boot_id: str = ""
    marked_s: float = 0.0
    ended: str = ""
    blind: dict[str, float] = {}
    seen_bits: int = 0
    planned_restarts: int = 0
    restarts_in_a_row: int = 0


class Diary:
    """The file; owned by the telemetry thread once it runs.

    Args:
        folder: where it lies; None: nowhere.
        on_write: told how many bytes were written.
    """

    def __init__(self, folder: Path | None, on_write: Callable[[int], None] = lambda _: None) -> None:
        self._path = folder / FILE_NAME if folder is not None else None
        self._on_write = on_write
        self._is_failing = False
        self.former = self._load()

    @property
    def is_lasting(self) -> bool:
        """What is written survives the process, as far as is known."""
        return self._path is not None and not self._is_failing

    def write(self, page: Page) -> bool:
        """Saves the page; returns whether that went well."""
        if self._path is None:
            return False
        data = msgspec.json.encode(page)
        try:
            write_whole(self._path, data)
        except OSError as error:
            if not self._is_failing:
                log.warning("%s cannot be written: %s; blind seconds are not kept", self._path, error.strerror)
            self._is_failing = True
            return False
        if self._is_failing:
            log.info("%s is written again", self._path)
        self._is_failing = False
        self._on_write(len(data))
        return True

    def _load(self) -> Page | None:
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                return _checked(msgspec.json.decode(file.read(MOST_BYTES), type=Page))
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s cannot be read: %s; what was counted before is forgotten", self._path, error.strerror)
        except (ValueError, RecursionError) as error:
            log.warning("%s is damaged (%s); it is moved aside and begun anew", self._path, error)
            self._move_aside(self._path)
        return None

    def _move_aside(self, path: Path) -> None:
        try:
            path.replace(path.with_name(f"{FILE_NAME}.corrupt"))
        except OSError as error:
            log.warning("%s cannot be moved aside: %s", path, error.strerror)


def _checked(page: Page) -> Page:
    """Raises ValueError for what no agent has written."""
    counts = (page.planned_restarts, page.restarts_in_a_row, page.seen_bits, page.marked_s, *page.blind.values())
    if min(counts) < 0 or max(counts) > 2**53 or page.seen_bits > 0xF:
        raise ValueError("a count is not within what can be counted")
    return page
