"""The correction that brings the light of frames back to the reference's. Pure; needs no labels and no model.

In: the :class:`Light` of kept frames and of the reference. Out: a :class:`~agent.records.Correction`, or a sentence
that says why there is none.

The simplest correction is taken that explains what frames which were *not* fitted show, within one standard error
(Breiman et al. 1984): pictures that differ by their content alone are left as they are.

What it cannot tell: darker light from darker things. Frames of another scene are no reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.recalibrate.levels import Light, Reals, look
from agent.recalibrate.solve import FORMS, Form, error, solve
from agent.records import Correction

__all__ = ["MAX_NOISE", "Fit", "Light", "fit", "look"]

LEAST_FRAMES = 4
_SPLITS = 16
_EVERY = 3
"""Which of the levels choose the form: neighbours say nearly the same, and this has to be quick on a board."""
_SMALLEST_SHARE = 0.08
_SMALLEST_STEP = 2.0
"""A correction must move the frames by this share of the reference's mean level, and by so many grey levels: detectors
are trained to bear more than that, and two scenes differ by as much."""

MAX_NOISE = 24.0
"""Sensor noise after the correction may be this many grey levels; a detector bears little more."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of fitting.

    Attributes:
        correction: what to do to the frames; None: nothing, and ``reason`` says why.
        reason: one sentence.
        before: how far the frames' levels are from the reference's, grey levels, mean.
        after: the same once corrected.
        noise: the sensor's noise in the frames as they are.
        limited: the gain was held back by that noise.
        is_compared: both lights were seen; else ``reason`` says which was not.
    """

    correction: Correction | None
    reason: str
    before: float = 0.0
    after: float = 0.0
    noise: float = 0.0
    limited: bool = False
    is_compared: bool = True


def fit(frames: Light, reference: Light, max_noise: float = MAX_NOISE) -> Fit:
    """The correction that gives ``frames`` the light of ``reference``; the order of frames does not matter.

    Args:
        frames: those of now.
        reference: those of when the model was right.
        max_noise: grey levels of noise that the corrected frames may have.
    """
    shown, known = frames.some(frames.shows), reference.some(reference.shows)
    if len(frames) and not len(shown):
        return Fit(None, "the frames are black or show one colour: there is no light to correct", is_compared=False)
    if min(len(shown), len(known)) < LEAST_FRAMES:
        who = "kept frames" if len(shown) < LEAST_FRAMES else "frames of the reference"
        return Fit(None, f"too few {who} show anything: at least {LEAST_FRAMES} are needed", is_compared=False)
    noise = float(np.median(shown.noise))
    now, then = shown.typical(), known.typical()
    form = _simplest(_sorted(shown), _sorted(known))
    before, free = _distance(now, then), solve(form, now, then, None)
    smallest = max(_SMALLEST_STEP, _SMALLEST_SHARE * float(then.mean()))
    if _distance(_corrected(free, now), now) < smallest:
        return Fit(
            None, "the light is that of the reference, within what the scene itself varies", before, before, noise
        )
    steepest = max(1.0, max_noise / noise) if noise > 0 else None
    found = solve(form, now, then, steepest)
    made, limited = _corrected(found, now), found != free
    if _distance(made, then) >= before or _distance(made, now) < smallest:
        return Fit(None, "no correction brings the frames nearer to the reference", before, before, noise, limited)
    reason = "held back by the sensor's noise" if limited else "fitted to the reference"
    return Fit(found, reason, before, _distance(made, then), noise, limited)


def _corrected(correction: Correction, levels: Reals) -> Reals:
    return correction.apply(levels.T).T


def _sorted(light: Light) -> Light:
    """In an order of their own, so that the order in which frames were kept changes nothing."""
    keys = light.levels.reshape(len(light), -1).T
    return light.some(np.lexsort(keys[::-1]))


def _simplest(frames: Light, reference: Light) -> Form:
    """The simplest form that does as well as the best one on frames which were not fitted, within a standard error."""
    rng = np.random.default_rng(0)
    errors = np.empty((_SPLITS, len(FORMS)))
    for split in range(_SPLITS):
        (now, later), (then, other) = (_halves(light, rng) for light in (frames, reference))
        for number, form in enumerate(FORMS):
            errors[split, number] = error(_corrected(solve(form, now, then, None), later), other)
    means = errors.mean(axis=0)
    best = int(means.argmin())
    sizes = np.array([form.size for form in FORMS])
    # Halves vary by the square root of two more than the whole does; splits of the same frames add no evidence.
    spread = (errors - errors[:, [best]]).std(axis=0) / np.sqrt(2)
    size = sizes[means <= means[best] + spread].min()
    return FORMS[int(np.where(sizes == size, means, np.inf).argmin())]


def _halves(light: Light, rng: np.random.Generator) -> tuple[Reals, Reals]:
    order = rng.permutation(len(light))
    middle = len(light) // 2
    first, second = light.some(order[:middle]).typical(), light.some(order[middle:]).typical()
    return first[:, 1::_EVERY], second[:, 1::_EVERY]


def _distance(levels: Reals, other: Reals) -> float:
    return float(np.abs(levels - other).mean())
