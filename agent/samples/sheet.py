"""Kept frames on one picture, with their boxes and reasons: what a person looks at first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from agent.annotate import draw, write_picture
from agent.errors import StorageError
from agent.records import Detections, Labels, Pixels
from agent.sample import Kept, Record, picture
from agent.samples.text import when

MOST = 64
"""Frames on one sheet, the newest: more could not be seen."""

_CELL = (320, 240)
_CAPTION = 34
_INK, _PAPER = (230, 230, 230), 24


def write_sheet(folder: Path, kept: Sequence[Kept], target: Path) -> int:
    """Write the sheet; how many frames are on it.

    Args:
        folder: of the store.
        kept: what is shown, in the order taken; of more than :data:`MOST` the newest.
        target: the file; its ending says the format.

    Raises:
        StorageError: it cannot be written, or no frame has a picture.
    """
    cells, why = [], "no frame is kept that fits"
    for each in kept[-MOST:]:
        try:
            cells.append(_cell(with_boxes(picture(folder, each.record), each.record), each.record))
        except StorageError as error:
            why = f"no frame with a picture; the last: {error}"
    if not cells:
        raise StorageError(f"{folder}: {why}")
    write_picture(target, _joined(cells))
    return len(cells)


def with_boxes(jpeg: bytes, record: Record) -> Pixels:
    """The picture of a frame with what counted as an object drawn on it.

    Raises:
        StorageError: it cannot be decoded.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # more pixels than OpenCV wants to believe
        pixels = None
    if pixels is None:
        raise StorageError(f"{record.name}: no picture that can be decoded")
    boxes = [box for box in record.detections or [] if box.is_object]
    found = Detections(
        np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4),
        np.array([box.score for box in boxes], np.float32),
        np.array([box.class_id for box in boxes], np.int32),
    )
    return draw(np.asarray(pixels, np.uint8), found, Labels({box.class_id: box.label for box in boxes}))


def _cell(pixels: Pixels, record: Record) -> Pixels:
    width, height = _CELL
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    cell = np.full((height + _CAPTION, width, 3), _PAPER, np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    for row, text in enumerate((f"{record.name}  {when(record)}", ", ".join(record.why))):
        cv2.putText(cell, text, (4, height + 13 + 15 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA)
    return cell


def _joined(cells: list[Pixels]) -> Pixels:
    across = math.ceil(math.sqrt(len(cells)))
    blank = np.full_like(cells[0], _PAPER)
    rows = [cells[start : start + across] for start in range(0, len(cells), across)]
    return np.vstack([np.hstack([*row, *[blank] * (across - len(row))]) for row in rows])
