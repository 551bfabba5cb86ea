"""What is known of the light, on the board's disk: read once, written when it changes, and again when that failed.

A folder that cannot be written costs what survives a restart, never the work at hand; it is said once, and once again
when it is over. What is damaged is said, removed and begun anew. Not for more than one thread at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.errors import ModelError, StorageError
from agent.recalibrate import reference
from agent.recalibrate.levels import Light
from agent.recalibrate.reference import KeptCorrection

log = logging.getLogger("agent.light")

RETRY_S = 60.0

T = TypeVar("T")


class Shelf:
    """The three files of :mod:`agent.recalibrate.reference`.

    Args:
        state: the agent's folder; None: nothing is kept.
        clock: monotonic seconds.
    """

    def __init__(self, state: Path | None, clock: Callable[[], float]) -> None:
        self._state, self._clock = state, clock
        self._waiting: dict[str, Callable[[], object]] = {}
        self._retry_s = 0.0
        self._is_told = self._is_failing = False

    def light(self) -> Light | None:
        """The reference; None where none is known."""
        return self._read("light", reference.read_light, reference.forget_light)

    def part(self) -> Light | None:
        """What of it was learned before; None: nothing."""
        return self._read("part", lambda state: reference.read_light(state, reference.PART_NAME), _forget_part)

    def correction(self) -> KeptCorrection | None:
        """The correction that was in force; None: none was."""
        return self._read("correction", reference.read_correction, reference.forget_correction)

    def keep_light(self, light: Light) -> None:
        """The reference is known."""

        def step(state: Path) -> None:
            reference.write_light(state, light)
            _forget_part(state)

        self._waiting.pop("part", None)
        self._do("light", step)

    def keep_part(self, light: Light) -> None:
        """So much of it is known."""
        self._do("part", lambda state: reference.write_light(state, light, reference.PART_NAME))

    def keep_correction(self, kept: KeptCorrection) -> None:
        """This is in force."""
        self._do("correction", lambda state: reference.write_correction(state, kept))

    def forget_correction(self) -> None:
        """Nothing is in force."""
        self._do("correction", reference.forget_correction)

    def forget(self) -> None:
        """Everything is to be learned anew.

        Raises:
            StorageError: the reference cannot be removed; nothing has changed.
        """
        if self._state is not None:
            reference.forget_light(self._state)
        self._waiting.pop("light", None)
        self.forget_correction()
        self._do("part", _forget_part)

    def retry(self) -> None:
        """What could not be written is tried again, each minute."""
        if self._waiting and self._clock() >= self._retry_s:
            for name, step in list(self._waiting.items()):
                self._try(name, step)

    def _read(self, name: str, read: Callable[[Path], T | None], forget: Callable[[Path], object]) -> T | None:
        if self._state is None:
            return None
        try:
            return read(self._state)
        except ModelError as error:
            log.warning("%s; it is removed, and begun anew", str(error).partition("; remove it")[0])
            self._do(name, forget)
        except StorageError as error:
            if not self._is_told:
                log.warning("%s; what was known of the light is not used", error)
            self._is_told = True
        return None

    def _do(self, name: str, step: Callable[[Path], object]) -> None:
        if self._state is not None:
            self._try(name, partial(step, self._state))

    def _try(self, name: str, step: Callable[[], object]) -> None:
        """A newer step takes the place of one of its name that waits."""
        self._waiting.pop(name, None)
        try:
            step()
        except StorageError as error:
            self._waiting[name] = step
            self._retry_s = self._clock() + RETRY_S
            if not self._is_failing:
                log.warning("%s; what is known of the light is not kept over a restart", error)
            self._is_failing = True
            return
        if self._is_failing and not self._waiting:
            log.info("what is known of the light is kept again")
            self._is_failing = False


def _forget_part(state: Path) -> None:
    reference.forget_light(state, reference.PART_NAME)
