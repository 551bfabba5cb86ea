"""Raspberry Pi cameras, by the system's picamera2. Written after its source; nobody has run it on a board yet.

Its traps: the package comes by apt and not by pip, so a virtual environment sees it only with
``--system-site-packages``; "RGB888" is BGR in memory; an absent camera is an IndexError; a request that timed out stays
in its queue and would leak a buffer, so the camera is opened anew after it.
"""

from __future__ import annotations

import importlib
from concurrent.futures import TimeoutError as JobTimeout
from types import ModuleType
from typing import Any

from agent.camera.source import Grab
from agent.camera.uri import CameraUri
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import Pixels


def load_picamera2(name: str = "picamera2") -> ModuleType:
    """Import the package, late: it takes a second, and exists on boards only.

    Raises:
        CameraError: it is not there, or does not fit this Python.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        raise CameraError(
            f"picamera: needs the package {fault.name}, unseen by this Python: `apt install python3-picamera2` "
            "and an environment made with `python3 -m venv --system-site-packages`"
        ) from fault
    except (ImportError, ValueError) as fault:
        # ValueError: "numpy.dtype size changed", when pip's numpy hides the one that apt's packages were built for.
        raise CameraError(f"picamera: picamera2 cannot be imported: {fault}") from fault


def open_picamera(uri: CameraUri, config: CameraConfig, picamera2: Any) -> PiCamera:
    """Start the camera with the number in ``uri``.

    Raises:
        CameraError: no such camera, or it is in use.
    """
    try:
        camera = picamera2.Picamera2(int(uri.target))
    except IndexError:
        raise CameraError(
            f"{uri.shown}: no such camera; `rpicam-hello --list-cameras` shows what is connected"
        ) from None
    except (RuntimeError, OSError) as fault:
        raise CameraError(f"{uri.shown}: cannot be opened: {fault}; is another program using it?") from fault
    try:
        camera.configure(camera.create_video_configuration(**_wishes(config)))
        camera.start()
    except (RuntimeError, OSError, ValueError) as fault:
        camera.close()
        raise CameraError(f"{uri.shown}: cannot be started: {fault}; check camera.width, height and fps") from fault
    return PiCamera(camera, uri.shown, config.read_timeout_s)


def _wishes(config: CameraConfig) -> dict[str, Any]:
    main: dict[str, Any] = {"format": "RGB888"}
    if config.width and config.height:
        main["size"] = (config.width, config.height)
    # queue=False: the request is the next frame, not one that was finished while we inferred.
    wishes: dict[str, Any] = {"main": main, "buffer_count": 4, "queue": False}
    if config.fps:
        wishes["controls"] = {"FrameRate": config.fps}
    return wishes


class PiCamera:
    """A started Picamera2; a :class:`~agent.camera.source.Source`."""

    def __init__(self, camera: Any, shown: str, read_timeout_s: float) -> None:
        self.is_still = False
        self.name = ""
        self.corrupt_total = 0
        self.why_lost = ""
        self._camera = camera
        self._shown = shown
        self._read_timeout_s = read_timeout_s
        self._request: Any = None

    def grab(self) -> Grab:
        """Wait for the next frame; the one before goes back to the camera."""
        self._release()
        try:
            self._request = self._camera.capture_request(wait=self._read_timeout_s)
        except JobTimeout:
            self.why_lost = f"{self._shown}: no picture within {self._read_timeout_s:g} s; is the ribbon cable seated?"
            return Grab.LOST
        except (RuntimeError, OSError) as fault:
            self.why_lost = f"{self._shown}: {fault}"
            return Grab.LOST
        return Grab.PICTURE

    def taken_s(self, now_s: float) -> float:
        """Begin of exposure, as libcamera states it (CLOCK_BOOTTIME: monotonic, on a board that never sleeps)."""
        stamp_s: float = self._request.get_metadata().get("SensorTimestamp", 0) / 1e9
        return stamp_s if 0.0 <= now_s - stamp_s < 10.0 else now_s

    def retrieve(self) -> Pixels | None:
        """A copy of the frame out of the camera's memory, which goes back at once."""
        pixels: Pixels = self._request.make_array("main")
        self._release()
        return pixels

    def close(self) -> None:
        """Stop the camera and let go of it."""
        self._release()
        self._camera.close()

    def _release(self) -> None:
        if self._request is not None:
            self._request.release()
            self._request = None
