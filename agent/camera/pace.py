"""A recording played in real time, so that it behaves as a camera would.

Time comes from the timestamp of each frame. A header's frame rate is not asked: one real door-camera clip states 60
frames a second and 354 frames where there are ten a second and 60.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.camera.source import Grab, Knowing, Recording
from agent.records import Detections, Pixels

NOMINAL_S = 1 / 25
"""Step between two frames while the recording has not yet shown a usable one; raw streams have no timestamps at all."""

LATE_S = 1.0
"""Further behind than this, the recording goes on later instead of hurrying after the clock (suspend, slow disk)."""


class Pacer:
    """Turns timestamps into due times. Pure.

    A timestamp that stands still or runs back (damage, or the recording began again) counts as one usual step; a jump
    of more than ``max_gap_s`` is a cut and is played as ``max_gap_s``.

    >>> pacer = Pacer(max_gap_s=2.0)
    >>> [pacer.due_s(media_s, now_s=50.0) for media_s in (7.0, 7.5, 7.5, 900.0)]
    [50.0, 50.5, 51.0, 53.0]
    """

    def __init__(self, max_gap_s: float) -> None:
        self._max_gap_s = max_gap_s
        self._step_s = min(NOMINAL_S, max_gap_s)
        self._media_s: float | None = None
        self._due_s = 0.0

    def due_s(self, media_s: float, now_s: float) -> float:
        """Monotonic time at which the frame with this timestamp is to be shown; never before the frame before it."""
        if self._media_s is None:
            self._due_s = now_s
        else:
            self._due_s += self._step(media_s - self._media_s)
        self._media_s = media_s
        if now_s - self._due_s > LATE_S:
            self._due_s = now_s
        return self._due_s

    def _step(self, step_s: float) -> float:
        if 0.0 < step_s <= self._max_gap_s:
            self._step_s = step_s
            return step_s
        # A NaN compares false with everything and lands on the usual step.
        return self._max_gap_s if step_s > self._max_gap_s else self._step_s


class Paced:
    """A recording that gives each picture when it is due; a :class:`~agent.camera.source.Source`."""

    def __init__(
        self, recording: Recording, pacer: Pacer, clock: Callable[[], float], wait: Callable[[float], object]
    ) -> None:
        self.is_still = recording.is_still
        self.name = ""
        self.corrupt_total = 0
        self.why_lost = ""
        self._recording = recording
        self._pacer = pacer
        self._clock = clock
        self._wait = wait
        self.truth: Detections | None = None
        self._due_s = 0.0

    def grab(self) -> Grab:
        """Grab the next picture, and wait until it is due (``wait`` may return early: the camera is being stopped)."""
        grab = self._recording.grab()
        self.name, self.why_lost = self._recording.name, self._recording.why_lost
        self.corrupt_total = self._recording.corrupt_total
        if grab is Grab.PICTURE:
            now_s = self._clock()
            self._due_s = self._pacer.due_s(self._recording.media_s(), now_s)
            if self._due_s > now_s:
                self._wait(self._due_s - now_s)
        return grab

    def taken_s(self, now_s: float) -> float:
        """The due time: a picture that came late is as old as it is late."""
        return min(self._due_s, now_s)

    def retrieve(self) -> Pixels | None:
        """As the recording does."""
        pixels = self._recording.retrieve()
        self.truth = self._recording.truth if isinstance(self._recording, Knowing) else None
        return pixels

    def close(self) -> None:
        """Close the recording."""
        self._recording.close()
