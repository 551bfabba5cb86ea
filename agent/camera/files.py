"""Recordings: a video file, a folder of pictures, one picture. Each ends, or begins again.

What a file is, its content says and not its name. An animated GIF is a video.
"""

from __future__ import annotations

import stat
from pathlib import Path

import cv2
import numpy as np

from agent.camera import opencv
from agent.camera.header import MOST_PIXELS, size_of
from agent.camera.pool import Pool
from agent.camera.source import MISS_LIMIT, Grab, Recording
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import Pixels

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})
"""What counts as a picture in a folder, by the end of its name."""


def open_path(text: str, config: CameraConfig) -> Recording:
    """Open whatever is at a path, and see its first picture.

    Raises:
        CameraError: absent, unreadable, empty, or nothing that can be decoded.
    """
    path = Path(text).expanduser()
    mode, head = _peek(path)
    if stat.S_ISDIR(mode):
        return Pictures(list_pictures(path), config, folder=path)
    if head.startswith(b"GIF8") or not cv2.haveImageReader(str(path)):
        return Video(path, loop=config.loop)
    return Pictures([path], config)


def read_picture(path: Path) -> Pixels:
    """One picture, uint8 (height, width, 3) BGR.

    Raises:
        CameraError: absent, unreadable, empty, no picture, or one of more than 67 million pixels.
    """
    mode, _ = _peek(path)
    if stat.S_ISDIR(mode):
        raise CameraError(f"{path}: is a folder; give the pictures in it")
    _refuse_huge(path)
    pixels = _decode(path)
    if pixels is None:
        raise CameraError(f"{path}: no picture that can be decoded; is it cut off or damaged?")
    return pixels


def _refuse_huge(path: Path) -> None:
    """Before anything is decoded: its pixels may be more than the board's memory."""
    try:
        width, height = size_of(path) or (0, 0)
    except OSError as fault:
        raise CameraError(f"{path}: cannot be read: {fault.strerror}") from fault
    if width * height > MOST_PIXELS:
        raise CameraError(
            f"{path}: says that it has {width} x {height} pixels, {MOST_PIXELS / 1e6:.0f} million are the most; "
            "make it smaller"
        )


def _peek(path: Path) -> tuple[int, bytes]:
    """Mode and first bytes, or the reason why not."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return mode, b""
        if not stat.S_ISREG(mode):
            raise CameraError(f"{path}: is neither a file nor a folder; a camera's device begins with /dev/")
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise CameraError(f"{path}: no such file or folder (paths count from {Path.cwd()})") from None
    except OSError as fault:
        raise CameraError(f"{path}: cannot be read: {fault.strerror}") from fault
    if not head:
        raise CameraError(f"{path}: the file is empty")
    return mode, head


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder by name, hidden files left out; never empty.

    Raises:
        CameraError: it cannot be read, or has none.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if _is_picture(path))
    except OSError as fault:
        raise CameraError(f"{folder}: cannot be read: {fault.strerror}") from fault
    if not paths:
        raise CameraError(f"{folder}: no pictures in this folder ({', '.join(sorted(PICTURES))})")
    return paths


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and path.name[0] != "." and path.is_file()


class Video:
    """A video file; a :class:`~agent.camera.source.Recording`.

    One decoder thread: it costs a tenth of the decoding speed, and leaves the other cores to the model.
    """

    def __init__(self, path: Path, *, loop: bool) -> None:
        self.is_still = False
        self.name = ""
        self.corrupt_total = 0
        self.why_lost = ""
        self._path = path
        self._loop = loop
        self._pool = Pool()
        self._capture = self._open()
        self._pending = True

    def grab(self) -> Grab:
        """Decode up to the next picture; what is damaged in between is counted."""
        if self._pending:
            self._pending = False
            return Grab.PICTURE
        for misses in range(MISS_LIMIT):
            if opencv.grab(self._capture):
                self.corrupt_total += misses
                return Grab.PICTURE
        return self._begin_again() if self._loop else Grab.ENDED

    def media_s(self) -> float:
        """The picture's timestamp in the file."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3

    def taken_s(self, now_s: float) -> float:
        """The time of decoding: as fast as possible, a recording has no other."""
        return now_s

    def retrieve(self) -> Pixels | None:
        """The picture, converted to BGR."""
        pixels = opencv.decode(self._capture, self._pool)
        self.corrupt_total += pixels is None
        return pixels

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not (capture.isOpened() and any(opencv.grab(capture) for _ in range(MISS_LIMIT))):
            capture.release()
            raise CameraError(
                f"{self._path}: neither a picture nor a video that can be decoded; is it cut off or damaged?"
            )
        return capture

    def _begin_again(self) -> Grab:
        # Opened anew: to seek to frame 0 is exact in some containers only, and silently wrong in others.
        self._capture.release()
        try:
            self._capture = self._open()
        except CameraError as fault:
            self.why_lost = str(fault)
            return Grab.LOST
        return Grab.PICTURE


class Pictures:
    """Pictures in the order of their names; a :class:`~agent.camera.source.Recording`. Sizes may differ.

    Args:
        paths: at least one.
        config: ``folder_fps`` gives them their time, ``loop`` their return.
        folder: listed again at each round, for who adds pictures meanwhile.
    """

    def __init__(self, paths: list[Path], config: CameraConfig, folder: Path | None = None) -> None:
        self.is_still = True
        self.name = ""
        self.corrupt_total = 0
        self.why_lost = ""
        self._paths = paths
        self._folder = folder
        self._loop = config.loop
        self._step_s = 1.0 / config.folder_fps
        self._next = 0
        self._count = 0
        self._pixels: Pixels | None = None
        self._pending = self._read_next()
        if not self._pending:
            what = f"none of the {len(paths)} pictures" if folder else "the picture"
            raise CameraError(f"{folder or paths[0]}: {what} can be decoded; cut off or damaged?")

    def grab(self) -> Grab:
        """Read the next picture; one that cannot be read is counted and passed over."""
        if self._pending:
            self._pending = False
            return Grab.PICTURE
        if self._read_next():
            return Grab.PICTURE
        return self._begin_again() if self._loop else Grab.ENDED

    def media_s(self) -> float:
        """As a camera of ``folder_fps`` frames a second."""
        return self._count * self._step_s

    def taken_s(self, now_s: float) -> float:
        """The time of reading."""
        return now_s

    def retrieve(self) -> Pixels | None:
        """The picture, which ``grab`` has decoded already."""
        return self._pixels

    def close(self) -> None:
        """Nothing is open between two pictures."""

    def _read_next(self) -> bool:
        while self._next < len(self._paths):
            path = self._paths[self._next]
            self._next += 1
            pixels = _decode(path)
            if pixels is not None:
                self._pixels, self.name = pixels, path.name
                self._count += 1
                return True
            self.corrupt_total += 1
        return False

    def _begin_again(self) -> Grab:
        self._next = 0
        try:
            self._paths = list_pictures(self._folder) if self._folder else self._paths
        except CameraError as fault:
            self.why_lost = str(fault)
            return Grab.LOST
        if self._read_next():
            return Grab.PICTURE
        self.why_lost = f"{self._folder or self._paths[0]}: can no longer be read"
        return Grab.LOST


def _decode(path: Path) -> Pixels | None:
    try:
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # more pixels than OpenCV wants to believe
        return None
    return None if pixels is None else np.asarray(pixels, np.uint8)
