"""What a correction of the light does to the answers: may it be put in force? Pure.

Nobody knows which answers are right, so what is asked is that there are enough of them. A correction that takes answers
away comes nearer to the reference's number too, where there were too many; and few pictures prove no harm. So the
burden is the correction's: either there are surely not many fewer answers than in the reference's light, or surely more
than before. To take a correction back, nothing has to be proven of the answers but that they do not move away: without
it the model runs as it was received.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.recalibrate.blocks import Interval, interval, interval_of_two
from agent.recalibrate.levels import Reals
from agent.records import Detections

ENOUGH = 0.7
"""Of the reference's number: fewer answers than that are a loss, whatever else became better."""

Figure = Callable[[Detections], float]
"""Of what is found on one frame."""

Found = Sequence[Sequence[Detections]]
"""What is found on frames, block by block."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A figure of what the model answers, a frame, against the same in the reference's light.

    Attributes:
        name: what is counted.
        reference: on the reference's pictures; None where it has too few.
        before, after: on held-out frames.
        rise: after less before, with its interval.
        nearer: how much nearer to the reference's it comes, with its interval; below 0: it moves away.
        above: after less :data:`ENOUGH` of the reference's, with its interval.
    """

    name: str
    reference: float | None
    before: float
    after: float
    rise: Interval
    nearer: Interval | None = None
    above: Interval | None = None

    @property
    def is_away(self) -> bool:
        """It is surely further from the reference's than before."""
        return self.nearer is not None and self.nearer.high < 0

    @property
    def is_enough(self) -> bool:
        """It is surely not much less than the reference's, or surely more than before."""
        return self.above is None or self.above.low >= 0 or self.rise.low > 0


def compared(name: str, figure: Figure, known: Found, before: Found, after: Found) -> Answers:
    """A figure of what is found, on the reference's pictures, on held-out frames before and after.

    Args:
        name: of the figure.
        figure: what is counted.
        known: on the reference's pictures; two blocks at least, or none.
        before: on held-out frames.
        after: on the same ones.
    """
    mine = [_sums(figure, *pair) for pair in zip(before, after, strict=True)]
    first, second, count = np.sum(mine, axis=0)
    rise = interval(mine, lambda sums: (sums[..., 1] - sums[..., 0]) / sums[..., 2])
    found = Answers(name, None, float(first / count), float(second / count), rise)
    if not known:
        return found
    theirs = [_sums(figure, block) for block in known]
    whole, many = np.sum(theirs, axis=0)
    nearer, above = interval_of_two(mine, theirs, _nearer), interval_of_two(mine, theirs, _above)
    return Answers(name, float(whole / many), found.before, found.after, rise, nearer, above)


def refusal(answers: Sequence[Answers], *, is_back: bool) -> str:
    """Why the correction is not to be put in force, for the end of a sentence; empty: it may be.

    Args:
        answers: detections, then score mass.
        is_back: a correction is taken back; only answers that surely move away keep it.
    """
    detections = answers[0]
    if detections.is_away:
        return f"but {_away(detections)}: not put in force"
    if is_back:
        return ""
    if not detections.is_enough and detections.above is not None and detections.reference is not None:
        least = f"{ENOUGH * 100:.0f} % of the reference's {detections.reference:.2f}"
        return (
            f"but {detections.name} may stay below {least}, and do not surely rise: {_way(detections)} "
            f"({detections.above.value:+.2f} above that, {_limits(detections.above)}): not put in force; more pictures "
            "may tell"
        )
    fallen = [each for each in answers if each.reference is None and each.rise.high < 0]
    if fallen:
        return (
            f"but {fallen[0].name} surely fall: {_way(fallen[0])} ({fallen[0].rise.value:+.2f}, "
            f"{_limits(fallen[0].rise)}), and nothing says that they were too many: not put in force; give pictures of "
            "the reference"
        )
    return ""


def praise(answers: Sequence[Answers]) -> str:
    """What is to be said where nothing refuses it and the reference has pictures; score mass alone is a warning."""
    detections, mass = answers
    return "; ".join([_towards(detections), *([f"but {_away(mass)}"] if mass.is_away else [])])


def _sums(figure: Figure, *sides: Sequence[Detections]) -> Reals:
    return np.array([*(sum(map(figure, side)) for side in sides), len(sides[0])], float)


def _target(other: Reals) -> Reals:
    return np.asarray(other[..., 0] / other[..., 1])


def _nearer(one: Reals, other: Reals) -> Reals:
    first, second = (np.abs(one[..., side] / one[..., 2] - _target(other)) for side in (0, 1))
    return np.asarray(first - second)


def _above(one: Reals, other: Reals) -> Reals:
    return np.asarray(one[..., 1] / one[..., 2] - ENOUGH * _target(other))


def _away(found: Answers) -> str:
    return f"{found.name} move away from the reference's {found.reference:.2f}: {_moved(found)}"


def _towards(found: Answers) -> str:
    sure = "surely nearer to" if found.nearer and found.nearer.low > 0 else "not surely further from"
    return f"{found.name} {sure} the reference's {found.reference:.2f}: {_moved(found)}"


def _moved(found: Answers) -> str:
    return _way(found) + (f" {span(found.nearer)}" if found.nearer else "")


def _way(found: Answers) -> str:
    return f"{found.before:.2f} -> {found.after:.2f}"


def span(gain: Interval) -> str:
    """An interval of how much nearer something comes, in words."""
    return f"({gain.value:+.2f} nearer, {_limits(gain)})"


def _limits(gain: Interval) -> str:
    return f"95 %: {gain.low:+.2f} to {gain.high:+.2f}"
