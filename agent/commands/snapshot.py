"""A picture on request: drawn and encoded from the newest result; the inference loop pays one assignment a frame."""

from __future__ import annotations

import base64
from collections.abc import Callable

import cv2
import numpy as np

from agent.annotate import draw
from agent.records import Answer, Command, FrameResult, Labels, Pixels

JPEG_BYTES = 80 * 1024
"""Largest picture that is sent: with base64 and the envelope it stays below the 128 KiB of a packet."""

_QUALITIES = (80, 60, 40, 20)


class Snapshots:
    """The operation ``snapshot``.

    Attributes:
        newest: the newest result, set by the main thread.
        on_picture: given each picture that a command made, on the thread "writer".
    """

    def __init__(self, labels: Labels) -> None:
        self.newest: FrameResult | None = None
        self.on_picture: Callable[[bytes], None] = lambda _: None
        self._labels = labels

    def __call__(self, command: Command, _: object) -> Answer:
        """The newest frame with its boxes."""
        result = self.newest
        if result is None:
            return Answer(command, "failed", "no-camera", "no frame has been answered yet")
        picture = self.picture(result)
        self.on_picture(picture)
        found = {self._labels.name(int(number)) for number in result.detections.class_id}
        data = {
            "jpeg": base64.b64encode(picture).decode(),
            "sees": ", ".join(sorted(found)),
            "sequence": result.frame.sequence,
        }
        return Answer(command, "succeeded", data=data)

    def picture(self, result: FrameResult) -> bytes:
        """A result as a JPEG with its boxes, of at most :data:`JPEG_BYTES`."""
        return encode(draw(result.frame.pixels, result.detections, self._labels), JPEG_BYTES)


def encode(picture: Pixels, most_bytes: int) -> bytes:
    """The picture as a JPEG of at most ``most_bytes``: first of less quality, then of half the size, and so on."""
    while True:
        for quality in _QUALITIES:
            data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(data) <= most_bytes or min(picture.shape[:2]) < 2:
                return data
        picture = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
