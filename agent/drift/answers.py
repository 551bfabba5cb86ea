"""The features of a model's answers and of their speed. Pure.

Answers are the frame's :class:`~agent.records.Detections`, as published. They know nothing of what fell just below the
threshold; for that, ``scores`` are the model's own, before any threshold: of a graph that decodes its boxes the first
``count`` of ``Outputs.scores``, of raw heads each anchor's best class.
"""

from __future__ import annotations

import math

import numpy as np

from agent.drift.features import SCORE_EDGES, Schema
from agent.records import Detections, FloatArray

_EDGE_PIXELS = 1.0
"""A box that ends so near to the frame's edge is cut by it."""


def answer_values(found: Detections, width: int, height: int) -> FloatArray:
    """Number of objects, mean confidence, size (log2 of the side's share of the frame), share cut by the edge.

    Without objects the last three are NaN: no objects have no size.
    """
    if not len(found):
        return np.array([0.0, np.nan, np.nan, np.nan], np.float32)
    left, top, right, bottom = found.xyxy.T.astype(np.float64)
    area = np.maximum((right - left) * (bottom - top), 1.0) / max(width * height, 1)
    cut = (left <= _EDGE_PIXELS) | (top <= _EDGE_PIXELS) | (right >= width - _EDGE_PIXELS)
    cut |= bottom >= height - _EDGE_PIXELS
    size = float(np.mean(0.5 * np.log2(area)))
    return np.array([len(found), found.confidence.mean(dtype=np.float64), size, cut.mean()], np.float32)


def answer_profile(found: Detections, scores: FloatArray | None, schema: Schema) -> FloatArray:
    """How many scores lie in each bin and how many objects are of each class, float32 (8 + classes,).

    Args:
        found: the frame's objects.
        scores: every score that the model gave, any shape, 0 to 1; None: not known, NaN.
        schema: how many classes there are; a higher class number counts with the last.
    """
    bins = np.full(len(SCORE_EDGES) - 1, np.nan)
    if scores is not None:
        flat = np.asarray(scores, np.float64).ravel()
        bins = np.histogram(flat[np.isfinite(flat)], SCORE_EDGES)[0].astype(np.float64)
    known = np.clip(found.class_id, 0, schema.classes - 1)
    classes = np.bincount(known, minlength=schema.classes)
    return np.concatenate([bins, classes]).astype(np.float32)


def speed_values(invoke_s: float) -> FloatArray:
    """The invoke's duration twice, log2 of seconds: of a block once the mean counts and once the slowest frame.

    A block has too few frames for a p99; its slowest frame is what a p99 is made of.
    """
    if not (math.isfinite(invoke_s) and invoke_s > 0):
        return np.full(2, np.nan, np.float32)
    return np.full(2, math.log2(invoke_s), np.float32)
