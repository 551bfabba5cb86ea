"""The thread "writer": does what takes a moment, now or at a time, one thing after the other.

What fails there is one errand's failure: its error goes to the log, and the thread is started again for the next one.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import sys
import threading
from collections.abc import Callable

log = logging.getLogger("agent.commands")

Errand = Callable[[], None]

_LONGEST_WAIT_S = 3600.0


class Errands:
    """``do`` and ``at`` from any thread; they return at once.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._number = itertools.count()
        self._waiting: list[tuple[float, int, Errand]] = []
        self._changed = threading.Condition()
        self._is_over = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the errand at hand; what waits is not done any more."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def do(self, errand: Errand) -> None:
        """Do it as soon as the thread is free."""
        self.at(self._clock(), errand)

    def at(self, due_s: float, errand: Errand) -> None:
        """Do it at a monotonic time, or soon after."""
        with self._changed:
            heapq.heappush(self._waiting, (due_s, next(self._number), errand))
            self._changed.notify()

    def _work(self) -> None:
        try:
            while (errand := self._next()) is not None:
                errand()
        finally:
            if sys.exception() is not None:  # the traceback itself goes through threading.excepthook
                log.error("the thread writer failed over an errand; it is started again")
                self.start()

    def _next(self) -> Errand | None:
        with self._changed:
            while not self._is_over:
                wait_s = self._waiting[0][0] - self._clock() if self._waiting else _LONGEST_WAIT_S
                if self._waiting and wait_s <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(min(wait_s, _LONGEST_WAIT_S))
        return None
