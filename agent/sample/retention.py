"""What goes, and in which order. Pure.

Too old is what was kept for longer than allowed, by either of two counts, each of which can only be too small: the
time that the agent has run since (it never steps, and stands still while the board is off), and the wall clock's, where
the board knew the time both then and now. A clock set back makes the second count useless and nothing else; a board
without any clock goes by the first.

For room the reason goes first that holds the most for its share (:data:`SHARES`); of its frames those that another
kept frame stands for, then the oldest. So no reason can push the others out, and rare conditions stay longest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from agent.sample.candidate import Reason

SHARES: dict[Reason, int] = {"coverage": 4, "evidence": 3, "command": 2, "threshold": 2, "audit": 1}
"""How the room is shared when all of it is wanted: parts of 12. What one reason leaves, the others have."""


@dataclass(frozen=True, slots=True)
class Held:
    """One kept frame, as far as its end is concerned.

    Attributes:
        name: rises in the order taken.
        reason: whose budget paid.
        size_bytes: of its files.
        lived_s: how long the agent had run when it was kept.
        wall_s: unix time then; None: not known.
    """

    name: str
    reason: Reason
    size_bytes: int
    lived_s: float
    wall_s: float | None


def age_s(held: Held, lived_s: float, wall_s: float | None) -> float:
    """How long it is kept at the least, seconds.

    Args:
        held: the frame.
        lived_s: how long the agent has run by now.
        wall_s: unix time; None: not known.

    >>> age_s(Held("a", "audit", 1, lived_s=10.0, wall_s=1000.0), 30.0, 1500.0)
    500.0
    >>> age_s(Held("a", "audit", 1, lived_s=10.0, wall_s=1000.0), 30.0, 5.0)
    20.0
    """
    ran_s = lived_s - held.lived_s
    known_s = wall_s - held.wall_s if wall_s is not None and held.wall_s is not None else 0.0
    return max(ran_s, known_s, 0.0)


def first_to_go(kept: Iterable[Held], centres: Collection[str]) -> Held | None:
    """The frame that is missed least; None where there is none.

    Args:
        kept: all frames.
        centres: names of those that stand for others.
    """
    by_reason: dict[Reason, list[Held]] = {}
    for held in kept:
        by_reason.setdefault(held.reason, []).append(held)
    if not by_reason:
        return None
    fullest = max(by_reason, key=lambda reason: sum(held.size_bytes for held in by_reason[reason]) / SHARES[reason])
    return min(by_reason[fullest], key=lambda held: (held.name in centres, held.name))
