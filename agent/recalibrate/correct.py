"""The rung before the ranges: the light of the frames against that of a reference, and a correction that is proven.

Fitted on one half of the frames and of the reference, proven on the other half. Without labels nobody can prove that
the answers are better: the float model fails in the dark as well, so that agreement with it on the same frames says
nothing. What is proven is that the light comes nearer to the reference's; and where the reference has pictures, that
the answers do not move away from those that the model gives there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agent.config import RuntimeConfig
from agent.pipeline import Model
from agent.recalibrate.blocks import LEAST_BLOCKS, Interval, Split, interval, interval_of_two
from agent.recalibrate.candidate import Look
from agent.recalibrate.frames import Chosen
from agent.recalibrate.levels import Light, Reals
from agent.recalibrate.light import Fit, fit
from agent.recalibrate.operating import Refit
from agent.recalibrate.retune import at, raised
from agent.recalibrate.rung import Shown
from agent.records import Correction, Detections, Pixels

NEUTRAL = Correction()
_MOST_PICTURES = 64
_LEAST_LIGHT = 8
"""Frames of a reference: half of them fit, half of them judge, and a fit needs four."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """When the model was right.

    Attributes:
        light: what its frames showed.
        pictures: the frames themselves, where there are some; one for each of ``light``.
        origin: where it comes from, in words.
    """

    light: Light
    pictures: Sequence[Pixels] = ()
    origin: str = "the light that this board keeps"


@dataclass(frozen=True, slots=True)
class Distance:
    """How far frames are from the reference's light, grey levels, mean over held-out frames.

    Attributes:
        frames, blocks: how many were held out and show something.
        before, after: with what is in force now, and with the correction.
        nearer: before less after, with its interval.
    """

    frames: int
    blocks: int
    before: float
    after: float
    nearer: Interval


@dataclass(frozen=True, slots=True)
class Answers:
    """A figure of what the model answers, a frame, against the same in the reference's light.

    Attributes:
        name: what is counted.
        reference: on the reference's pictures; None where it has none.
        before, after: on held-out frames.
        nearer: how much nearer to the reference's it comes, with its interval; below 0: it moves away.
    """

    name: str
    reference: float | None
    before: float
    after: float
    nearer: Interval | None


@dataclass(frozen=True, slots=True)
class Corrected:
    """What came of it.

    Attributes:
        helps: surely nearer, and the answers do not surely move away.
        reason: a sentence or two.
        correction: what was tried; neutral where the best is to do nothing.
        fit: how it was fitted; None where there was no reference to fit to.
        distance: the proof; None where nothing was to be proven.
        answers: detections and score mass; compared where the reference has pictures.
        refits: thresholds by class number, where it has.
    """

    helps: bool
    reason: str
    correction: Correction = NEUTRAL
    fit: Fit | None = None
    distance: Distance | None = None
    answers: tuple[Answers, ...] = ()
    refits: Mapping[int, Refit] = field(default_factory=dict)


Figure = Callable[[Detections], float]
"""Of what is found on one frame."""

Seen = Callable[[Shown], None]
"""Told of each held-out frame."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is corrected.

    Attributes:
        model: with the correction and the thresholds that are in force.
        frames: pictures of its camera, in the order in which they were taken.
        light: of the same frames.
        parts: which of them fit, and which judge.
        path: the file in use.
        runtime: backend and threads.
        seen: told of each held-out frame.
    """

    model: Model
    frames: Sequence[Pixels]
    light: Light
    parts: Split
    path: Path
    runtime: RuntimeConfig
    seen: Seen


def correct(setup: Setup, reference: Reference) -> Corrected:
    """Fit and prove; the model is left with the correction that is to be in force.

    Args:
        setup: model and frames.
        reference: when the model was right.

    Raises:
        ModelError: the model gave up on a frame.
    """
    preprocess, light = setup.model.preprocess, setup.light
    old = preprocess.correction or NEUTRAL
    showing = np.flatnonzero(reference.light.shows)
    if len(showing) < _LEAST_LIGHT:
        return Corrected(False, f"{len(showing)} frames of the reference show anything, {_LEAST_LIGHT} are the least")
    found = fit(light.some(np.array(setup.parts.calibration)), reference.light.some(showing[::2]))
    new = found.correction or NEUTRAL
    if new == old or (found.correction is None and not found.before):
        same = new == old and old != NEUTRAL
        reason = "the frames ask for the correction that is in force" if same else found.reason
        return Corrected(False, reason, old, found)
    distance = measure(light, setup.parts.held_out, (old, new), reference.light.some(showing[1::2]))
    if distance is None:
        few = f"fewer than {LEAST_BLOCKS} held-out blocks show anything: nothing can be proven"
        return Corrected(False, few, new, found)
    way = (
        f"{distance.before:.1f} -> {distance.after:.1f} grey levels from the reference's light {_span(distance.nearer)}"
    )
    if distance.nearer.low <= 0.0:
        return Corrected(False, f"{way}: not surely nearer to it", new, found, distance)
    result = Corrected(True, f"{way}: surely nearer; {found.reason}", new, found, distance)
    pictures = Chosen(reference.pictures, showing[1::2][:_MOST_PICTURES]) if reference.pictures else ()
    result = _answered(setup, pictures, result, old)
    preprocess.correct(_or_none(result.correction if result.helps else old))
    return result


def measure(
    light: Light, held_out: Sequence[Sequence[int]], corrections: tuple[Correction, Correction], reference: Light
) -> Distance | None:
    """The light's way back, on held-out frames that show something; None where too few blocks do."""
    then = reference.typical()
    rows = []
    for block in held_out:
        levels = light.some(np.array(block)[light.shows[list(block)]]).levels
        if len(levels):
            sums = [float(_distances(levels, correction, then).sum()) for correction in corrections]
            rows.append(np.array([*sums, len(levels)]))
    if len(rows) < LEAST_BLOCKS:
        return None
    before, after, count = np.sum(rows, axis=0)
    nearer = interval(rows, lambda sums: (sums[..., 0] - sums[..., 1]) / sums[..., 2])
    return Distance(int(count), len(rows), float(before / count), float(after / count), nearer)


