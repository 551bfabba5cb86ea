"""Which messages of a board never came, and which of those it has accounted for itself. Pure.

``(id, boot, class, seq)`` names a message and ``seq`` counts up by one, so that a number missing between two that
came is a loss, or is on its way in the backlog. A board tells its own losses: the health card in numbers, for the
start that it is of, and the event ``losses`` number by number, for the start before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import pairwise

from agent.publish.contract import Envelope, Event, HealthCard

_MOST_STARTS = 8
_MOST_RANGES = 512

Ranges = list[tuple[int, int]]


@dataclass(slots=True)
class _Start:
    """One start of a board's agent, by class: what came, what it lost and what it gave up."""

    came: dict[str, Ranges] = field(default_factory=dict)
    lost: dict[str, Ranges] = field(default_factory=dict)
    given_up: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """Of one class, over the starts that are remembered.

    Attributes:
        missing: numbers that lie between two that came, and did not come.
        explained: how many of them the board itself has told as lost.
    """

    missing: int
    explained: int

    @property
    def unexplained(self) -> int:
        """On their way in the backlog; or lost by the broker, or while nobody listened."""
        return self.missing - self.explained


class Gaps:
    """Of one board; fed with everything that it says."""

    def __init__(self) -> None:
        self._starts: OrderedDict[str, _Start] = OrderedDict()

    def take(self, cls: str, record: Envelope) -> None:
        """One message of a delivery class."""
        start = self._start(record.boot)
        if isinstance(record, HealthCard):
            start.given_up = {
                name: record.dropped.get(name, 0) + record.refused.get(name, 0)
                for name in record.dropped.keys() | record.refused.keys()
            }
        if isinstance(record, Event) and record.event == "losses":
            self._end(record)
        if cls.startswith("m/") or cls in {"a", "e", "res"}:
            insert(start.came.setdefault(cls, []), record.seq_first or record.seq, record.seq)

    def found(self) -> dict[str, Gap]:
        """What is missing, by class; classes with nothing missing are left out."""
        sums: dict[str, Gap] = {}
        for start in self._starts.values():
            for cls, came in start.came.items():
                holes = [(before + 1, after - 1) for (_, before), (after, _) in pairwise(came)]
                missing = sum(last - first + 1 for first, last in holes)
                told = sum(overlap(hole, lost) for hole in holes for lost in start.lost.get(cls, []))
                explained = min(missing, told + start.given_up.get(cls, 0))
                before = sums.get(cls, Gap(0, 0))
                sums[cls] = Gap(before.missing + missing, before.explained + explained)
        return {cls: gap for cls, gap in sums.items() if gap.missing}

    def _start(self, boot: str) -> _Start:
        start = self._starts.setdefault(boot, _Start())
        while len(self._starts) > _MOST_STARTS:
            self._starts.popitem(last=False)
        return start

    def _end(self, event: Event) -> None:
        start = self._start(str(event.data.get("boot", "")))
        given_up: dict[str, int] = {}
        for key, value in event.data.items():
            name, _, cls = key.partition(".")
            if name == "seq" and isinstance(value, str):
                start.lost[cls] = read_ranges(value)
            elif name in {"dropped", "refused"} and isinstance(value, int):
                given_up[cls] = given_up.get(cls, 0) + value
        start.given_up = given_up


def insert(ranges: Ranges, first: int, last: int) -> None:
    """Puts a range among others, sorted and apart; of too many the oldest two become one.

    >>> ranges = [(1, 3), (7, 9)]
    >>> insert(ranges, 4, 5)
    >>> ranges
    [(1, 5), (7, 9)]
    """
    if first > last:
        return
    at = bisect_left(ranges, (first, first))
    if at and ranges[at - 1][1] >= first - 1:
        at -= 1
    end = at
    while end < len(ranges) and ranges[end][0] <= last + 1:
        first, last = min(first, ranges[end][0]), max(last, ranges[end][1])
        end += 1
    ranges[at:end] = [(first, last)]
    if len(ranges) > _MOST_RANGES:
        ranges[:2] = [(ranges[0][0], ranges[1][1])]


def overlap(one: tuple[int, int], other: tuple[int, int]) -> int:
    """How many numbers two ranges share."""
    return max(0, min(one[1], other[1]) - max(one[0], other[0]) + 1)


def read_ranges(text: str) -> Ranges:
    """The numbers of ``812-814,820``; what is none is left out.

    >>> read_ranges("...,3-5,9,x")
    [(3, 5), (9, 9)]
    """
    found = []
    for word in text.split(","):
        first, _, last = word.partition("-")
        if first.isdecimal() and (last or first).isdecimal() and len(word) < 40:
            found.append((int(first), int(last or first)))
    return found
