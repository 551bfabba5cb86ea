"""OpenCV's VideoCapture as a live source, and the switches that it has only in the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import cv2
import numpy as np

from agent.camera.pool import Pool
from agent.camera.source import MISS_LIMIT, Grab, Misses
from agent.records import Pixels

_LOG_LEVEL_ERROR = 2


def tune(read_timeout_s: float) -> None:
    """Set what OpenCV reads from the environment at its first capture; what a person has set stays.

    FFmpeg and OpenCV print to stderr for every bad packet and failed attempt: a camera that is away for a night would
    fill the journal. V4L2 knows no read timeout but this one, in whole seconds, 10 by default.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(max(1, math.ceil(read_timeout_s))))
    log = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 moved the switch; 4.x has it at the top
    log.setLogLevel(_LOG_LEVEL_ERROR)
    cv2.setNumThreads(1)  # its pool would take the cores that the model needs


def decode(capture: cv2.VideoCapture, pool: Pool) -> Pixels | None:
    """The grabbed picture as BGR, in memory of the pool; ``None`` when it cannot be decoded."""
    buffer = pool.take()
    try:
        ok, pixels = capture.retrieve(buffer) if buffer is not None else capture.retrieve()
    except cv2.error:
        return None
    # A pixel format that OpenCV does not convert arrives raw, as one row of bytes.
    if not ok or pixels is None or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        return None
    if pixels is buffer:
        return buffer
    fresh = np.asarray(pixels, np.uint8)
    pool.keep(fresh)
    return fresh


def grab(capture: cv2.VideoCapture) -> bool:
    """Wait for the next picture."""
    try:
        return capture.grab()
    except cv2.error:
        return False


class Capture:
    """A live :class:`~agent.camera.source.Source`: a V4L2 device or a network stream, already open.

    Args:
        capture: opened.
        shown: the address, for messages.
        read_timeout_s: the deadline that ``capture`` keeps.
        clock: monotonic seconds.
        taken: time of capture from the time of arrival.
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        shown: str,
        read_timeout_s: float,
        clock: Callable[[], float],
        taken: Callable[[float], float] = lambda now_s: now_s,
    ) -> None:
        self.is_still = False
        self.name = ""
        self.corrupt_total = 0
        self.why_lost = ""
        self._capture = capture
        self._shown = shown
        self._clock = clock
        self._taken = taken
        self._misses = Misses(read_timeout_s)
        self._undecoded = 0
        self._pool = Pool()
        self._is_held = False

    def hold(self) -> None:
        """Give the picture that was grabbed last, and not decoded, once more: opening had to see that one comes."""
        self._is_held = True

    def grab(self) -> Grab:
        """Wait for the next picture, at most the read deadline."""
        if self._is_held:
            self._is_held = False
            return Grab.PICTURE
        began_s = self._clock()
        ok = grab(self._capture)
        took_s = self._clock() - began_s
        result = self._misses.judge(ok, took_s)
        if self._undecoded >= MISS_LIMIT:
            result = Grab.LOST
        if result is Grab.LOST:
            self.why_lost = f"{self._shown}: {self._reason(took_s)}"
        self._count()
        return result

    def taken_s(self, now_s: float) -> float:
        """The driver's own time stamp where it has one, else the arrival."""
        return self._taken(now_s)

    def retrieve(self) -> Pixels | None:
        """Decode the grabbed picture."""
        pixels = decode(self._capture, self._pool)
        if pixels is None:
            self._undecoded += 1
            self._misses.corrupt_total += 1
            self._count()
        else:
            self._undecoded = 0
        return pixels

    def close(self) -> None:
        """Release the device or connection."""
        self._capture.release()

    def _count(self) -> None:
        self.corrupt_total = self._misses.corrupt_total

    def _reason(self, took_s: float) -> str:
        if self._undecoded >= MISS_LIMIT:
            return f"the last {MISS_LIMIT} pictures could not be decoded"
        if took_s >= 1.0:
            return f"no picture within {took_s:.0f} s"
        return "no more pictures: unplugged, switched off, or the connection was cut"