def _distances(levels: Reals, correction: Correction, then: Reals) -> Reals:
    made = correction.apply(levels.transpose(0, 2, 1)).transpose(0, 2, 1)
    return np.asarray(np.abs(made - then).mean(axis=(1, 2)))


def _answered(setup: Setup, pictures: Sequence[Pixels], result: Corrected, old: Correction) -> Corrected:
    """The same with what the model answers: in the reference's light, before and after."""
    model, size = setup.model, len(setup.parts.held_out[0])
    look, limits = Look(model, setup.path, setup.runtime), model.postprocess.thresholds
    model.preprocess.correct(None)
    known = _in_blocks([look(pixels) for pixels in pictures], size)
    before, after = _walked(setup, look, (old, result.correction))
    figures: tuple[tuple[str, Figure], ...] = (
        ("detections a frame", lambda each: float(len(at(each, limits)))),
        ("score mass a frame", lambda each: float(each.confidence.sum())),
    )
    if len(known) < LEAST_BLOCKS:
        few = f"{len(pictures)} pictures are too few" if pictures else "no pictures"
        alone = tuple(
            Answers(name, None, _mean(figure, before), _mean(figure, after), None) for name, figure in figures
        )
        return _with(
            replace(result, answers=alone), f"; {few} of the reference to compare answers with: thresholds stay"
        )
    found = tuple(compared(name, figure, known, before, after) for name, figure in figures)
    return weighed(replace(result, answers=found, refits=raised(known, after, limits, model.labels, size)))


def _walked(
    setup: Setup, look: Look, corrections: tuple[Correction, Correction]
) -> tuple[list[list[Detections]], list[list[Detections]]]:
    """What is found on every held-out frame, block by block, with the one correction and with the other."""
    limits, preprocess = setup.model.postprocess.thresholds, setup.model.preprocess
    lights = _or_none(corrections[0]), _or_none(corrections[1])
    before: list[list[Detections]] = []
    after: list[list[Detections]] = []
    for block in setup.parts.held_out:
        sides: tuple[list[Detections], list[Detections]] = ([], [])
        for pixels in (setup.frames[index] for index in block):
            for side, light in zip(sides, lights, strict=True):
                preprocess.correct(light)
                side.append(look(pixels))
            setup.seen(Shown("correct", pixels, at(sides[0][-1], limits), at(sides[1][-1], limits), *lights))
        before.append(sides[0])
        after.append(sides[1])
    return before, after


def weighed(result: Corrected) -> Corrected:
    """Refused where there are surely other answers than the reference's; score mass alone is a warning."""
    detections, mass = result.answers
    if _is_away(detections):
        return replace(
            result, helps=False, refits={}, reason=f"{result.reason}; but {_away(detections)}: not put in force"
        )
    return _with(result, f"; {_towards(detections)}" + (f"; but {_away(mass)}" if _is_away(mass) else ""))


def _is_away(found: Answers) -> bool:
    return found.nearer is not None and found.nearer.high < 0


def _mean(figure: Figure, blocks: Sequence[Sequence[Detections]]) -> float:
    values = [figure(each) for block in blocks for each in block]
    return sum(values) / len(values)


def compared(
    name: str,
    figure: Figure,
    known: Sequence[Sequence[Detections]],
    before: Sequence[Sequence[Detections]],
    after: Sequence[Sequence[Detections]],
) -> Answers:
    """A figure of what is found, block by block: on the reference's pictures, on frames before and after."""

    def sums(*sides: Sequence[Detections]) -> Reals:
        return np.array([*(sum(map(figure, side)) for side in sides), len(sides[0])], float)

    mine, theirs = [sums(*pair) for pair in zip(before, after, strict=True)], [sums(block) for block in known]

    def nearer(one: Reals, other: Reals) -> Reals:
        target = other[..., 0] / other[..., 1]
        first, second = (np.abs(one[..., side] / one[..., 2] - target) for side in (0, 1))
        return np.asarray(first - second)

    (first, second, count), (whole, many) = np.sum(mine, axis=0), np.sum(theirs, axis=0)
    return Answers(
        name, float(whole / many), float(first / count), float(second / count), interval_of_two(mine, theirs, nearer)
    )


def _in_blocks(found: Sequence[Detections], size: int) -> list[list[Detections]]:
    return [list(found[start : start + size]) for start in range(0, len(found), size)]


def _with(result: Corrected, more: str) -> Corrected:
    return replace(result, reason=result.reason + more)


def _or_none(correction: Correction) -> Correction | None:
    return None if correction == NEUTRAL else correction


def _away(found: Answers) -> str:
    return f"{found.name} move away from the reference's {found.reference:.2f}: {_moved(found)}"


def _towards(found: Answers) -> str:
    sure = "surely nearer to" if found.nearer and found.nearer.low > 0 else "not surely further from"
    return f"{found.name} {sure} the reference's {found.reference:.2f}: {_moved(found)}"


def _moved(found: Answers) -> str:
    return f"{found.before:.2f} -> {found.after:.2f} {_span(found.nearer)}"


def _span(gain: Interval | None) -> str:
    return "" if gain is None else f"({gain.value:+.2f} nearer, 95 %: {gain.low:+.2f} to {gain.high:+.2f})"
