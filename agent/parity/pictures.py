"""Pictures for a comparison, from anywhere that the agent takes frames from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from agent.camera import Camera, parse
from agent.config import Config, override
from agent.errors import CameraError
from agent.records import CameraStatus, Pixels


class Pictures:
    """Frames of the configured camera, every one of a recording, one at a time.

    Args:
        config: its ``camera.uri`` names the source.
        limit: at most so many.
        clock: monotonic seconds.

    Attributes:
        corrupt_total: pictures that could not be decoded.
    """

    def __init__(self, config: Config, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = override(config, {"camera.pace": "fast"}).camera
        self._limit, self._clock = limit, clock
        self.corrupt_total = 0

    def __iter__(self) -> Iterator[Pixels]:
        """Open the source and give its frames; close it at the end.

        Raises:
            CameraError: it cannot be opened, gives no picture, or stops giving them.
        """
        camera = Camera(self._config, clock=self._clock)
        camera.start()
        try:
            for _ in range(self._limit):
                frame = camera.read(self._config.open_timeout_s + self._config.stall_s)
                self.corrupt_total = camera.status().corrupt_total
                if frame is None and camera.ended:
                    return
                if frame is None:
                    raise CameraError(_no_picture(parse(self._config.uri).shown, camera.status()))
                yield frame.pixels
        finally:
            camera.stop()


def _no_picture(shown: str, status: CameraStatus) -> str:
    # Another process holds it, most likely the service: two cannot read one camera.
    return (
        f"camera {shown}: no picture: {status.reason or status.state}; where the service holds it, stop the service "
        "or give a recording, or set parity.every_s to compare in service"
    )
