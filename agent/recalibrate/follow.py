"""The correction follows the light of the day. A pure judge: a time and a frame's light in, now and then a change out.

Slowly: the picture's grey levels move by a bounded number a minute, and not at all for less than a dead band. It waits
while there is nothing to see (no frame, a frozen or a black picture) and keeps what it has. Only one thing is done at
once: a correction under which the newest frames are further from the reference than without it is let go, and taken up
again when they are nearer with it (:mod:`agent.recalibrate.hold`).

The estimate of the sensor's noise wavers, which is no reason to move: a correction that the noise limits aims a little
under the bound, goes back only when it is over it, and else moves only by what a detector may notice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agent.recalibrate.hold import NEWEST, Hold
from agent.recalibrate.levels import Light, Reals
from agent.recalibrate.light import MAX_NOISE, Fit, fit
from agent.recalibrate.solve import held_back
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
_AIM = 0.95
"""A correction that the noise limits aims at this share of ``max_noise``, so that it stays under it for a while."""

_NOISES = 36
"""Newest frames whose noise counts: its estimate of one frame is a few per cent off."""

_LIMITED_SHARE = 0.08
"""Less than this of the picture's mean level does not move a correction that the noise limits; detectors are trained to
bear more (:mod:`agent.recalibrate.light`)."""


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
        self._hold = None if self._then is None else Hold(self._then)
        self._seen: deque[Light] = deque(maxlen=self.pace.frames)
        self._noises: deque[float] = deque(maxlen=_NOISES)
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
            self._forget_seen()
            self._moved_s = None
            return None
        self._seen.append(light)
        self._noises.append(float(np.median(light.noise)))
        if self._moved_s is None:
            self._moved_s = now_s
        return self._let_go(now_s, light.typical()) or self._follow(now_s)

    def _let_go(self, now_s: float, newest: Reals) -> LightChange | None:
        """Or taken up again, bounded by the noise of now."""
        held = None if self._hold is None else self._hold.held
        verdict = None if self._hold is None else self._hold.see(now_s, newest, self.correction)
        if verdict == "released":
            return self._change(now_s, verdict, Correction(), Correction())
        if verdict is None or held is None:
            return None
        # The noise of the bright frames before says nothing of these.
        self._noises = deque(list(self._noises)[-NEWEST:], _NOISES)
        bounded = self._bounded(held, newest)
        return None if bounded == self.correction else self._change(now_s, verdict, bounded, held)

    def _follow(self, now_s: float) -> LightChange | None:
        if len(self._seen) < _LEAST or now_s - self._fitted_s < self.pace.fit_s or self._moved_s is None:
            return None
        self._fitted_s = now_s
        frames = _joined(self._seen, self._noise())
        now = frames.typical()
        is_noisy = self._bounded(self.correction, now) != self.correction
        if not is_noisy and self._is_near(now):
            self._moved_s = now_s
            return None
        found = self._fitting(frames, self._reference, _AIM * self.pace.max_noise)
        target = self._bounded(found.correction or Correction(), now, _AIM)
        if is_noisy:
            return self._change(now_s, "noise", self._bounded(self.correction, now, _AIM), target)
        if _moved(self.correction, target, now) < self._dead_band(now, is_limited=found.limited):
            self._moved_s = now_s
            return None
        reach = self.pace.step_per_min * (now_s - self._moved_s) / 60
        stepped = self._bounded(_towards(self.correction, target, now, reach), now, _AIM)
        return None if stepped == self.correction else self._change(now_s, "followed", stepped, target)

    def _dead_band(self, now: Reals, *, is_limited: bool) -> float:
        least = _LIMITED_SHARE * float(self._corrected(now).mean()) if is_limited else 0.0
        return max(self.pace.dead_band, least)

    def _is_near(self, now: Reals) -> bool:
        """The corrected frames are the reference within the dead band: nothing need be fitted, which costs most."""
        return self._then is not None and float(np.abs(self._corrected(now) - self._then).mean()) < self.pace.dead_band

    def _bounded(self, correction: Correction, now: Reals, share: float = 1.0) -> Correction:
        noise = self._noise()
        return held_back(correction, now, max(1.0, share * self.pace.max_noise / noise)) if noise > 0 else correction

    def _noise(self) -> float:
        return float(np.median(self._noises)) if self._noises else 0.0

    def _forget_seen(self) -> None:
        self._seen.clear()
        self._noises.clear()
        if self._hold is not None:
            self._hold.blind()

    def _corrected(self, now: Reals) -> Reals:
        return self.correction.apply(now.T).T

    def _change(
        self,
        now_s: float,
        why: Literal["followed", "released", "resumed", "noise"],
        correction: Correction,
        target: Correction,
    ) -> LightChange:
        change = LightChange(now_s, why, self.correction, correction, target, self._noise())
        self.correction, self._moved_s = correction, now_s
        if why in {"released", "resumed"}:
            # What was seen before the lamp went on, or off, says nothing of the light now.
            self._forget_seen()
        elif self._hold is not None:
            self._hold.forget()
        return change


def _joined(seen: deque[Light], noise: float) -> Light:
    """The frames, with what is known of the noise of all of them."""
    levels = np.concatenate([each.levels for each in seen])
    return Light(levels, np.full(len(levels), noise, np.float32))


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
