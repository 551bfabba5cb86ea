"""Commands from afar: a closed list of operations, each answered exactly once; never a shell.

``take`` is called on the mqtt thread and returns at once. What takes time is done on the thread "writer": a snapshot is
drawn and encoded there, from the newest result, and costs the inference loop one assignment a frame.
"""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Callable

import cv2
import numpy as np

from agent.annotate import draw
from agent.records import Answer, Command, FrameResult, Labels, Pixels

JPEG_BYTES = 80 * 1024
"""Largest picture that is sent: with base64 and the envelope it stays below the 128 KiB of a packet."""

_QUEUE = 8
_QUALITIES = (80, 60, 40, 20)


OFFERED = {"snapshot": {"type": "object", "properties": {}, "description": "The newest frame with its boxes."}}
"""Operations, each with the JSON Schema of its arguments; the birth message carries it."""


class Commands:
    """Takes commands, carries them out, and answers.

    Args:
        answer: where replies go.
        labels: class names.
        wall: unix time in seconds, for expiry.
    """

    def __init__(self, answer: Callable[[Answer], None], labels: Labels, wall: Callable[[], float]) -> None:
        self.newest: FrameResult | None = None
        self._answer, self._labels, self._wall = answer, labels, wall
        self._queue: queue.Queue[Command | None] = queue.Queue(_QUEUE)
        self._operations = {"snapshot": self._snapshot}
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    def start(self) -> None:
        """Begin to carry commands out."""
        self._thread.start()

    def stop(self) -> None:
        """End after the command at hand; what waits is not answered any more."""
        if self._thread.ident is None:
            return
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout=2.0)

    def take(self, command: Command) -> None:
        """Take one command; what cannot be done is answered at once."""
        refusal = self._refusal(command)
        if refusal is None:
            try:
                self._queue.put_nowait(command)
            except queue.Full:
                refusal = Answer(command, "rejected", "busy", f"{_QUEUE} commands wait already; try again later")
        if refusal is not None:
            self._answer(refusal)

    def _refusal(self, command: Command) -> Answer | None:
        if command.op not in self._operations:
            known = ", ".join(self._operations)
            return Answer(command, "rejected", "unsupported", f"no operation is called {command.op!r}; known: {known}")
        if command.args is None:
            return Answer(command, "rejected", "bad-args", "the request is no JSON object with exp and args")
        if command.expires_s is not None and self._wall() > command.expires_s:
            return Answer(command, "expired", "expired", "it came after its expiry; was the board away?")
        return None

    def _work(self) -> None:
        while (command := self._queue.get()) is not None:
            self._answer(self._operations[command.op](command))

    def _snapshot(self, command: Command) -> Answer:
        result = self.newest
        if result is None:
            return Answer(command, "failed", "no-camera", "no frame has been answered yet")
        picture = encode(draw(result.frame.pixels, result.detections, self._labels), JPEG_BYTES)
        found = {self._labels.name(int(number)) for number in result.detections.class_id}
        data: dict[str, str | int | float | bool | None] = {
            "jpeg": base64.b64encode(picture).decode(),
            "sees": ", ".join(sorted(found)),
            "sequence": result.frame.sequence,
        }
        return Answer(command, "succeeded", data=data)


def encode(picture: Pixels, most_bytes: int) -> bytes:
    """The picture as a JPEG of at most ``most_bytes``: first of less quality, then of half the size, and so on."""
    while True:
        for quality in _QUALITIES:
            data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(data) <= most_bytes or min(picture.shape[:2]) < 2:
                return data
        picture = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
