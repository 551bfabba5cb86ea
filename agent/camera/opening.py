"""From an address to an opened source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.camera.files import open_path
from agent.camera.opencv import tune
from agent.camera.pace import Paced, Pacer
from agent.camera.picam import load_picamera2, open_picamera
from agent.camera.rendered.source import Rendered, read_options
from agent.camera.source import Recording, Source
from agent.camera.stream import open_stream
from agent.camera.uri import CameraUri
from agent.camera.v4l2 import open_v4l2
from agent.config import CameraConfig

Opener = Callable[[], Source]
"""Opens the source, as often as needed; raises CameraError with the reason when it cannot."""


def make_opener(
    uri: CameraUri,
    config: CameraConfig,
    clock: Callable[[], float],
    wait: Callable[[float], object],
    load: Callable[[], Any] = load_picamera2,
) -> Opener:
    """Everything that opening this address will need.

    Args:
        uri: the parsed address.
        config: the camera's settings.
        clock: monotonic seconds.
        wait: sleeps for so many seconds, or less when the camera is being stopped.
        load: imports picamera2.

    Raises:
        CameraError: a package is missing, so that trying again cannot help.
    """
    tune(config.read_timeout_s)
    if uri.kind == "v4l2":
        return lambda: open_v4l2(uri, config, clock)
    if uri.kind == "stream":
        return lambda: open_stream(uri, config, clock)
    if uri.kind == "picamera":
        picamera2 = load()
        return lambda: open_picamera(uri, config, picamera2)
    record = _recorder(uri, config)
    if config.pace == "fast":
        return record
    # At most half of stall_s between two frames: a pause in a recording is no fault of a camera.
    return lambda: Paced(record(), Pacer(config.stall_s / 2), clock, wait)


def _recorder(uri: CameraUri, config: CameraConfig) -> Callable[[], Recording]:
    if uri.kind == "rendered":
        options = read_options(uri.target, config)
        return lambda: Rendered(options)
    return lambda: open_path(uri.target, config)
