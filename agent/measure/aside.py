"""Sensors that block must not hold the others: each is asked on a thread of its own making, with a deadline.

In: a collector. Out: what it gives, or :class:`BlockedError`. A reading has one worker thread; a sensor that does not
answer in time keeps that thread, is not asked again before it has answered, and the others go on with a new one. So
there is never more than one stuck thread for each sensor, and none where nothing blocks. Called from one thread only.

What a late answer says is old, and dropped. It cannot tell a sensor that hangs for ever from one that is slow.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

DEADLINE_S = 1.5
"""For one sensor: the firmware's mailbox takes up to 1 s by the kernel's own deadline; others take milliseconds."""


class BlockedError(ValueError):
    """A sensor did not answer in time."""


class _Task(Generic[T]):
    def __init__(self, collect: Callable[[], T]) -> None:
        self._collect = collect
        self._value: T | None = None
        self._error: OSError | ValueError | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._value = self._collect()
        except (OSError, ValueError) as error:
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # what collect gave, which may be None


class Aside:
    """The worker of a reading, and who is stuck.

    Args:
        deadline_s: how long one sensor may take.
    """

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._stuck: dict[str, tuple[_Task[object], float]] = {}
        self._tasks: queue.SimpleQueue[_Task[object] | None] | None = None

    def is_stuck(self, name: str) -> bool:
        """An earlier question has not been answered yet."""
        held = self._stuck.get(name)
        return held is not None and not held[0].done.is_set()

    def ask(self, name: str, collect: Callable[[], T]) -> T:
        """What the sensor says.

        Raises:
            BlockedError: it does not answer, or has not answered an earlier question yet.
            OSError, ValueError: as ``collect``.
        """
        if self.is_stuck(name):
            lasted_s = time.monotonic() - self._stuck[name][1]
            raise BlockedError(f"blocks for {lasted_s:.0f} s now: is the device or its bus dead?")
        self._stuck.pop(name, None)
        task: _Task[T] = _Task(collect)
        if self._tasks is None:
            self._tasks = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._tasks,), name="sensors", daemon=True).start()
        begun_s = time.monotonic()
        self._tasks.put(task)  # type: ignore[arg-type]
        if not task.done.wait(self._deadline_s):
            self._stuck[name] = (task, begun_s)  # type: ignore[assignment]
            self.rest()
            raise BlockedError(f"did not answer within {self._deadline_s:g} s: is the device or its bus dead?")
        return task.result()

    def rest(self) -> None:
        """The reading is over: the worker ends, now or when what holds it lets go."""
        if self._tasks is not None:
            self._tasks.put(None)
            self._tasks = None


def _work(tasks: queue.SimpleQueue[_Task[object] | None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
