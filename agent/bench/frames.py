"""Real frames, recorded in memory before the run: decoding is no part of what is measured.

Never random input: what post-processing costs depends on the scene (research on published numbers: docs/benchmark.md).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from agent.camera import Camera, parse
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import Frame, Pixels

MOST_BYTES = 64 * 2**20
"""Of recorded frames: a board of 512 MB has to keep room for the model."""


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """Frames to go through in turn.

    Attributes:
        frames: uint8 (height, width, 3) BGR each.
        source: where they come from, without passwords.
        corrupt: frames that could not be decoded while these were recorded.
        sha256: :func:`mark` of recorded files; empty for a camera and for rendered scenes.
    """

    frames: tuple[Pixels, ...]
    source: str
    corrupt: int = 0
    sha256: str = ""


def record(config: CameraConfig, count: int, clock: Callable[[], float] = time.monotonic) -> Footage:
    """Take up to ``count`` frames: every one of a recording, the newest ones of a camera.

    Raises:
        CameraError: no camera, no frame, or it belongs to another process.
    """
    uri = parse(config.uri)
    shown = uri.shown
    camera = Camera(msgspec.structs.replace(config, pace="fast", loop=False), clock=clock)
    try:
        camera.start()
        wait_s = config.open_timeout_s + config.stall_s
        frames, corrupt = take(lambda: camera.read(wait_s), count), camera.status().corrupt_total
        reason = camera.status().reason
    finally:
        camera.stop()
    if not frames:
        raise CameraError(f"camera {shown}: no frame to measure with: {reason or 'it ended at once'}{held_by(reason)}")
    return Footage(frames, shown, corrupt, mark(frames) if uri.kind == "path" else "")


def mark(frames: Sequence[Pixels]) -> str:
    """By which the same frames are known again: sha256 over their sizes and each eighth row and column, in order.

    A sixty-fourth of the bytes: a megabyte of 64 MiB, and a picture that is another one differs there too.
    """
    found = hashlib.sha256()
    for frame in frames:
        found.update(repr(frame.shape).encode())
        found.update(frame[::8, ::8].tobytes())
    return found.hexdigest()


def take(read: Callable[[], Frame | None], count: int) -> tuple[Pixels, ...]:
    """Up to ``count`` frames, fewer when they end or would need more than :data:`MOST_BYTES`."""
    frames: list[Pixels] = []
    most = count
    while len(frames) < most and (frame := read()) is not None:
        frames.append(frame.pixels.copy())  # the camera uses its memory again
        most = min(most, max(1, math.floor(MOST_BYTES / frame.pixels.nbytes)))
    return tuple(frames)


def held_by(reason: str) -> str:
    """What to do about a camera that somebody else has; empty for any other reason.

    >>> held_by("no such device")
    ''
    """
    if not any(word in reason.lower() for word in ("busy", "in use", "another process")):
        return ""
    return "; if the service has it, let the service measure: `edge-agent ask bench`, or the same over MQTT"
