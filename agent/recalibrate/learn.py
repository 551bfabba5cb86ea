"""The reference light is learned from frames that are spread over a while and show something. Pure.

In: a time and a frame's light. Out: the reference, once there are enough of them.

What it cannot tell: whether the model is right meanwhile. That is the word of whoever switched it on.
"""

from __future__ import annotations

import numpy as np

from agent.recalibrate.levels import Light


class Learner:
    """Gathers the reference.

    Args:
        frames: how many it takes.
        spread_s: seconds over which they are spread, at least.
        seen: those from before a restart.

    Attributes:
        seen: those so far; None: none.
    """

    def __init__(self, frames: int, spread_s: float, seen: Light | None = None) -> None:
        self.frames = frames
        self.seen = seen if seen is not None and len(seen) else None
        self._apart_s = spread_s / frames
        self._taken_s: float | None = None

    @property
    def count(self) -> int:
        """Frames so far."""
        return 0 if self.seen is None else len(self.seen)

    def is_due(self, now_s: float) -> bool:
        """A frame is wanted. The first look only starts the clock: a camera that was just opened has not settled."""
        return self._taken_s is None or now_s - self._taken_s >= self._apart_s

    def see(self, now_s: float, light: Light | None) -> bool:
        """Take in one frame's light; True when it was taken, and :attr:`is_done` may have become true.

        Args:
            now_s: monotonic time; one that is not due is passed over.
            light: of one frame; None, or one that shows nothing, is waited out.
        """
        if not self.is_due(now_s) or light is None or not len(light) or not light.shows.all():
            return False
        is_first_look, self._taken_s = self._taken_s is None, now_s
        if is_first_look:
            return False
        self.seen = light if self.seen is None else _both(self.seen, light)
        return True

    @property
    def is_done(self) -> bool:
        """There are enough."""
        return self.count >= self.frames


def _both(one: Light, other: Light) -> Light:
    return Light(np.concatenate([one.levels, other.levels]), np.concatenate([one.noise, other.noise]))
