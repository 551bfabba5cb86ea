"""What the camera thread asks of every source, and how a dead source is told from one bad picture.

A source is opened by making it and is used by one thread. ``grab`` waits for the next picture, ``retrieve`` decodes
it: a frame that nobody will look at is grabbed, and never decoded.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol, runtime_checkable

from agent.records import Detections, Pixels

MISS_LIMIT = 10
"""So many failures in a row are no bad pictures any more, but a dead source."""


class Grab(Enum):
    """What came of one grab."""

    PICTURE = "picture"
    MISS = "miss"  # nothing this time: one bad picture, or the first sign of the end
    STALE = "stale"  # a picture from before a stall: not to be shown as new
    LOST = "lost"  # open it again
    ENDED = "ended"  # the file is over


class Source(Protocol):
    """An open camera.

    Attributes:
        is_still: made of single pictures, so that equal neighbours are no fault.
        name: file of the grabbed picture, where it has one.
        corrupt_total: pictures that could not be decoded since this source was opened.
        why_lost: one sentence, once ``grab`` has said ``LOST``.
    """

    is_still: bool
    name: str
    corrupt_total: int
    why_lost: str

    def grab(self) -> Grab:
        """Wait for the next picture, up to the source's own deadline."""

    def taken_s(self, now_s: float) -> float:
        """Monotonic time at which the grabbed picture was taken; ``now_s`` is the time right after ``grab``."""

    def retrieve(self) -> Pixels | None:
        """Decode the grabbed picture to BGR; ``None``: it is corrupt. Its memory is used again once nobody holds it.

        Once for each ``grab`` at most: on V4L2, OpenCV 4.11 dies of a second one (SIGSEGV).
        """

    def close(self) -> None:
        """Let go of the device, connection or file."""


class Recording(Source, Protocol):
    """A source with a clock of its own: a video file, a folder of pictures."""

    def media_s(self) -> float:
        """Time of the grabbed picture in the recording, seconds; may be zero, stand still or run backwards."""


@runtime_checkable
class Knowing(Protocol):
    """A source that knows what is really in the picture that it gave last."""

    truth: Detections | None


class Misses:
    """Judges the results of a live source: pure, fed with what happened and how long it took.

    Measured with OpenCV 4.11 and 5.0: a corrupt JPEG is one failure; an unplugged camera or a closed connection fails
    at once and for ever; a stalled stream blocks until the read deadline and then fails - but RTSP first hands out
    pictures that it had kept back, each after a full deadline, and these succeed.
    """

    def __init__(self, read_timeout_s: float) -> None:
        self.corrupt_total = 0
        self._blocked_s = 0.9 * read_timeout_s
        self._misses = 0
        self._stale = 0

    def judge(self, ok: bool, took_s: float) -> Grab:
        """Name the result of one grab that lasted ``took_s``."""
        blocked = took_s >= self._blocked_s
        if not ok:
            self._misses += 1
            return Grab.LOST if blocked or self._misses >= MISS_LIMIT else Grab.MISS
        # What failed before a success was corrupt; what fails before the end was the end.
        self.corrupt_total += self._misses
        self._misses = 0
        self._stale = self._stale + 1 if blocked else 0
        if self._stale >= MISS_LIMIT:
            return Grab.LOST
        return Grab.STALE if blocked else Grab.PICTURE
