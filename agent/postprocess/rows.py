"""The few rows of a decoding graph -> detections, in plain Python.

After ``invoke`` the caches hold weights: each numpy call then costs about ten microseconds, whatever it computes. Ten
rows in plain Python cost a fifth of two dozen such calls. ``tests/test_postprocess.py`` holds this file to the arrays'
answer.
"""

from __future__ import annotations

import math

import numpy as np

from agent.errors import ModelError
from agent.records import Detections, FloatArray, Placement

_MOST_CLASSES = 1_000_000
"""More classes than any model has; a number beyond is damage."""

_EMPTY = Detections.empty()


class Rows:
    """Chooses among the rows that ``TFLite_Detection_PostProcess`` gives.

    Args:
        thresholds: score threshold by class number; the last one stands for all further classes.
        min_size: least side of a box, relative to the frame's.
    """

    def __init__(self, thresholds: FloatArray, min_size: float) -> None:
        self._thresholds: list[float] = thresholds.tolist()
        self._lowest = min(self._thresholds)
        self._last = len(self._thresholds) - 1
        self._min_size = min_size

    def __call__(
        self, boxes: FloatArray, scores: FloatArray, classes: FloatArray, count: FloatArray, placement: Placement
    ) -> Detections:
        """Of the first ``count`` rows, those that are objects, best first, ``xyxy`` in frame pixels.

        Raises:
            ModelError: the count is no number.
        """
        said = float(count.item(0))
        if not math.isfinite(said):
            raise ModelError(f"the model says that it found {said} objects; the file is damaged")
        ranked: list[float] = scores[0].tolist()[: max(int(said), 0)]
        lowest = self._lowest
        sure = [row for row, score in enumerate(ranked) if score >= lowest]
        if not sure:
            return _EMPTY
        numbers, corners = classes[0].tolist(), boxes[0].tolist()
        sure.sort(key=ranked.__getitem__, reverse=True)
        return self._placed([(ranked[row], numbers[row], corners[row]) for row in sure], placement)

    def _placed(self, rows: list[tuple[float, float, list[float]]], placement: Placement) -> Detections:
        width, height = placement.frame_width, placement.frame_height
        across, down = width / placement.width, height / placement.height
        least_x, least_y = width * self._min_size, height * self._min_size
        found = []
        for score, number, (top, left, bottom, right) in rows:
            if not (math.isfinite(score) and 0 <= number <= _MOST_CLASSES):
                continue
            if score < self._thresholds[min(int(number), self._last)]:
                continue
            if not math.isfinite(top + left + bottom + right):
                continue
            x0 = min(max((left - placement.left) * across, 0.0), width)
            y0 = min(max((top - placement.top) * down, 0.0), height)
            x1 = min(max((right - placement.left) * across, 0.0), width)
            y1 = min(max((bottom - placement.top) * down, 0.0), height)
            if x1 > x0 and y1 > y0 and x1 - x0 >= least_x and y1 - y0 >= least_y:
                found.append((x0, y0, x1, y1, min(score, 1.0), number))
        if not found:
            return _EMPTY
        table = np.array(found, np.float32)
        return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32))
