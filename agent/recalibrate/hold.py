"""When a correction is let go at once, and when it is taken up again. Pure.

In: the newest frames' levels, one frame after the other. A correction under which three of them in a row are further
from the reference than without it is let go: the lamp was switched on, and a gain that suited the night makes the
picture white. It is taken up again when three in a row are nearer to the reference with it.

A lamp that goes on and off again would do that all night. So each release within an hour of the one before wants twice
as many frames, up to two minutes of them at the usual pace; to take it up again three are always enough.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from agent.recalibrate.levels import Light, Reals
from agent.recalibrate.solve import error
from agent.records import Correction, LightChange

NEWEST = 3
"""Frames in a row that must agree."""

MOST = 24
"""As many at most, after releases that follow each other."""

QUIET_S = 3600.0
"""So long after a release, three are enough again."""

WORSE = 1.2
"""How much further from the reference a frame must be on one side to say anything; between is neither."""

Verdict = Literal["released", "resumed"]


class Hold:
    """Judges frame by frame.

    Args:
        then: float (3, 64), the reference's typical levels.

    Attributes:
        held: what was let go, and may be taken up again; None: nothing.
    """

    def __init__(self, then: Reals) -> None:
        self.held: Correction | None = None
        self._then = then
        self._agreeing = self._releases = 0
        self._released_s = float("-inf")

    def see(self, now_s: float, levels: Reals, in_force: Correction) -> Verdict | None:
        """Take in one frame.

        Args:
            now_s: monotonic time.
            levels: float (3, 64), as the camera gave them.
            in_force: what is done to them now.
        """
        if self.held is None and in_force.is_identity:
            return None
        other = Correction() if self.held is None else self.held
        self._agreeing = self._agreeing + 1 if self._is_nearer(levels, other, in_force) else 0
        if self._agreeing < self._patience(now_s):
            return None
        self._agreeing = 0
        if self.held is not None:
            self.held = None
            return "resumed"
        self.held, self._released_s = in_force, now_s
        self._releases += 1
        return "released"

    def blind(self) -> None:
        """There is nothing to see: what was seen before says nothing of what comes after."""
        self._agreeing = 0

    def forget(self) -> None:
        """What was let go is not to be taken up again: something else is in force by now."""
        self.held, self._agreeing = None, 0

    def _patience(self, now_s: float) -> int:
        if now_s - self._released_s >= QUIET_S:
            self._releases = 0
        return NEWEST if self.held is not None else min(MOST, NEWEST << min(self._releases, 8))

    def _is_nearer(self, levels: Reals, one: Correction, other: Correction) -> bool:
        return bool(self._off(levels, other) > WORSE * self._off(levels, one))

    def _off(self, levels: Reals, correction: Correction) -> Reals:
        return error(correction.apply(levels.T).T, self._then)


class Watch:
    """Watches a correction that does not move: the one that lies over the model.

    Args:
        correction: that one.
        then: float (3, 64), typical levels of the light that it leads to.
        every_s: a frame is looked at no more often.
    """

    def __init__(self, correction: Correction, then: Reals, every_s: float) -> None:
        self.every_s = every_s
        self._correction, self._hold = correction, Hold(then)
        self._looked_s = float("-inf")

    @property
    def held(self) -> Correction | None:
        """What is held back now; None: it is in force."""
        return self._hold.held

    @property
    def in_force(self) -> Correction:
        """What is to be done to the frames."""
        return self._correction if self.held is None else Correction()

    def is_due(self, now_s: float) -> bool:
        """A frame is wanted."""
        return now_s - self._looked_s >= self.every_s

    def see(self, now_s: float, light: Light | None) -> LightChange | None:
        """Take in one frame's light; a change when there is one, which is in force from then on.

        Args:
            now_s: monotonic time; one that is not later than the last is passed over.
            light: of one frame; None: there is none that shows anything new.
        """
        if not self.is_due(now_s):
            return None
        self._looked_s = now_s
        if light is None or not len(light) or not light.shows.all():
            self._hold.blind()
            return None
        before = self.in_force
        verdict = self._hold.see(now_s, light.typical(), before)
        if verdict is None:
            return None
        noise = float(np.median(light.noise))
        return LightChange(now_s, verdict, before, self.in_force, self.in_force, noise)
