"""Raw SSD heads -> boxes and scores.

Box coder: Liu et al., 2016, arXiv 1512.02325, section 2.2, with variances; TensorFlow's FasterRcnnBoxCoder with scale
factors 10, 10, 5, 5 is the same with variances 0.1, 0.1, 0.2, 0.2::

    centre = anchor centre + t * variance * anchor size        size = anchor size * exp(t * variance)
"""

from __future__ import annotations

import numpy as np

from agent.records import FloatArray, Heads, IntArray

_MOST_CANDIDATES = 1000
"""Best-scored candidates that reach suppression: a threshold of 0 must not cost a second a frame."""

_EXP_LIMIT = 20.0
"""exp() of more than this is no box; the clip keeps damaged weights from overflowing."""


def decode_boxes(encoded: FloatArray, anchors: FloatArray, heads: Heads) -> FloatArray:
    """Boxes relative to the input.

    Args:
        encoded: float32 (n, 4) in ``heads.box_order``.
        anchors: float32 (n, 4), centre x, centre y, width, height.
        heads: order and variances.

    Returns:
        float32 (n, 4) as ymin, xmin, ymax, xmax, not clipped.
    """
    order = [1, 0, 3, 2] if heads.box_order == "yxhw" else [0, 1, 2, 3]
    offset = encoded[:, order] * np.array(heads.variances, np.float32)
    centre = anchors[:, :2] + offset[:, :2] * anchors[:, 2:]
    half = 0.5 * anchors[:, 2:] * np.exp(np.minimum(offset[:, 2:], _EXP_LIMIT))
    corners: FloatArray = np.concatenate([centre - half, centre + half], axis=1)[:, [1, 0, 3, 2]]
    return corners


def candidates(raw: FloatArray, heads: Heads, thresholds: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Every (anchor, class) whose score reaches the class's threshold.

    Args:
        raw: float32 (anchors, columns), one column a class, the background first where ``heads`` says so.
        heads: activation and background.
        thresholds: float32, by class number; the last one stands for all further classes.

    Returns:
        Anchor numbers, class numbers and scores 0 to 1, in no order; at most the 1,000 best.
    """
    first = 1 if heads.background else 0
    columns = raw.shape[1] - first
    limit = thresholds[np.minimum(np.arange(columns), len(thresholds) - 1)]
    with np.errstate(all="ignore"):  # a damaged model gives infinities and NaN; they reach no threshold below
        if heads.score_activation == "softmax":
            scores = _softmax(raw)[:, first:]
            anchor, classes = np.nonzero(scores >= limit)
            found = scores[anchor, classes]
        elif heads.score_activation == "sigmoid":
            # Compared before the sigmoid: it is monotone, and nearly every anchor stays below.
            anchor, classes = np.nonzero(raw[:, first:] >= np.log(limit) - np.log1p(-limit))
            found = (1 / (1 + np.exp(-raw[anchor, classes + first]))).astype(np.float32)
        else:
            anchor, classes = np.nonzero(raw[:, first:] >= limit)
            found = raw[anchor, classes + first]
    real = np.isfinite(raw[anchor, classes + first])
    return _best(anchor[real].astype(np.int32), classes[real].astype(np.int32), found[real])


def _best(anchor: IntArray, classes: IntArray, scores: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    if len(scores) <= _MOST_CANDIDATES:
        return anchor, classes, scores
    best = np.argpartition(-scores, _MOST_CANDIDATES)[:_MOST_CANDIDATES]
    return anchor[best], classes[best], scores[best]


def _softmax(raw: FloatArray) -> FloatArray:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return shares
