"""The operating point of a change: when a threshold moves, and when it must not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recalibrate.operating import Refit
from agent.recalibrate.proof import Answer, Said
from agent.recalibrate.retune import at, keep_rates, moved, proof_at, raised
from agent.records import Detections, FloatArray, Labels
from tests.test_recalibrate_proof import detections, seen

LABELS = Labels({0: "bolt", 1: "nut"})
HALF: FloatArray = np.full(1, 0.5, np.float32)
Box = tuple[float, float, int, float]
TRUE: tuple[Box, Box] = ((0, 0, 0, 0.9), (30, 0, 1, 0.9))


def said(old: list[Box], new: list[Box]) -> list[list[Said]]:
    """Forty frames in ten blocks that all look alike, two objects on each."""
    answers = (Answer(seen(*TRUE)), *(Answer(at(seen(*each), HALF), loose=seen(*each)) for each in (old, new)))
    return [[answers] * 4] * 10


def extra(*scores: float, class_id: int = 0) -> list[Box]:
    return [(60.0, 20.0 * number, class_id, score) for number, score in enumerate(scores)]


@given(detections(), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4))
def test_what_a_threshold_lets_through(found: Detections, limits: list[float]) -> None:
    kept = at(found, np.array(limits, np.float32))
    by = found.class_id, found.confidence
    wanted = [score >= limits[min(number, len(limits) - 1)] for number, score in zip(*by, strict=True)]
    assert kept.confidence.tolist() == found.confidence[np.array(wanted, bool)].tolist()
    assert sum(len(at(found, np.array(limits, np.float32), number)) for number in range(3)) == len(kept)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4), st.integers(0, 6), st.floats(0, 1, width=32))
def test_one_moved_threshold_leaves_all_others(limits: list[float], number: int, new: float) -> None:
    before = np.array(limits, np.float32)
    after = moved(before, {number: Refit(2.0, new, 0.0, 0.0, (0.0, 0.0), 9)})
    for other in range(12):
        old = before[min(other, len(before) - 1)]
        assert after[min(other, len(after) - 1)] == (np.float32(new) if other == number else old)


def test_more_false_positives_than_before_raise_the_threshold_to_the_old_rate() -> None:
    blocks = said([*TRUE, *extra(0.6)], [*TRUE, *extra(0.7, 0.6, 0.55)])
    refits = keep_rates(blocks, HALF, LABELS, 4)
    assert 0.6 < refits[0].threshold <= 0.7
    assert (refits[0].old_rate, refits[0].rate) == (1.0, 1.0)
    assert not refits[1].is_moved if 1 in refits else True
    before, after = proof_at(blocks, HALF, HALF), proof_at(blocks, HALF, moved(HALF, refits))
    assert before.new.agreement.extra == 120
    assert after.new.agreement.extra == 40
    assert after.old == before.old


def test_the_rate_of_a_broken_model_is_nothing_to_aim_at() -> None:
    blocks = said([*TRUE, *extra(0.9, 0.8, 0.7)], [*TRUE, *extra(0.4, 0.3, 0.2)])
    refit = keep_rates(blocks, HALF, LABELS, 4)[0]
    assert (refit.threshold, refit.old_rate, refit.rate) == (0.5, 3.0, 0.0)


def test_a_threshold_falls_where_objects_come_back_by_it() -> None:
    lower: list[Box] = [(0, 0, 0, 0.45), (30, 0, 1, 0.9)]
    refit = keep_rates(said([*TRUE, *extra(0.6)], [*lower, *extra(0.42)]), HALF, LABELS, 4)[0]
    assert refit.threshold < 0.45


def test_scores_that_all_tie_do_not_cost_a_class() -> None:
    """Quantized scores tie at the top: the threshold that kept the rate would keep every object out."""
    blocks = said([*TRUE, *extra(0.6)], [(0, 0, 0, 0.9), (30, 0, 1, 0.9), *extra(0.9, 0.9)])
    refits = keep_rates(blocks, HALF, LABELS, 4)
    assert proof_at(blocks, HALF, moved(HALF, refits)).new.agreement.matched == 80


@pytest.mark.parametrize("labels", [Labels(), Labels({0: "part", 1: "part"})])
def test_a_class_without_a_name_of_its_own_keeps_its_threshold(labels: Labels) -> None:
    blocks = said([*TRUE, *extra(0.6)], [*TRUE, *extra(0.7, 0.6, 0.55)])
    assert not any(each.is_moved for each in keep_rates(blocks, HALF, labels, 4).values())


def answers(*scores: float) -> list[list[Detections]]:
    return [[seen(*extra(*scores))] * 2] * 8


def test_more_answers_than_in_the_references_light_raise_the_threshold() -> None:
    refit = raised(answers(0.9), answers(0.9, 0.6), HALF, LABELS, 2)[0]
    assert 0.6 < refit.threshold <= 0.9
    assert (refit.old_rate, refit.rate) == (1.0, 1.0)


def test_a_quiet_night_is_not_filled_with_false_boxes() -> None:
    refit = raised(answers(0.9, 0.8), answers(0.9, 0.3), HALF, LABELS, 2)[0]
    assert (refit.threshold, refit.old_rate, refit.rate) == (0.5, 2.0, 1.0)


def test_a_threshold_never_falls_for_a_rate_of_answers() -> None:
    reference = [[seen(*extra(0.9, 0.8)), seen()]] * 10  # every other frame, as they are taken, says two
    now = [[seen(*extra(0.9, 0.8)), seen(*extra(0.9, 0.3))]] * 5
    assert raised(reference, now, HALF, LABELS, 2)[0].threshold == 0.5


def test_more_answers_by_chance_raise_nothing() -> None:
    now = [[seen(*extra(0.9))] * 2] * 7 + [[seen(*extra(0.9, 0.8, 0.7, 0.6))] * 2]
    assert not raised(answers(0.9), now, HALF, LABELS, 2)[0].is_moved
    assert not raised(answers(0.9)[:3], answers(0.9, 0.6), HALF, LABELS, 2)[0].is_moved, "three blocks say nothing"
