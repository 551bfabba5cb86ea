"""The correction follows the light of the day. A pure judge: a time and a frame's light in, now and then a change out.

Slowly: the picture's grey levels move by a bounded number a minute, and not at all for less than a dead band. It waits
while there is nothing to see (no frame, a frozen or a black picture) and keeps what it has. Only one thing is done at
once: a correction under which the newest frames are further from the reference than without it is let go - the lamp was
switched on, and a gain that suited the night would make the picture white.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agent.recalibrate.levels import Light, Reals
from agent.recalibrate.light import MAX_NOISE, Fit, fit
from agent.recalibrate.solve import error, held_back
from agent.records import Correction, LightChange


@dataclass(frozen=True, slots=True)
class Pace:
    """How a correction may move.

    Attributes:
        every_s: a frame is looked at no more often.
        fit_s: a correction is fitted no more often.
        frames: the newest ones that it is fitted to.
        step_per_min: grey levels that the picture may move in a minute, mean.
        dead_band: less than this many grey levels, mean, is no reason to move.
        max_noise: grey levels of sensor noise that the corrected picture may have.
    """

    every_s: float = 5.0
    fit_s: float = 60.0
    frames: int = 12
    step_per_min: float = 6.0
    dead_band: float = 4.0
    max_noise: float = MAX_NOISE

    def __post_init__(self) -> None:
        for name in ("every_s", "fit_s", "step_per_min", "dead_band", "max_noise"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} {getattr(self, name):g} must be above 0")
        if self.frames < _LEAST:
            raise ValueError(f"frames {self.frames} are too few to fit to; {_LEAST} at least")


_LEAST = 8
_NEWEST = 3
"""Frames that must agree before a correction is let go at once."""

_WORSE = 1.2
"""And how much further from the reference they must be with it than without it."""


class Follower:
    """Follows the light towards a reference.

    Args:
        reference: the light that the model is right in.
        start: what is in force already, kept from before a restart.
        pace: how it may move; may be replaced at any time, its ``frames`` excepted.
        fitting: how a correction is fitted, as :func:`agent.recalibrate.light.fit`.
    """

    def __init__(
        self,
        reference: Light,
        start: Correction | None = None,
        pace: Pace | None = None,
        fitting: Callable[[Light, Light, float], Fit] = fit,
    ) -> None:
        self.pace, self._fitting = pace or Pace(), fitting
        self.correction = start or Correction()
        self._reference = reference
        self._then = reference.some(reference.shows).typical() if reference.shows.any() else None
        self._seen: deque[Light] = deque(maxlen=self.pace.frames)
        self._looked_s = self._fitted_s = float("-inf")
        self._moved_s: float | None = None

    def is_due(self, now_s: float) -> bool:
        """A frame is wanted; looking at one costs a few milliseconds."""
        return now_s - self._looked_s >= self.pace.every_s

    def see(self, now_s: float, light: Light | None) -> LightChange | None:
        """Take in one frame's light; a change when there is one, which is in force from then on.

        Args:
            now_s: monotonic time; one that is not later than the last is passed over.
            light: of one frame; None: there is none that shows anything new (no camera, a frozen picture).
        """
        if not self.is_due(now_s) or self._then is None:
            return None
        self._looked_s = now_s
        if light is None or not light.shows.all() or not len(light):
            self._seen.clear()
            self._moved_s = None
            return None
        self._seen.append(light)
        if self._moved_s is None:
            self._moved_s = now_s
        return self._let_go(now_s) or self._follow(now_s)

    def _let_go(self, now_s: float) -> LightChange | None:
        newest = [each.typical() for each in list(self._seen)[-_NEWEST:]]
        if self._then is None or len(newest) < _NEWEST or self.correction.is_identity:
            return None
        then = self._then
        if all(error(self._corrected(now), then) > _WORSE * error(now, then) for now in newest):
            return self._change(now_s, "released", Correction(), Correction())
        return None

    def _follow(self, now_s: float) -> LightChange | None:
        if len(self._seen) < _LEAST or now_s - self._fitted_s < self.pace.fit_s or self._moved_s is None:
            return None
        self._fitted_s = now_s
        frames = _joined(self._seen)
        now = frames.typical()
        now_in_force = self._bounded(self.correction, now)
        if now_in_force == self.correction and self._is_near(now):
            self._moved_s = now_s
            return None
        found = self._fitting(frames, self._reference, self.pace.max_noise)
        target = self._bounded(found.correction or Correction(), now)
        if now_in_force != self.correction:
            return self._change(now_s, "noise", now_in_force, target)
        if _moved(self.correction, target, now) < self.pace.dead_band:
            self._moved_s = now_s
            return None
        reach = self.pace.step_per_min * (now_s - self._moved_s) / 60
        stepped = self._bounded(_towards(self.correction, target, now, reach), now)
        return None if stepped == self.correction else self._change(now_s, "followed", stepped, target)

    def _is_near(self, now: Reals) -> bool:
        """The corrected frames are the reference within the dead band: nothing need be fitted, which costs most."""
        return self._then is not None and float(np.abs(self._corrected(now) - self._then).mean()) < self.pace.dead_band

    def _bounded(self, correction: Correction, now: Reals) -> Correction:
        noise = self._noise()
        return held_back(correction, now, max(1.0, self.pace.max_noise / noise)) if noise > 0 else correction

    def _noise(self) -> float:
        return float(np.median([each.noise for each in self._seen])) if self._seen else 0.0

    def _corrected(self, now: Reals) -> Reals:
        return self.correction.apply(now.T).T

    def _change(
        self, now_s: float, why: Literal["followed", "released", "noise"], correction: Correction, target: Correction
    ) -> LightChange:
        change = LightChange(now_s, why, self.correction, correction, target, self._noise())
        self.correction, self._moved_s = correction, now_s
        if why == "released":
            # What was seen before the lamp went on says nothing of the light now.
            self._seen.clear()
        return change


def _joined(seen: deque[Light]) -> Light:
    return Light(np.concatenate([each.levels for each in seen]), np.concatenate([each.noise for each in seen]))


def _moved(one: Correction, other: Correction, now: Reals) -> float:
    """Grey levels between what the two make of the frames, mean."""
    return float(np.abs(one.apply(now.T) - other.apply(now.T)).mean())


def _towards(start: Correction, target: Correction, now: Reals, reach: float) -> Correction:
    """The furthest on the way from one to the other that moves the frames by ``reach`` grey levels at most."""
    if _moved(start, target, now) <= reach:
        return target
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _moved(start, _between(start, target, middle), now) <= reach else (low, middle)
    return _between(start, target, low)


def _between(start: Correction, target: Correction, share: float) -> Correction:
    """A share of the way: of the black level in grey levels, of what multiplies in its logarithm."""

    def mixed(one: float, other: float) -> float:
        return round(float(np.exp((1 - share) * np.log(one) + share * np.log(other))), 4)

    blue, green, red = (mixed(*pair) for pair in zip(start.balance, target.balance, strict=True))
    black = round((1 - share) * start.black + share * target.black, 3)
    return Correction(black, mixed(start.gain, target.gain), mixed(start.gamma, target.gamma), (blue, green, red))
