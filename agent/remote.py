"""What can be done from afar, put together: the operations of this board and what they need.

Built before the publisher, because the publisher hands commands over; told of it afterwards.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.commands import (
    Benching,
    BenchResults,
    Commands,
    Diag,
    Errands,
    Ledger,
    LogLevels,
    Operation,
    Pictures,
    Rebirth,
    Relearn,
    Restart,
    Snapshots,
    Tail,
)
from agent.config import Config
from agent.desired import Overlay
from agent.local import Local
from agent.publish import Publisher
from agent.records import Answer, Desired, Labels

_MOST_WISHES = 16


class Remote:
    """Commands and all that carries them out; ``start`` and ``stop`` frame the service's life.

    Args:
        config: the settings.
        labels: class names.
        device: this board's name.
        folder: what must survive a restart; None: nothing does.
        facts: the parts of ``diag``, by name.
        say_birth: says the birth again.
        overlay: the settings in force.
        clock: monotonic seconds.
        wall: unix time in seconds.
        is_throttled: the board is held back now.
        relearn: has the light learned anew, and says how long that takes.

    Attributes:
        benching: what the main thread is asked to measure.
        restart_asked: set when a command wants the process to end and be started again.
        snapshots: takes the newest result.
        local: the socket for those on the board, where there is one.
    """

    def __init__(
        self,
        config: Config,
        labels: Labels,
        *,
        device: str,
        folder: Path | None,
        facts: Mapping[str, Callable[[], object]],
        say_birth: Callable[[], None],
        overlay: Overlay,
        clock: Callable[[], float],
        wall: Callable[[], float],
        is_throttled: Callable[[], bool | None] = lambda: None,
        relearn: Callable[[], str],
    ) -> None:
        self.restart_asked = threading.Event()
        self.snapshots = Snapshots(labels)
        self._overlay = overlay
        self._home = config.homeassistant
        self._clock = clock
        self._pictures: Pictures | None = None
        self._publisher: Publisher | None = None
        self.local: Local | None = None
        self._tail = Tail()
        self._wishes: deque[Desired] = deque(maxlen=_MOST_WISHES)
        self._errands = Errands(clock)
        self._ledger = Ledger(folder if config.mqtt.host else None, wall, clock)
        self.levels = LogLevels(config.log.level, _set_level, self._errands, clock)
        self.benching = Benching(
            self._progress,
            self._finish,
            is_throttled,
            folder,
        )
        operations: dict[str, Operation] = {
            "snapshot": self.snapshots,
            "diag": Diag(facts, self._tail),
            "restart": Restart(self.restart_asked.set, lambda: self._ledger.is_lasting),
            "loglevel": self.levels,
            "relearn": Relearn(relearn),
            "bench": self.benching,
            "bench-result": BenchResults(folder),
        }
        if config.mqtt.host:
            operations["rebirth"] = Rebirth(say_birth, clock)
        self.commands = Commands(
            self._answer,
            operations,
            ledger=self._ledger,
            errands=self._errands,
            device=device,
            clock=clock,
            wall=wall,
        )

    def attach(self, publisher: Publisher | None) -> None:
        """Where replies go; before the publisher starts, for the broker may have kept commands for us."""
        self._publisher = publisher

    def start(self, publisher: Publisher | None, apply: Callable[[Config, Mapping[str, Any]], None]) -> None:
        """Finish what a former life left, then take commands; ``apply`` puts settings in force."""
        logging.getLogger().addHandler(self._tail)
        self.attach(publisher)
        if publisher is not None:
            self.commands.resume()
            self._overlay.start(apply, publisher.reported)
            if self._home.enabled:
                self._pictures = self._make_pictures(publisher)
        self._errands.start()

    def reconfigure(self, config: Config) -> None:
        """New settings are in force; called on the thread "writer"."""
        self.levels.set(config.log.level)
        if self._pictures is not None:
            self._pictures.every(config.homeassistant.snapshot_s)

    def stop(self) -> None:
        """End after the command at hand; what waits is finished by the next start, if it was promised."""
        logging.getLogger().removeHandler(self._tail)
        self._errands.stop()

    def close(self) -> None:
        """Lets go of the files; after the publisher has stopped."""
        self._ledger.close()

    def desire(self, desired: Desired) -> None:
        """Something is desired; called on the mqtt thread, returns at once."""
        is_full = len(self._wishes) == _MOST_WISHES
        self._wishes.append(desired)  # when full, the oldest makes room
        if not is_full:
            self._errands.do(lambda: self._overlay.take(self._wishes.popleft()))

    def _progress(self, answer: Answer) -> None:
        self.commands.progress(answer)

    def _finish(self, answer: Answer) -> None:
        self.commands.finish(answer)

    def _make_pictures(self, publisher: Publisher) -> Pictures:
        pictures = Pictures(
            self.snapshots,
            self._errands,
            send=publisher.picture,
            is_wanted=lambda: publisher.status().connected,
            clock=self._clock,
        )
        pictures.every(self._home.snapshot_s)
        return pictures

    def _answer(self, answer: Answer) -> None:
        if self.local is not None:
            self.local.answer(answer)  # also to whoever asked here for what was asked over MQTT already
        if answer.command.is_local:
            self.commands.delivered(answer.command.op, answer.command.id)
        elif self._publisher is not None:
            self._publisher.answer(answer)


def _set_level(level: str) -> None:
    logging.getLogger().setLevel(level.upper())
