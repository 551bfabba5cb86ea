"""The operations of a few lines: ``rebirth``, ``restart``, ``relearn``, ``loglevel``."""

from __future__ import annotations

from collections.abc import Callable

from agent.commands import operation
from agent.commands.errands import Errands
from agent.errors import ConfigError, StorageError, UnavailableError
from agent.records import Answer, Command

REBIRTH_PAUSE_S = 30.0
"""Between two births on request: asked of a whole fleet at once, they must not become a storm."""


class Rebirth:
    """The operation ``rebirth``.

    Args:
        say: says the birth.
        clock: monotonic seconds.
    """

    def __init__(self, say: Callable[[], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._from_s = clock()

    def __call__(self, command: Command, _: object) -> Answer:
        """Says the birth, unless that was done a moment ago."""
        wait_s = self._from_s - self._clock()
        if wait_s > 0:
            return Answer(command, "rejected", "too-soon", f"the birth was just said; again in {wait_s:.0f} s")
        self._from_s = self._clock() + REBIRTH_PAUSE_S
        self._say()
        return Answer(command, "succeeded")


class Restart:
    """The operation ``restart``: what is said last is said by the next start, which finds it open in the ledger.

    Args:
        end: ends the process.
        is_lasting: the ledger survives that.
    """

    def __init__(self, end: Callable[[], None], is_lasting: Callable[[], bool]) -> None:
        self._end, self._is_lasting = end, is_lasting

    def __call__(self, command: Command, _: object) -> Answer | None:
        """Ends the process."""
        self._end()
        if self._is_lasting():
            return None
        return Answer(command, "succeeded", message="ends now; whoever supervises it has to start it")


class Relearn:
    """The operation ``relearn``.

    Args:
        begin: forgets and learns anew, and says how long that takes. Raises ConfigError where nothing is learned,
            UnavailableError where it cannot be now, StorageError where what is known cannot be removed.
    """

    def __init__(self, begin: Callable[[], str]) -> None:
        self._begin = begin

    def __call__(self, command: Command, _: object) -> Answer:
        """Has it learned anew; answered when that has begun."""
        try:
            return Answer(command, "succeeded", message=self._begin())
        except ConfigError as error:
            return Answer(command, "rejected", "off", str(error))
        except UnavailableError as error:
            return Answer(command, "rejected", "corrected", str(error))
        except StorageError as error:
            return Answer(command, "failed", "disk", str(error))


class LogLevels:
    """The operation ``loglevel``: another level for a while.

    Args:
        level: the level otherwise.
        apply: sets the level.
        errands: goes back in time.
        clock: monotonic seconds.
    """

    def __init__(self, level: str, apply: Callable[[str], None], errands: Errands, clock: Callable[[], float]) -> None:
        self._level, self._apply, self._errands, self._clock = level, apply, errands, clock
        self._turn = 0
        self._is_passing = False

    def __call__(self, command: Command, arguments: operation.LogLevel) -> Answer:
        """Sets the level, and when it goes back."""
        self._turn += 1
        turn = self._turn
        self._is_passing = True
        self._apply(arguments.level)
        self._errands.at(self._clock() + arguments.for_s, lambda: self._go_back(turn))
        return Answer(command, "succeeded", message=f"{arguments.level} for {arguments.for_s:g} s, then {self._level}")

    def set(self, level: str) -> None:
        """The level otherwise, from now on."""
        self._level = level
        if not self._is_passing:
            self._apply(level)

    def _go_back(self, turn: int) -> None:
        if turn == self._turn:  # no later request has the word
            self._is_passing = False
            self._apply(self._level)
