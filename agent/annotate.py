"""Pictures with boxes drawn on them, written to a video file or a folder.

``draw`` is pure. ``Recorder`` owns the thread named "writer": the inference loop hands a result over and goes on. A
source that is read as fast as possible waits for the writer, so that the file is complete; a live one does not, and
what could not be written is counted.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import cv2
import numpy as np

from agent.errors import StorageError
from agent.files import write_whole
from agent.records import Detections, FrameResult, Labels, Pixels

_QUEUE_FRAMES = 8
_FRAMES_FOR_FPS = 16
"""Frames that are held back until their capture times say how fast the video should play."""

_VIDEO_SUFFIXES = {".mp4", ".avi", ".mkv"}


def draw(pixels: Pixels, detections: Detections, labels: Labels) -> Pixels:
    """A copy of the picture with a box, a name and a confidence on each object."""
    picture = pixels.copy()
    scale = max(0.4, picture.shape[0] / 1000)
    for box, confidence, class_id in zip(detections.xyxy, detections.confidence, detections.class_id, strict=True):
        left, top, right, bottom = (round(float(side)) for side in box)
        color = _color(int(class_id))
        cv2.rectangle(picture, (left, top), (right, bottom), color, 2)
        text = f"{labels.name(int(class_id))} {confidence:.2f}"
        (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        above = max(top, height + base)
        cv2.rectangle(picture, (left, above - height - base), (left + width, above), color, -1)
        cv2.putText(
            picture, text, (left, above - base), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
        )
    return picture


def write_picture(path: Path, pixels: Pixels) -> None:
    """Write one picture; the suffix says the format.

    Raises:
        StorageError: it cannot be encoded or written.
    """
    try:
        ok, data = cv2.imencode(path.suffix or ".jpg", pixels)
    except cv2.error:
        ok = False
    if not ok:
        raise StorageError(f"{path}: {path.suffix!r} is no picture format that can be written; say .jpg or .png")
    try:
        write_whole(path, data.tobytes(), safely=False)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None


class Recorder:
    """Writes annotated frames on a thread of its own.

    Args:
        target: a video file (.mp4, .avi, .mkv) or a folder for one JPEG a frame.
        labels: class names.
        fps: frames a second that the video file claims; None: as the first frames came, so that it plays in real time.
        wait: wait for the writer rather than leave frames out.

    Raises:
        StorageError: the target cannot be written.
    """

    def __init__(self, target: Path, labels: Labels, *, fps: float | None = None, wait: bool = False) -> None:
        self._target, self._labels, self._fps, self._wait = target, labels, fps, wait
        self._queue: queue.Queue[FrameResult | None] = queue.Queue(_QUEUE_FRAMES)
        self._video: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._held: list[tuple[float, Pixels]] = []
        self._failure: StorageError | None = None
        self.written_total = 0
        self.left_out_total = 0
        self._is_video = target.suffix.lower() in _VIDEO_SUFFIXES
        if target.suffix and not self._is_video and not target.is_dir():
            raise StorageError(f"{target}: is no video to write; say .mp4, .avi or .mkv, or a folder without an ending")
        _prepare(target, is_video=self._is_video)
        self._thread = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self._thread.start()

    def put(self, result: FrameResult) -> None:
        """Hand one result over.

        Raises:
            StorageError: an earlier one could not be written.
        """
        if self._failure is not None:
            raise self._failure
        try:
            self._queue.put(result, block=self._wait)
        except queue.Full:
            self.left_out_total += 1

    def close(self) -> None:
        """Write what is waiting and close the file.

        Raises:
            StorageError: a frame could not be written.
        """
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _write_all(self) -> None:
        try:
            while (result := self._queue.get()) is not None:
                self._try(result)
            self._try(None)
        finally:
            if self._video is not None:
                self._video.release()

    def _try(self, result: FrameResult | None) -> None:
        """Write one result, or at the end whatever is held back; after a failure nothing more is tried."""
        if self._failure is not None:
            return
        try:
            if result is None:
                self._release_held()
            else:
                self._write(result)
                self.written_total += 1
        except StorageError as error:
            self._failure = error

    def _write(self, result: FrameResult) -> None:
        picture = draw(result.frame.pixels, result.detections, self._labels)
        if not self._is_video:
            write_picture(self._target / f"{_stem(result)}.jpg", picture)
            return
        self._held.append((result.frame.captured_s, picture))
        if self._video is not None or len(self._held) >= _FRAMES_FOR_FPS:
            self._release_held()

    def _release_held(self) -> None:
        if not self._held:
            return
        if self._video is None:
            height, width = self._held[0][1].shape[:2]
            self._video = self._open(width, height, self._fps or _rate([taken_s for taken_s, _ in self._held]))
        for _, picture in self._held:
            fits = picture.shape[1::-1] == self._size
            self._video.write(picture if fits else cv2.resize(picture, self._size))
        self._held.clear()

    def _open(self, width: int, height: int, fps: float) -> cv2.VideoWriter:
        code = "MJPG" if self._target.suffix.lower() == ".avi" else "mp4v"
        video = cv2.VideoWriter(str(self._target), cv2.VideoWriter.fourcc(*code), fps, (width, height))
        if not video.isOpened():
            raise StorageError(f"{self._target}: cannot be written as a video; say .mp4 or .avi, or give a folder")
        self._size = (width, height)
        return video


def _rate(taken_s: list[float]) -> float:
    """Frames a second of these capture times; 10 when they do not tell."""
    span_s = taken_s[-1] - taken_s[0]
    return min(max((len(taken_s) - 1) / span_s, 0.1), 240.0) if span_s > 0 else 10.0


def _stem(result: FrameResult) -> str:
    return Path(result.frame.name).stem or f"frame-{result.frame.sequence:08d}"


def _prepare(target: Path, *, is_video: bool) -> None:
    folder = target.parent if is_video else target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".edge-agent-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}") from None


def _color(class_id: int) -> tuple[int, int, int]:
    # Neighbouring class numbers get far-apart hues: the golden ratio of the circle.
    hue = np.uint8(round(class_id * 0.618034 * 180) % 180)
    blue, green, red = cv2.cvtColor(np.array([[[hue, 200, 170]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(blue), int(green), int(red)
