"""Small things that several tests need: a clip made on the spot, and the command line as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2

COCO = "models/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite"
PERSON_CLIP = "video/one-by-one-person-detection.mp4"


def edge_agent(*arguments: object, timeout: float = 200, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command and take what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "agent", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )


def json_lines(text: str) -> list[dict[str, Any]]:
    """Every line of JSON output, decoded."""
    return [json.loads(line) for line in text.splitlines()]


def make_clip(path: Path, picture: Path, frames: int, *, fps: float = 25.0, size: tuple[int, int] = (320, 240)) -> Path:
    """A video of one picture that moves a little, so that no two frames are the same."""
    still = cv2.resize(cv2.imread(str(picture)), size)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    for number in range(frames):
        frame = still.copy()
        frame[:, : 1 + number % size[0]] //= 2
        writer.write(frame)
    writer.release()
    return path
