"""USB and other V4L2 cameras, by OpenCV's own V4L2 code.

Seen with the kernel's ``vivid`` device, and it shapes this file: a pixel format that nobody asked for may arrive as
one row of bytes; an unplugged camera fails at once and for ever; opening it again says "opened" though
nothing will come. So an open camera is one that has given a picture.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2

from agent.camera import opencv
from agent.camera.pool import Pool
from agent.camera.uri import CameraUri
from agent.config import CameraConfig
from agent.errors import CameraError

FIRST_TRIES = 5
"""The first pictures of many cameras are broken JPEGs."""


def open_v4l2(
    uri: CameraUri, config: CameraConfig, clock: Callable[[], float], dev: Path = Path("/dev")
) -> opencv.Capture:
    """Open a device and see its first picture.

    Raises:
        CameraError: it is not there, is no camera, is in use, or gives no picture.
    """
    expect_device(Path(uri.target), dev)
    for fourcc in dict.fromkeys((config.fourcc, "YUYV", "MJPG", "")):
        capture = cv2.VideoCapture(uri.target, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise CameraError(
                f"{uri.shown}: cannot be opened as a camera: in use by another program, or no capture device"
            )
        _ask(capture, config, fourcc)
        if _gives_picture(capture, config.read_timeout_s, clock):
            return opencv.Capture(capture, uri.shown, config.read_timeout_s, clock, partial(_stamp_s, capture))
        capture.release()
    raise CameraError(
        f"{uri.shown}: opens, but gives no picture: in use by another program, unplugged, or of a pixel format that "
        f"cannot be converted (set camera.fourcc to one that `v4l2-ctl -d {uri.target} --list-formats` shows)"
    )


def expect_device(path: Path, dev: Path) -> None:
    """Say why a device cannot be opened, where the file system knows.

    Raises:
        CameraError: absent, not a character device, or not permitted.
    """
    try:
        is_device = stat.S_ISCHR(path.stat().st_mode)
    except FileNotFoundError:
        there = ", ".join(sorted(str(node) for node in dev.glob("video*"))) or "no camera at all"
        raise CameraError(f"{path}: no such camera; there is {there}. Is it plugged in?") from None
    except OSError as fault:
        raise CameraError(f"{path}: {fault.strerror}") from fault
    if not is_device:
        raise CameraError(
            f"{path}: is no camera but a file; give a file's path without /dev, or a device such as /dev/video0"
        )
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(f"{path}: permission denied; add this user to the group video (`usermod -aG video USER`)")


def _ask(capture: cv2.VideoCapture, config: CameraConfig, fourcc: str) -> None:
    """Ask for format, size and rate, in this order: the sizes on offer depend on the format. The device may refuse."""
    if len(fourcc) == 4:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(fourcc[0], fourcc[1], fourcc[2], fourcc[3]))
    for setting, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, config.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, config.height),
        (cv2.CAP_PROP_FPS, config.fps),
    ):
        if value:
            capture.set(setting, value)


def _gives_picture(capture: cv2.VideoCapture, read_timeout_s: float, clock: Callable[[], float]) -> bool:
    deadline_s = clock() + read_timeout_s
    for _ in range(FIRST_TRIES):
        if opencv.grab(capture) and opencv.decode(capture, Pool()) is not None:
            return True
        if clock() >= deadline_s:
            return False
    return False


def _stamp_s(capture: cv2.VideoCapture, now_s: float) -> float:
    """The driver's time stamp (V4L2 stamps with CLOCK_MONOTONIC); the arrival where it makes no sense."""
    stamp_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
    return stamp_s if 0.0 <= now_s - stamp_s < 10.0 else now_s
