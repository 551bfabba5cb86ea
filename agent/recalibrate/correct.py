"""The rung before the ranges: the light of the frames against that of a reference, and a correction that is proven.

Fitted on one half of the frames and of the reference, proven on the other half. Without labels nobody can prove that
the answers are better: the float model fails in the dark as well, so that agreement with it on the same frames says
nothing. What is proven is that the light comes nearer to the reference's; and where the reference has pictures, that
there are enough answers against those that the model gives there (``answers``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agent.config import RuntimeConfig
from agent.pipeline import Model
from agent.recalibrate.answers import Answers, Found, compared, praise, refusal, span
from agent.recalibrate.blocks import LEAST_BLOCKS, Split
from agent.recalibrate.candidate import Look
from agent.recalibrate.distance import Distance, measure
from agent.recalibrate.frames import Chosen
from agent.recalibrate.levels import Light
from agent.recalibrate.light import Fit, fit
from agent.recalibrate.operating import Refit
from agent.recalibrate.retune import at, raised
from agent.recalibrate.rung import Shown
from agent.records import Correction, Detections, FloatArray, Pixels

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
class Corrected:
    """What came of it.

    Attributes:
        helps: surely nearer, and nothing of the answers refuses it.
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


Seen = Callable[[Shown], None]
"""Told of each held-out frame."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is corrected.

    Attributes:
        model: with the correction that is in force, and the thresholds that stay when the light is another.
        frames: pictures of its camera, in the order in which they were taken.
        light: of the same frames.
        parts: which of them fit, and which judge.
        path: the file in use.
        runtime: backend and threads.
        seen: told of each held-out frame.
        in_force: thresholds that are in force now, by class number; None: the model's.
    """

    model: Model
    frames: Sequence[Pixels]
    light: Light
    parts: Split
    path: Path
    runtime: RuntimeConfig
    seen: Seen
    in_force: FloatArray | None = None

    @property
    def limits_before(self) -> FloatArray:
        """The thresholds that are in force now."""
        return self.model.postprocess.thresholds if self.in_force is None else self.in_force


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
    if new == old or not found.is_compared:
        same = new == old and old != NEUTRAL
        reason = "the frames ask for the correction that is in force" if same else found.reason
        return Corrected(False, reason, old, found)
    distance = measure(light, setup.parts.held_out, (old, new), reference.light.some(showing[1::2]))
    if distance is None:
        few = f"fewer than {LEAST_BLOCKS} held-out blocks show anything: nothing can be proven"
        return Corrected(False, few, new, found)
    way = (
        f"{distance.before:.1f} -> {distance.after:.1f} grey levels from the reference's light {span(distance.nearer)}"
    )
    if distance.nearer.low <= 0.0:
        return Corrected(False, f"{way}: not surely nearer to it", new, found, distance)
    result = Corrected(True, f"{way}: surely nearer; {found.reason}", new, found, distance)
    pictures = Chosen(reference.pictures, showing[1::2][:_MOST_PICTURES]) if reference.pictures else ()
    result = _answered(setup, pictures, result, old)
    preprocess.correct(_or_none(result.correction if result.helps else old))
    return result


def _answered(setup: Setup, pictures: Sequence[Pixels], result: Corrected, old: Correction) -> Corrected:
    """The same with what the model answers: in the reference's light, before and after."""
    model, size = setup.model, len(setup.parts.held_out[0])
    look, limits = Look(model, setup.path, setup.runtime), model.postprocess.thresholds
    model.preprocess.correct(None)
    known = _in_blocks([look(pixels) for pixels in pictures], size)
    before, after = _walked(setup, look, (old, result.correction))
    if len(known) < LEAST_BLOCKS:
        few = f"{len(pictures)} pictures are too few" if pictures else "no pictures"
        said = _with(result, f"; {few} of the reference to compare answers with: thresholds stay")
        return weighed(replace(said, answers=_figures((), before, after, setup)))
    refits = raised(known, after, limits, model.labels, size)
    return weighed(replace(result, answers=_figures(known, before, after, setup), refits=refits))


def _figures(known: Found, before: Found, after: Found, setup: Setup) -> tuple[Answers, ...]:
    limits = setup.model.postprocess.thresholds
    counted = _above(known, limits), _above(before, setup.limits_before), _above(after, limits)
    return (
        compared("detections a frame", len, *counted),
        compared("score mass a frame", lambda each: float(each.confidence.sum()), known, before, after),
    )


def _above(found: Found, limits: FloatArray) -> Found:
    return [[at(each, limits) for each in block] for block in found]


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
            setup.seen(
                Shown("correct", pixels, at(sides[0][-1], setup.limits_before), at(sides[1][-1], limits), *lights)
            )
        before.append(sides[0])
        after.append(sides[1])
    return before, after


def weighed(result: Corrected) -> Corrected:
    """Refused where the answers ask for it; with what is to be said of them."""
    refused = refusal(result.answers, is_back=result.correction == NEUTRAL)
    if refused:
        return _with(replace(result, helps=False, refits={}), f"; {refused}")
    return _with(result, f"; {praise(result.answers)}") if result.answers[0].reference is not None else result


def _in_blocks(found: Sequence[Detections], size: int) -> list[list[Detections]]:
    return [list(found[start : start + size]) for start in range(0, len(found), size)]


def _with(result: Corrected, more: str) -> Corrected:
    return replace(result, reason=result.reason + more)


def _or_none(correction: Correction) -> Correction | None:
    return None if correction == NEUTRAL else correction
