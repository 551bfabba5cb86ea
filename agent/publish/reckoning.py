"""After a start: what the former one had made, and neither the broker nor the disk has, is told as an event.

Once, as soon as the disk can be looked at; the figures are kept until that event is safe itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from agent.publish.contract import Scalar
from agent.publish.inbox import Happening
from agent.publish.ranges import shown
from agent.publish.spool import Spool
from agent.publish.tally import Former

KIND = "losses"
PATIENCE_S = 600.0
"""A disk that does not answer for so long is left out: what lies there is then told as lost, and may come yet."""


class Reckoning:
    """Owned by the mqtt thread.

    Attributes:
        lost: messages of former starts that nobody has, by class.
    """

    def __init__(self, spool: Spool, clock: Callable[[], float]) -> None:
        self.lost: Counter[str] = Counter()
        self._spool = spool
        self._clock = clock
        self._by_s = clock() + PATIENCE_S
        self._waiting: list[Former] = []
        self._told: list[Former] = []

    def add(self, found: list[Former]) -> None:
        """These are to be told of."""
        self._waiting += found

    def turn(self, take: Callable[[Happening], None]) -> None:
        """Tells what can be told."""
        if not self._waiting or not (self._spool.is_readable or self._clock() >= self._by_s):
            return
        waiting, self._waiting = self._waiting, []
        for former in waiting:
            data, lost = reckon(former, self._spool.on_disk(former.boot) if former.boot else {})
            self.lost += lost
            take(Happening(KIND, data, self._clock()))
            self._told.append(former)

    def settle(self) -> None:
        """What was told is forgotten, once the event is on the disk or acknowledged."""
        if self._told and not self._spool.is_notice_at_risk:
            for former in self._told:
                former.forget()
            self._told.clear()


def reckon(former: Former, on_disk: dict[str, set[int]]) -> tuple[dict[str, Scalar], Counter[str]]:
    """The event's data, and how many are lost by class.

    Args:
        former: what it had counted.
        on_disk: numbers that lie on the disk, by class: they are sent yet.
    """
    data: dict[str, Scalar] = {"end": former.end}
    if former.boot:
        data["boot"] = former.boot
    lost: Counter[str] = Counter()
    for cls, count in former.classes.items():
        numbers = count.open - on_disk.get(cls, set())
        lost[cls] = len(numbers) + count.older
        figures = {"lost": lost[cls], "dropped": count.dropped, "refused": count.refused}
        data |= {f"{name}.{cls}": figure for name, figure in figures.items() if figure}
        if numbers:
            data[f"seq.{cls}"] = shown(numbers)
    return data, +lost
