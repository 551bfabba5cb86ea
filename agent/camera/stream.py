"""Network cameras: RTSP and HTTP MJPEG, by the FFmpeg inside OpenCV.

Deadlines must be passed when opening; set later they are ignored, and a stalled camera blocks 30 seconds a frame.
One decoder thread: FFmpeg keeps back one frame for each further one, on four cores 200 ms at 15 frames a second.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2

from agent.camera import opencv
from agent.camera.diagnosis import why_not
from agent.camera.source import Grab
from agent.camera.uri import CameraUri
from agent.config import CameraConfig
from agent.errors import CameraError

DRAIN_S = 1.0
"""Most time spent on what had queued up while the stream was opened."""

QUEUED_S = 0.005
"""A picture that comes faster than this had been waiting."""


def open_stream(uri: CameraUri, config: CameraConfig, clock: Callable[[], float]) -> opencv.Capture:
    """Open a stream and wait for its first fresh picture.

    Raises:
        CameraError: no answer, refused, or nothing that can be decoded; the sentence says which.
    """
    open_ms, read_ms = round(1e3 * config.open_timeout_s), round(1e3 * config.read_timeout_s)
    settings = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        open_ms,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        read_ms,
        cv2.CAP_PROP_N_THREADS,
        1,
    ]
    capture = cv2.VideoCapture(uri.target, cv2.CAP_FFMPEG, settings)
    if not capture.isOpened():
        raise CameraError(f"{uri.shown}: {why_not(uri, min(2.0, config.open_timeout_s))}")
    source = opencv.Capture(capture, uri.shown, config.read_timeout_s, clock)
    pictures = _drain(source, clock)
    if pictures is None:
        source.hold()
        return source
    source.close()
    if pictures:
        raise CameraError(f"{uri.shown}: ended after {pictures} pictures; the address of a snapshot, not of a stream?")
    raise CameraError(f"{uri.shown}: answers, but no picture came within {config.read_timeout_s:g} s")


def _drain(source: opencv.Capture, clock: Callable[[], float]) -> int | None:
    """Grab until one picture had to be waited for: opening RTSP takes 2 s, and then these 2 s come at once.

    Returns:
        How many pictures came until the end, when the stream ended before; else ``None``.
    """
    began_s = clock()
    pictures = 0
    while True:
        asked_s = clock()
        grab = source.grab()
        now_s = clock()
        if grab is Grab.LOST:
            return pictures
        pictures += grab is Grab.PICTURE
        if grab is Grab.PICTURE and (now_s - asked_s >= QUEUED_S or now_s - began_s >= DRAIN_S):
            return None
