"""From the grey levels of frames and of a reference to the numbers of a correction. Pure.

The same quantile of both sides should be the same grey level. Which numbers are free is a :class:`Form`; gammas and
black levels are tried one by one, and the gain is the one that most of the levels ask for (a weighted median: what is
cut off at either end, or moved by something that was not there, does not move it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from agent.recalibrate.levels import CLIPPED, LEAST_CONTRAST, LEVELS, Reals
from agent.records import Correction
from agent.records.correction import LIMITS

_GAMMAS = 2.0 ** np.arange(-2.0, 2.01, 0.25)
_BLACKS = np.linspace(0.0, 1.0, 25) ** 2
"""Shares of the highest black level that can be."""

_FINER_GAMMAS = 2.0 ** np.linspace(-0.2, 0.2, 9)
_FINER_BLACKS = np.array([-8.0, -4.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
_CREST = 10.0
"""Errors are weighed by 1 / (level + this): a step in the dark is more than one in the light."""


@dataclass(frozen=True, slots=True)
class Form:
    """Which of the numbers are free."""

    gain: bool = False
    gamma: bool = False
    black: bool = False
    balance: bool = False

    @property
    def size(self) -> int:
        """How many numbers are free."""
        return self.gain + self.gamma + self.black + 2 * self.balance


FORMS = (
    Form(),
    Form(black=True),
    Form(gamma=True),
    *(Form(True, gamma, black, balance) for gamma, black, balance in product((False, True), repeat=3)),
)


def error(levels: Reals, other: Reals) -> Reals:
    """How far sets of levels (..., 3, 64) are apart, relative to how bright they are; 0: alike."""
    return np.asarray((np.abs(levels - other) / (np.minimum(levels, other) + _CREST)).mean(axis=(-2, -1)))


def solve(form: Form, now: Reals, then: Reals, steepest: float | None) -> Correction:
    """The numbers of one form: gammas and black levels on a grid, then on a finer one around the best of them.

    Args:
        form: which numbers are free.
        now: float (3, 64), the frames' levels.
        then: the same of the reference.
        steepest: a step of the frames' levels becomes at most this many; None: any.
    """
    if form == Form():
        return Correction()
    darkest = max(0.0, min(LIMITS["black"][1], float(now.max()) - LEAST_CONTRAST))
    gammas = _GAMMAS if form.gamma else np.ones(1)
    blacks = darkest * _BLACKS if form.black else np.zeros(1)
    gamma, black, _ = _best(form, now, then, (gammas, blacks), steepest)
    if form.gamma:
        gammas = np.clip(gamma * _FINER_GAMMAS, *LIMITS["gamma"])
    if form.black:
        blacks = np.clip(black + _FINER_BLACKS, 0.0, darkest)
    return _named(*_best(form, now, then, (gammas, blacks), steepest))


def _best(
    form: Form, now: Reals, then: Reals, grid: tuple[Reals, Reals], steepest: float | None
) -> tuple[float, float, Reals]:
    """Gamma, black level and the gains (3,) that come nearest, of all pairs."""
    gamma, black = (axis.reshape(-1, 1, 1) for axis in np.meshgrid(*grid))
    above = np.maximum(now - black, 0.0)
    gains = _gains(form, above, now, then, gamma) if form.gain else np.ones_like(gamma)
    if steepest is not None:
        gains = _held(gains, above, gamma, steepest)
    made = 255 * np.clip(gains * above / 255, 0, 1) ** gamma
    place = int(error(made, then).argmin())
    return float(gamma[place, 0, 0]), float(black[place, 0, 0]), np.broadcast_to(gains[place, :, 0], 3)


def _gains(form: Form, above: Reals, now: Reals, then: Reals, gamma: Reals) -> Reals:
    """The gain that most of the levels ask for: (pairs, 3 or 1, 1)."""
    usable = (above > 0.25) & (now < CLIPPED) & (then > 1.0) & (then < CLIPPED)
    asked = np.log(np.maximum(then, 1.0) / 255) / gamma - np.log(np.maximum(above, 0.25) / 255)
    weight = usable * gamma * then / (then + _CREST)
    if not form.balance:
        asked, weight = (values.reshape(len(values), 1, -1) for values in (asked, weight))
    low, high = LIMITS["gain"]
    return np.exp(np.clip(_weighted_median(asked, weight), np.log(low), np.log(high)))[:, :, None]


def _weighted_median(values: Reals, weight: Reals) -> Reals:
    """Over the last axis; 0 where nothing has weight."""
    order = np.argsort(values, axis=-1)
    below = np.cumsum(np.take_along_axis(weight, order, -1), axis=-1)
    middle = (below < below[..., -1:] / 2).sum(axis=-1, keepdims=True)
    found = np.take_along_axis(np.take_along_axis(values, order, -1), middle, -1)[..., 0]
    return np.asarray(np.where(below[..., -1] > 0, found, 0.0))


def _held(gains: Reals, above: Reals, gamma: Reals, steepest: float) -> Reals:
    """Lower gains where a step of the levels, the darkest tenth apart, would become too large a one."""
    seen = np.where(np.arange(LEVELS) >= LEVELS // 10, above, 0.0)
    made = 255 * (gains * seen / 255) ** gamma
    step = (gamma * made / np.maximum(seen, 0.25)).max(axis=(1, 2), keepdims=True)
    return np.asarray(gains * np.minimum(1.0, steepest / np.maximum(step, 1e-9)) ** (1 / gamma))


def _named(gamma: float, black: float, gains: Reals) -> Correction:
    """Numbers with as many digits as mean something, within their limits."""
    gain = float(np.clip(np.exp(np.log(gains).mean()), *LIMITS["gain"]))
    blue, green, red = (round(float(number), 4) for number in np.clip(gains / gain, *LIMITS["balance"]))
    return Correction(round(black, 3), round(gain, 4), round(gamma, 4), (blue, green, red))


def held_back(correction: Correction, now: Reals, steepest: float) -> Correction:
    """The same with a lower gain, where a step of the frames' levels (3, 64) became more than ``steepest`` of them."""
    gains = correction.gain * np.array(correction.balance).reshape(1, 3, 1)
    gamma = np.full((1, 1, 1), correction.gamma)
    share = float((_held(gains, np.maximum(now - correction.black, 0.0), gamma, steepest) / gains).min())
    if share >= 1.0:
        return correction
    return replace(correction, gain=round(max(LIMITS["gain"][0], correction.gain * share), 4))
