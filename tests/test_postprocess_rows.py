"""The plain-Python way of a few rows gives what arrays would give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import ModelConfig
from agent.errors import ModelError
from agent.postprocess.filters import Filters, thresholds
from agent.postprocess.rows import Rows
from agent.records import Detections, Labels, Placement

LABELS = Labels({0: "cat", 1: "dog", 2: "bird"})
side = st.floats(-0.5, 1.5, width=32)
odd = st.sampled_from([float("nan"), float("inf"), float("-inf")])
row = st.tuples(
    side | odd, side | odd, side | odd, side | odd, st.floats(0, 1, width=32) | odd, st.sampled_from([0, 1, 2, 7, -1])
)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(row, max_size=10),
    count=st.integers(-1, 12),
    threshold=st.sampled_from([0.0, 0.3, 0.9]),
    dog=st.sampled_from([0.1, 0.5]),
    min_size=st.sampled_from([0.0, 0.1]),
    placement=st.sampled_from([Placement(640, 480), Placement(320, 240, 0.1, 0.2, 0.8, 0.6)]),
)
def test_rows_are_what_arrays_would_give(  # noqa: PLR0917
    rows: list[tuple[float, ...]], count: int, threshold: float, dog: float, min_size: float, placement: Placement
) -> None:
    config = ModelConfig(score_threshold=threshold, class_thresholds={"dog": dog}, min_size=min_size)
    table = np.array(rows, np.float32).reshape(-1, 6)
    boxes, scores, classes = table[None, :, :4], table[None, :, 4], table[None, :, 5]
    limits = thresholds(config, LABELS)
    found = Rows(limits, min_size)(boxes, scores, classes, np.array([count], np.float32), placement)

    part = table[: max(count, 0)]
    part = part[np.isfinite(part).all(axis=1) & (part[:, 5] >= 0)]
    part = part[part[:, 4] >= limits.take(part[:, 5].astype(int), mode="clip")]
    part = part[np.argsort(-part[:, 4], kind="stable")]
    plain = Detections(placement.to_frame(part[:, :4]), part[:, 4].copy(), part[:, 5].astype(np.int32))
    wanted = Filters(config, LABELS, [])(plain, placement, 100)
    # A box whose side is within rounding of the least one may fall to either side of it.
    sides = wanted.xyxy[:, 2:] - wanted.xyxy[:, :2]
    if len(sides) and np.abs(sides - placement.size[:2] * min_size).min() < 1e-2:
        return
    np.testing.assert_allclose(found.xyxy, wanted.xyxy, atol=1e-3)
    np.testing.assert_array_equal(found.confidence, wanted.confidence)
    np.testing.assert_array_equal(found.class_id, wanted.class_id)


def test_the_best_comes_first_and_each_class_has_its_own_threshold() -> None:
    whole = [0.0, 0.0, 1.0, 1.0]
    rows = [(0.4, 0), (0.6, 1), (0.9, 0), (0.45, 1), (0.7, 2)]
    boxes = np.array([[whole] * len(rows)], np.float32)
    scores, classes = (np.array([column], np.float32) for column in zip(*rows, strict=True))
    limits = np.array([0.3, 0.5, 0.3, 0.3], np.float32)
    found = Rows(limits, 0.0)(boxes, scores, classes, np.array([5.0], np.float32), Placement(640, 480))
    assert found.class_id.tolist() == [0, 2, 1, 0], "0.45 is below its class's 0.5"
    np.testing.assert_allclose(found.confidence, [0.9, 0.7, 0.6, 0.4], rtol=1e-6)


@pytest.mark.parametrize("count", [float("nan"), float("inf")])
def test_a_count_that_is_no_number_is_refused(count: float) -> None:
    empty = np.zeros((1, 0, 4), np.float32), np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32)
    with pytest.raises(ModelError, match="damaged"):
        Rows(np.array([0.5], np.float32), 0.0)(*empty, np.array([count], np.float32), Placement(640, 480))
