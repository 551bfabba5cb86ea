"""One picture from the camera, for ``edge-agent check``: starts no thread, retries nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.camera.opening import Opener, make_opener
from agent.camera.source import MISS_LIMIT, Grab
from agent.camera.uri import parse
from agent.config import CameraConfig
from agent.errors import CameraError


def check(
    config: CameraConfig, *, clock: Callable[[], float] = time.monotonic, opener: Opener | None = None
) -> tuple[int, int, float]:
    """Open the camera, take one frame, close it.

    Returns:
        Width and height of the frame, pixels, and how long it took, seconds.

    Raises:
        CameraError: what ``edge-agent run`` would report as down, in one sentence.
    """
    uri = parse(config.uri)
    began_s = clock()
    source = (opener or make_opener(uri, config, clock, lambda _: None))()
    try:
        for _ in range(2 * MISS_LIMIT):
            grab = source.grab()
            if grab is Grab.LOST:
                raise CameraError(source.why_lost)
            if grab is Grab.PICTURE and (pixels := source.retrieve()) is not None:
                return pixels.shape[1], pixels.shape[0], clock() - began_s
    finally:
        source.close()
    raise CameraError(f"{uri.shown}: opens, but gives no picture that can be decoded")
