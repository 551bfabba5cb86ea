"""Thresholds that keep the old rate of false positives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.recalibrate.operating import LEAST_EVIDENCE, Judged, judge, rate_interval, refit
from agent.records import Detections

SCORES = st.floats(0.0625, 1.0, width=32)
FRAMES = st.lists(st.lists(st.tuples(st.integers(0, 2), SCORES, st.booleans()), max_size=8), min_size=1, max_size=12)


def frame(items: list[tuple[int, float, bool]]) -> Judged:
    return Judged(
        np.array([item[0] for item in items], np.int32),
        np.array([item[1] for item in items], np.float32),
        np.array([item[2] for item in items], bool),
    )


def false_ones(frames: list[Judged], class_id: int, threshold: float) -> int:
    return sum(
        int(((each.class_id == class_id) & each.is_false & (each.confidence >= threshold)).sum()) for each in frames
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Judged], list[Judged]]:
    old = draw(FRAMES)
    new = draw(st.lists(st.sampled_from([*old, []]), min_size=len(old), max_size=len(old)))
    moved = draw(st.floats(0.3, 3.0))
    turned = [[(number, score**moved, false) for number, score, false in each] for each in new]
    return [frame(each) for each in old], [frame(each) for each in turned]


@given(pairs(), st.floats(0.1, 0.9))
def test_no_class_gets_more_false_positives_than_it_had(both: tuple[list[Judged], list[Judged]], old: float) -> None:
    for number, found in refit(*both, {}, default=old, floor=0.0).items():
        assert 0.0 <= found.threshold <= 1.0
        before, after = false_ones(both[0], number, old), false_ones(both[1], number, found.threshold)
        assert found.old_rate == before / len(both[0])
        assert found.rate == pytest.approx(after / len(both[1]))
        assert found.interval[0] <= found.rate <= found.interval[1] or before == after == 0 or len(both[0]) < 20
        if found.evidence < LEAST_EVIDENCE:
            assert not found.is_moved
            continue
        perfect = any((each.confidence[each.is_false & (each.class_id == number)] >= 1.0).any() for each in both[1])
        assert after <= before or perfect, "no threshold keeps out a score of 1"
        if found.is_moved and found.threshold > old:
            assert false_ones(both[1], number, old) > before, "it rises only where it must"


@example([[(0, 0.8320165276527405, True)] * 5], 0.8320165547597306)
@given(FRAMES, st.floats(0.1, 0.9))
def test_a_model_that_answers_as_before_keeps_its_thresholds(
    items: list[list[tuple[int, float, bool]]], old: float
) -> None:
    frames = [frame(each) for each in items]
    assert not any(found.is_moved for found in refit(frames, frames, {}, default=old).values())


@given(FRAMES, st.permutations(range(12)), st.floats(0.1, 0.9))
def test_the_order_of_frames_moves_no_threshold(
    items: list[list[tuple[int, float, bool]]], order: list[int], old: float
) -> None:
    frames = [frame(each) for each in items]
    other = [frame([(number, score**2, false) for number, score, false in each]) for each in items]
    places = [place for place in order if place < len(frames)]
    straight = refit(frames, other, {}, default=old)
    turned = refit([frames[place] for place in places], [other[place] for place in places], {}, default=old)
    assert {key: value.threshold for key, value in straight.items()} == {
        key: value.threshold for key, value in turned.items()
    }


@given(st.integers(60, 90), st.floats(0.1, 0.9), st.floats(1.05, 3.0))
def test_higher_scores_never_lower_the_threshold(count: int, old: float, power: float) -> None:
    scores = np.linspace(0.06, 0.99, count)
    frames = [frame([(1, float(score), True)]) for score in scores]
    down, up = ([frame([(1, float(score**p), True)]) for score in scores] for p in (power, 1 / power))
    lower, higher = (refit(frames, turned, {}, default=old)[1] for turned in (down, up))
    assert lower.threshold <= old <= higher.threshold
    assert lower.rate <= lower.old_rate
    assert higher.rate <= higher.old_rate


def test_each_class_has_its_own_threshold_and_evidence() -> None:
    old = [frame([(1, 0.7, True), (2, 0.7, True), (3, 0.4, False)]) for _ in range(20)]
    new = [frame([(1, 0.9, True), (1, 0.8, True), (2, 0.7, True), (3, 0.9, False)]) for _ in range(20)]
    found = refit(old, new, {1: 0.6, 2: 0.65})
    assert found[1].threshold == pytest.approx(0.85)
    assert found[1].rate == 1.0
    assert (found[2].threshold, found[2].is_moved) == (0.65, False)
    assert (found[3].threshold, found[3].evidence) == (0.5, 0), "a class without false positives keeps its own"


def test_a_lower_score_lowers_the_threshold_but_not_below_the_floor() -> None:
    old = [frame([(1, 0.7, True)]) for _ in range(20)]
    for score, floor, expected in ((0.3, 0.05, 0.3), (0.3, 0.4, 0.4), (0.01, 0.05, 0.05)):
        found = refit(old, [frame([(1, score, True)]) for _ in old], {1: 0.6}, floor=floor)[1]
        assert found.threshold == pytest.approx(expected)
    nothing = refit(old, [frame([]) for _ in old], {1: 0.6})[1]
    assert nothing.threshold == 0.6, "no false positive at all is no reason to look for some"


def box(left: float, class_id: int, score: float) -> tuple[list[float], int, float]:
    return [left, 0.0, left + 10.0, 10.0], class_id, score


def detections(*boxes: tuple[list[float], int, float]) -> Detections:
    return Detections(
        np.array([each[0] for each in boxes], np.float32).reshape(-1, 4),
        np.array([each[2] for each in boxes], np.float32),
        np.array([each[1] for each in boxes], np.int32),
    )


class TestJudge:
    def test_other_classes_other_places_and_doubles_are_false(self) -> None:
        truth = detections(box(0, 1, 1.0), box(50, 2, 1.0))
        found = detections(box(2, 1, 0.9), box(1, 1, 0.8), box(50, 1, 0.7), box(58, 2, 0.6), box(51, 2, 0.5))
        (judged,) = judge([found], [truth])
        assert judged.is_false.tolist() == [False, True, True, True, False]

    def test_the_better_score_takes_the_object_whatever_the_order(self) -> None:
        (judged,) = judge([detections(box(1, 1, 0.3), box(0, 1, 0.9))], [detections(box(0, 1, 1.0))])
        assert judged.is_false.tolist() == [True, False]

    def test_without_truth_every_box_counts_and_without_objects_every_box_is_false(self) -> None:
        found = detections(box(0, 1, 0.9))
        for truth in (None, [Detections.empty()]):
            assert judge([found], truth)[0].is_false.all()
        assert len(judge([Detections.empty()], [found])[0].is_false) == 0

    def test_frames_that_do_not_belong_together_are_refused(self) -> None:
        with pytest.raises(ValueError, match="do not belong together"):
            judge([Detections.empty()], [])


class TestInterval:
    def test_holds_the_mean_and_widens_with_neighbours_that_are_alike(self) -> None:
        rng = np.random.default_rng(3)
        counts = np.repeat(rng.poisson(1.0, 40), 10)
        (low, high), (near, far) = rate_interval(counts, 1), rate_interval(counts, 20)
        assert near < low < counts.mean() < high < far
        assert far - near > 2 * (high - low)

    def test_covers_the_rate_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(4)
        inside = [
            low <= 0.5 <= high for low, high in (rate_interval(rng.poisson(0.5, 200), 5, seed) for seed in range(200))
        ]
        assert 0.88 < np.mean(inside) < 0.99

    @pytest.mark.parametrize("count", [1, 2, 7])
    def test_of_few_frames_is_still_one(self, count: int) -> None:
        assert rate_interval(np.ones(count, np.int64), 15) == (1.0, 1.0)


@pytest.mark.parametrize(
    "changes", [{"default": 1.1}, {"floor": -0.1}, {"block": 0}, {"default": float("nan")}, {"thresholds": {1: 2.0}}]
)
def test_numbers_out_of_range_are_refused(changes: dict[str, object]) -> None:
    arguments: dict[str, object] = {"thresholds": {}, **changes}
    with pytest.raises(ValueError, match="within 0 to 1"):
        refit([frame([])], [frame([])], **arguments)  # type: ignore[arg-type]


def test_frames_of_one_model_only_cannot_be_compared() -> None:
    for old, new in (([], []), ([frame([])], [])):
        with pytest.raises(ValueError, match="cannot be compared"):
            refit(old, new, {})


def test_a_move_that_is_not_allowed_leaves_the_threshold_and_tells_the_rate_there() -> None:
    old, new = ([frame([(0, score, True)] * 2)] * 10 for score in (0.4, 0.6))
    asked: list[tuple[int, float, float]] = []

    def never(*move: float) -> bool:
        asked.append((int(move[0]), *move[1:]))
        return False

    found = refit(old, new, {}, default=0.5, may_move=never)[0]
    assert (found.is_moved, found.old_rate, found.rate, found.evidence) == (False, 0.0, 2.0, 20)
    assert [(number, before) for number, before, _ in asked] == [(0, 0.5)]
    assert asked[0][2] == refit(old, new, {}, default=0.5)[0].threshold > 0.6
