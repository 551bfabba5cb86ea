"""Pairs, intervals and verdicts: laws of the pure half of parity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import ParityConfig
from agent.parity import FrameDiff, Tolerance, judge, match
from agent.parity.record import Figures, Interval
from agent.parity.sample import figures
from agent.records import Detections, Labels

LABELS = Labels({0: "bolt", 1: "nut"})


def seen(*boxes: tuple[float, float, float, float], classes: list[int] | None = None, score: float = 0.8) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, score, np.float32),
        np.array(classes or [0] * count, np.int32),
    )


@st.composite
def answers(draw: st.DrawFn) -> Detections:
    count = draw(st.integers(0, 6))
    corner = st.floats(0, 50, width=32)
    side = st.floats(0, 50, width=32)
    boxes = [(x, y, x + w, y + h) for x, y, w, h in (draw(st.tuples(corner, corner, side, side)) for _ in range(count))]
    return seen(*boxes, classes=[draw(st.integers(0, 1)) for _ in range(count)])


def diff(pairs: int = 5, lone: int = 0, iou: float = 1.0, score: float = 0.0) -> FrameDiff:
    return FrameDiff((iou,) * pairs, (score,) * pairs, {"bolt": lone} if lone else {}, {})


class TestMatch:
    @given(answers(), answers())
    def test_every_box_is_paired_or_lone_exactly_once(self, one: Detections, other: Detections) -> None:
        found = match(one, other, LABELS, LABELS)
        assert len(found.ious) + sum(found.missed.values()) == len(one)
        assert len(found.ious) + sum(found.extra.values()) == len(other)
        assert all(0.5 <= iou <= 1.0 + 1e-9 for iou in found.ious)

    @given(answers(), answers())
    def test_the_other_way_round_is_the_mirror(self, one: Detections, other: Detections) -> None:
        there, back = match(one, other, LABELS, LABELS), match(other, one, LABELS, LABELS)
        assert (there.missed, there.extra) == (back.extra, back.missed)
        assert sorted(there.ious) == pytest.approx(sorted(back.ious))

    def test_a_box_of_another_class_is_no_partner(self) -> None:
        box = (0.0, 0.0, 10.0, 10.0)
        found = match(seen(box), seen(box, classes=[1]), LABELS, LABELS)
        assert (dict(found.missed), dict(found.extra)) == ({"bolt": 1}, {"nut": 1})

    def test_classes_are_the_same_by_name(self) -> None:
        box = (0.0, 0.0, 10.0, 10.0)
        found = match(seen(box), seen(box, classes=[7], score=0.7), LABELS, Labels({7: "bolt"}))
        assert found.ious == (1.0,)
        assert found.score_differences == pytest.approx((-0.1,))

    def test_the_nearer_one_is_the_partner(self) -> None:
        one = seen((0, 0, 10, 10))
        other = seen((0, 0, 10, 8), (0, 0, 10, 9))
        found = match(one, other, LABELS, LABELS)
        assert found.ious == pytest.approx((0.9,))
        assert found.lone == 1


class TestIntervals:
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.floats(0.5, 1.0)), min_size=1, max_size=60))
    @settings(max_examples=30)
    def test_hold_their_value_and_lie_in_range(self, rows: list[tuple[int, int, float]]) -> None:
        found = figures([diff(pairs, lone, iou) for pairs, lone, iou in rows])
        for interval in (found.lone_share, found.mean_iou):
            if interval is not None:
                assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0 + 1e-9
        assert found.boxes == sum(pairs + lone for pairs, lone, _ in rows)
        assert figures([diff(pairs, lone, iou) for pairs, lone, iou in rows]) == found, "same frames, same figures"

    def test_of_no_frames_is_none(self) -> None:
        found = figures([])
        assert (found.frames, found.boxes, found.lone_share, found.mean_iou) == (0, 0, None, None)
        assert judge(found, Tolerance())[0] == "cannot tell"

    def test_neighbours_that_are_alike_make_it_wider(self) -> None:
        rng = np.random.default_rng(1)
        lone = rng.permutation([1] * 100 + [0] * 100)
        mixed = figures([diff(9, int(many)) for many in lone]).lone_share
        sorted_ = figures([diff(9, int(many)) for many in sorted(lone)]).lone_share
        assert mixed is not None
        assert sorted_ is not None
        assert sorted_.high - sorted_.low > 2 * (mixed.high - mixed.low)

    def test_hold_the_truth_of_a_slow_scene_most_of_the_time(self) -> None:
        """200 frames in which lone boxes come and go slowly: 60 runs, the true share is 1 in 11."""
        held = 0
        for run in range(60):
            rng = np.random.default_rng(run)
            level, lone = 0.0, []
            for _ in range(200):
                level = 0.8 * level + rng.normal()
                lone.append(2 if level > 0 else 0)
            share = figures([diff(10, many) for many in lone]).lone_share
            assert share is not None
            held += share.low <= 1 / 11 <= share.high
        assert held >= 48, f"a 95 % interval held the truth in {held} of 60"

    def test_nothing_seen_in_three_frames_is_no_proof(self) -> None:
        few, many = figures([diff()] * 3).lone_share, figures([diff()] * 3000).lone_share
        assert few is not None
        assert many is not None
        assert few.high > 0.5
        assert many.high < 0.02


class TestVerdict:
    def verdict(self, frames: list[FrameDiff]) -> str:
        return judge(figures(frames), Tolerance())[0]

    def test_same_with_the_frames_that_the_canary_takes_by_default(self) -> None:
        assert self.verdict([diff()] * ParityConfig().window) == "same"

    def test_same_only_with_enough_frames(self) -> None:
        assert self.verdict([diff()] * 1000) == "same"
        assert self.verdict([diff()] * 20) == "cannot tell"

    @pytest.mark.parametrize("bad", [diff(5, 5), diff(iou=0.6), diff(score=0.2), diff(score=-0.2)])
    def test_differs(self, bad: FrameDiff) -> None:
        assert self.verdict([bad] * 100) == "differs"

    def test_of_a_single_frame_cannot_be_told_however_much_it_differs(self) -> None:
        assert self.verdict([diff(0, 9)]) == "cannot tell"
        assert self.verdict([diff(0, 9)] * 15) == "cannot tell"
        assert self.verdict([diff(0, 9)] * 16) == "differs"

    def test_of_empty_frames_cannot_be_told(self) -> None:
        assert self.verdict([diff(0)] * 500) == "cannot tell"

    def test_names_the_figure_and_its_interval(self) -> None:
        _, reason = judge(figures([diff(5, 5)] * 50), Tolerance())
        assert reason == "boxes that one side alone sees: 0.500 [0.500, 0.500], tolerance 0.05"

    def test_tells_the_whole_of_its_figures(self) -> None:
        assert set(Figures.__slots__) >= {"lone_share", "mean_iou", "score_bias", "score_error"}


@pytest.mark.parametrize(
    ("interval", "limit", "sign", "about"),
    [
        (Interval(0.0, 0.0, 0.17), 0.05, 1.0, 340),
        (Interval(0.03, 0.0, 0.07), 0.05, 1.0, 400),
        (Interval(0.07, 0.03, 0.1), 0.05, 1.0, 400),
        (Interval(0.89, 0.85, 0.99), 0.9, -1.0, 10_000),
        (Interval(0.05, 0.03, 0.1), 0.05, 1.0, 0),
    ],
)
def test_how_many_frames_would_tell(interval: Interval, limit: float, sign: float, about: int) -> None:
    from agent.parity.sample import _needed

    assert _needed(interval, limit, sign, 100) == pytest.approx(about, abs=10)
