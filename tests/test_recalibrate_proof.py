"""Proof before use: agreement, blocks, intervals, and what they mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ModelError
from agent.matching import iou
from agent.recalibrate.agreement import Agreement, agree
from agent.recalibrate.blocks import LEAST_BLOCKS, Interval, gap, interval, split
from agent.recalibrate.proof import LEAST_GAIN, LEAST_SHOWN, Answer, Proof, compare
from agent.recalibrate.verdict import judge, refuse_stranger
from agent.records import Detections, Labels, Pixels


def seen(*objects: tuple[float, float, int, float]) -> Detections:
    """Boxes 10 px wide: left, top, class, confidence."""
    found = sorted(objects, key=lambda item: -item[3])
    return Detections(
        np.array([[x, y, x + 10, y + 10] for x, y, *_ in found], np.float32).reshape(-1, 4),
        np.array([item[3] for item in found], np.float32),
        np.array([item[2] for item in found], np.int32),
    )


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    place = st.floats(0, 90, width=32)
    return seen(*draw(st.lists(st.tuples(place, place, st.integers(0, 2), st.floats(0, 1, width=32)), max_size=6)))


@given(detections())
def test_everything_agrees_with_itself(found: Detections) -> None:
    same = agree(found, found)
    assert same.found == same.reference == len(found)
    # boxes in the same place and of the same class may take each other's partner, and none is left over
    assert same.matched == len(found)
    assert same.quality == pytest.approx(1.0)


@given(detections(), detections())
def test_counts_belong_together_and_quality_is_symmetric_in_its_bounds(one: Detections, other: Detections) -> None:
    said = agree(one, other)
    assert said.matched + said.missed == said.reference == len(one)
    assert said.matched + said.extra == said.found == len(other)
    assert 0.0 <= said.quality <= 1.0
    assert 0.5 * said.matched <= said.iou <= said.matched + 1e-6


def test_another_class_in_the_same_place_is_a_miss_and_an_extra() -> None:
    said = agree(seen((0, 0, 1, 0.9)), seen((0, 0, 2, 0.9)))
    assert (said.matched, said.missed, said.extra) == (0, 1, 1)


def test_errors_of_score_and_box_are_those_of_the_pairs() -> None:
    said = agree(seen((0, 0, 1, 0.9), (50, 50, 1, 0.8)), seen((1, 0, 1, 0.6), (50, 50, 1, 0.8)))
    assert said.matched == 2
    assert said.score_error == pytest.approx(0.3)
    assert said.worst_score_error == pytest.approx(0.3)
    assert said.box_error_px == pytest.approx(0.5)  # two of four edges are off by one
    assert said.iou == pytest.approx(9 / 11 + 1)


def test_overlap_of_known_boxes() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 5, 5]], np.float32)
    np.testing.assert_allclose(iou(boxes, boxes), [[1, 1 / 7, 0], [1 / 7, 1, 0], [0, 0, 0]], rtol=1e-6)


@given(st.integers(10, 200), st.integers(1, 5))
def test_no_frame_both_measures_and_judges(count: int, length: int) -> None:
    if count < 2 * LEAST_BLOCKS * (length + gap(length)) - gap(length):
        with pytest.raises(ValueError, match="too few: at least"):
            split(count, length)
        return
    parts = split(count, length)
    judged = [index for block in parts.held_out for index in block]
    assert not set(judged) & set(parts.calibration)
    assert len(judged) == len(set(judged)) == length * len(parts.held_out)
    assert max([*judged, *parts.calibration]) < count
    assert all(block == tuple(range(block[0], block[0] + length)) for block in parts.held_out)


@pytest.mark.parametrize("count", [5, 8, 40])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(count: int) -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        blocks = [np.array([random.normal(0.3, 1.0), 1.0]) for _ in range(count)]
        found = interval(blocks, lambda sums: sums[..., 0] / sums[..., 1])
        held += found.low <= 0.3 <= found.high
    assert 0.925 * 400 <= held <= 0.985 * 400


def test_the_same_frames_give_the_same_interval() -> None:
    blocks = [np.array([float(number), 1.0]) for number in range(8)]
    assert interval(blocks, lambda sums: sums[..., 0]) == interval(blocks, lambda sums: sums[..., 0])


TRUTH = seen((0, 0, 1, 0.9), (50, 50, 1, 0.8))
FRAME: Pixels = np.zeros((8, 8, 3), np.uint8)


def proof(old: Detections, new: Detections, blocks: int = 8) -> Proof:
    truth, before, after = Answer(TRUTH), Answer(old), Answer(new)
    return compare(lambda _: truth, lambda _: before, lambda _: after, [[FRAME]] * blocks)


def test_a_model_that_finds_what_the_old_one_missed_is_surely_better() -> None:
    found = proof(seen((0, 0, 1, 0.9)), TRUTH)
    assert found.holds
    assert found.gain.value == pytest.approx(1 - 2 / 3)
    assert (found.recall_gain.value, found.extra_gain.value) == (0.5, 0.0)
    assert judge(found)[0] == "recalibrate"


def test_the_same_model_twice_is_no_gain_and_the_sentence_says_what_would_help() -> None:
    verdict, reason = judge(proof(TRUTH, TRUTH))
    assert verdict == "cannot-help"
    assert "quantization is not what is wrong" in reason
    assert "correct the light, look at the camera, or train it" in reason


def test_a_sound_model_is_left_alone_for_a_gain_that_is_sure_and_too_small() -> None:
    many = seen(*((place * 50, 0, 1, 0.9) for place in range(40)))
    fewer = seen(*((place * 50, 0, 1, 0.9) for place in range(39)))

    def proven(old: Detections) -> Proof:
        return compare(lambda _: Answer(many), lambda _: Answer(old), lambda _: Answer(many), [[FRAME]] * 8)

    small = proven(fewer)
    assert small.is_sound
    assert 0.0 < small.gain.low < LEAST_GAIN
    assert judge(small)[0] == "cannot-help"
    assert "is too small to change anything for" in judge(small)[1]
    larger = proven(seen(*((place * 50, 0, 1, 0.9) for place in range(37))))
    assert larger.is_sound
    assert judge(larger)[0] == "recalibrate", "by more than that it is worth it"


def test_a_gain_that_may_be_chance_is_not_applied() -> None:
    better, worse = seen((0, 0, 1, 0.9), (50, 50, 1, 0.8)), seen((0, 0, 1, 0.9))
    turns = iter(range(1000))

    def answer(first: Detections, second: Detections) -> Answer:
        return Answer(first if next(turns) % 16 < 8 else second)

    found = compare(
        lambda _: Answer(TRUTH), lambda _: answer(better, worse), lambda _: answer(better, worse), [[FRAME]] * 8
    )
    assert found.gain.low <= 0.0 <= found.gain.high
    assert judge(found)[0] == "cannot-help"
    assert "may be chance" in judge(found)[1]


def test_worse_is_not_applied_however_sure_it_is() -> None:
    found = proof(TRUTH, seen((0, 0, 1, 0.9)))
    assert found.gain.high < 0
    assert not found.holds


MANY = [(place * 20, 0, 1, 0.9) for place in range(10)]
"""Objects, each on its own."""

GHOSTS = [(place * 20, 60, 1, 0.9) for place in range(20)]


def test_objects_that_are_surely_lost_are_not_paid_for_with_false_boxes_that_vanish() -> None:
    truth, old, new = Answer(seen(*MANY)), Answer(seen(*MANY, *GHOSTS)), Answer(seen(*MANY[:7]))
    found = compare(lambda _: truth, lambda _: old, lambda _: new, [[FRAME]] * 8)
    assert found.gain.low > 0.2
    assert (found.recall_gain.high, found.objection) == (pytest.approx(-0.3), "recall")
    verdict, reason = judge(found)
    assert verdict == "cannot-help"
    assert "are surely lost: recall 1.000 -> 0.700 (-0.300, 95 %: -0.300 to -0.300)" in reason
    assert compare(lambda _: truth, lambda _: old, lambda _: truth, [[FRAME]] * 8).holds


def test_pictures_without_objects_prove_nothing() -> None:
    nothing, ghosts = Answer(Detections.empty()), Answer(seen(*GHOSTS))

    def with_objects(many: int) -> Proof:
        numbers = iter(range(8))
        return compare(
            lambda _: Answer(TRUTH) if next(numbers) < many else nothing,
            lambda _: ghosts,
            lambda _: nothing if many == 0 else Answer(TRUTH),
            [[FRAME]] * 8,
        )

    assert with_objects(0).gain.value == 1.0
    assert judge(with_objects(0))[0] == "cannot-help"
    assert "finds objects on 0 of 8 held-out blocks, 3 are the least" in judge(with_objects(0))[1]
    assert with_objects(LEAST_SHOWN - 1).objection == "unseen"
    assert with_objects(LEAST_SHOWN).objection != "unseen"


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ([(0, 30, 2, 0.9)], "everything"),
        ([], "found no more"),
        ([(0, 30, 2, 0.9), *((place * 20, 90, 2, 0.9) for place in range(3))], "new false boxes"),
    ],
)
def test_a_class_that_surely_gets_worse_is_named(after: list[tuple[float, float, int, float]], why: str) -> None:
    truth = Answer(seen(*MANY, (0, 30, 2, 0.9)))
    old = Answer(seen(*MANY[:5], *GHOSTS, (0, 30, 2, 0.9)))
    new = Answer(seen(*MANY, *after))
    found = compare(lambda _: truth, lambda _: old, lambda _: new, [[FRAME]] * 8)
    assert found.gain.low > 0.0
    assert found.recall_gain.high >= 0.0
    verdict, reason = judge(found, Labels({1: "bolt", 2: "nut"}))
    assert (verdict == "recalibrate") == (why == "everything")
    assert ("but surely worse for nut;" in reason) == (why != "everything")


def test_a_class_may_not_lose_objects_though_it_agrees_better() -> None:
    nuts = [(0, 30, 2, 0.9), (40, 30, 2, 0.9)]
    truth, new = Answer(seen(*MANY, *nuts)), Answer(seen(*MANY, nuts[0]))
    old = Answer(seen(*MANY[:5], *nuts, *((place * 20, 90, 2, 0.9) for place in range(6))))
    found = compare(lambda _: truth, lambda _: old, lambda _: new, [[FRAME]] * 8)
    assert found.recall_gain.low > 0.0
    assert (found.objection, found.fallen) == ("class", (2,))


@pytest.mark.parametrize(
    ("by_twin", "words"),
    [(True, "no range repairs that; quantize it anew"), (False, "is it the model that this one was made from")],
)
def test_a_stranger_is_refused_with_what_it_may_be(by_twin: bool, words: str) -> None:
    ghosts = seen(*GHOSTS)
    with pytest.raises(ModelError, match=words):
        refuse_stranger(proof(ghosts, ghosts), by_twin=by_twin)
    refuse_stranger(proof(ghosts, TRUTH), by_twin=by_twin)
    nothing = compare(
        lambda _: Answer(Detections.empty()), lambda _: Answer(ghosts), lambda _: Answer(ghosts), [[FRAME]] * 8
    )
    refuse_stranger(nothing, by_twin=by_twin)
    assert judge(nothing)[0] == "cannot-help", "pictures without objects say nothing of the model"


def test_noise_of_the_heads_is_measured_in_decibels() -> None:
    heads = (np.array([1.0, -1.0], np.float32),)
    near = (np.array([1.1, -0.9], np.float32),)
    truth, old, new = Answer(TRUTH, heads), Answer(TRUTH, near), Answer(TRUTH, near)
    found = compare(lambda _: truth, lambda _: old, lambda _: new, [[FRAME]] * 5)
    assert found.old.sqnr_db == pytest.approx((20.0,), abs=1e-3)
    assert found.sqnr_gain_db[0] == Interval(0.0, 0.0, 0.0)


@settings(max_examples=30)
@given(st.lists(st.builds(agree, detections(), detections()), min_size=2, max_size=5))
def test_agreements_add_up_in_any_order(parts: list[Agreement]) -> None:
    forwards, backwards = sum(parts, Agreement()), sum(reversed(parts), Agreement())
    assert replace(forwards, iou=0, score_error=0, box_error_px=0) == replace(
        backwards, iou=0, score_error=0, box_error_px=0
    )
    assert forwards.iou == pytest.approx(backwards.iou)
