"""Which frames are kept: budgets, coverage, likeness, the four reasons, and all of them together."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import SampleConfig
from agent.records import Detections, FloatArray
from agent.sample import REASONS, Candidate, Choice, Remembered, Sampler, Thresholds, features
from agent.sample.budget import DAY_S, HOUR_S, MINUTE_S, Limits
from agent.sample.cover import Cover, Extremes
from agent.sample.likeness import Duplicates, difference, tiles
from agent.sample.reasons import Audit, Coverage, Evidence, NearThreshold
from agent.sample.retention import SHARES
from tests.sampling import HALF, candidate, found, scene, small

SPANS = (MINUTE_S, HOUR_S, DAY_S)
NEVER = (0, 0, 0)
SURE = found((0, 0.9))


def sampler(**settings: object) -> Sampler:
    """Only what is named is kept, and frames are like one another only when they are the same."""
    quiet = {"coverage": NEVER, "evidence": NEVER, "threshold": NEVER, "audit": NEVER, "duplicate_luma": 0.0}
    return Sampler(SampleConfig(**(quiet | settings)), HALF)  # type: ignore[arg-type]


def most_in_a_window(times: list[float], span_s: float) -> int:
    """Greatest count in any half-open window of that length."""
    return max((sum(start <= at < start + span_s for at in times) for start in times), default=0)


def test_a_budget_has_room_again_when_its_oldest_frame_leaves_the_window() -> None:
    limits = Limits((2, 3, 9))
    for at_s in (0.0, 10.0):
        assert limits.has_room(at_s)
        limits.spend(at_s)
    assert [limits.has_room(at_s) for at_s in (10.0, 59.0, 60.0)] == [False, False, True]
    limits.spend(60.0)
    assert [limits.has_room(at_s) for at_s in (120.0, 3599.0, 3600.0)] == [False, False, True]
    assert not Limits((5, 0, 5)).has_room(0.0)


gaps = st.lists(st.sampled_from([0, 1, 7, 30, 59, 60, 61, 600, 3599, 3600, 40_000, 86_400]), max_size=60)
budgets = st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 9))


@settings(deadline=None)
@given(gaps, budgets)
def test_no_window_anywhere_holds_more_than_its_budget(gaps: list[int], most: tuple[int, int, int]) -> None:
    limits, spent, now_s = Limits(most), [], 0.0
    for gap in gaps:
        now_s += gap
        if limits.has_room(now_s):
            limits.spend(now_s)
            spent.append(now_s)
        else:
            full = [most_in_a_window([*spent, now_s], span) > limit for span, limit in zip(SPANS, most, strict=True)]
            assert any(full), "what is refused would have been too many"
    for span_s, limit in zip(SPANS, most, strict=True):
        assert most_in_a_window(spent, span_s) <= limit


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5000, 5000), st.booleans()), min_size=1, max_size=40),
    budgets,
    st.integers(0, 3),
)
def test_a_sampler_keeps_its_budgets_over_clocks_that_step(
    steps: list[tuple[int, bool]], most: tuple[int, int, int], before: int
) -> None:
    """Also where the clock goes back, and where a former start had kept frames already."""
    one = sampler(evidence=most)
    ages = [10.0 * number for number in range(before)][: min(most)]
    old = [
        Remembered("evidence", age_s, np.full(144, number, np.uint8), np.ones(3)) for number, age_s in enumerate(ages)
    ]
    one.resume(old, now_s=0.0)
    spent, at_s, latest_s = [-age_s for age_s in ages], 0.0, 0.0
    for number, (step, drifts) in enumerate(steps):
        at_s += step
        latest_s = max(latest_s, at_s)
        if one.look(candidate(at_s, 1000 + number, SURE, drift="dark" if drifts else "")):
            spent.append(latest_s)
    for span_s, limit in zip(SPANS, most, strict=True):
        assert most_in_a_window(spent, span_s) <= limit


points = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=40)


@settings(deadline=None)
@given(points, st.integers(1, 6))
def test_every_frame_lies_within_two_radii_of_a_centre_and_centres_lie_apart(
    points: list[tuple[int, int]], most: int
) -> None:
    cover, seen = Cover(most), np.array(points, np.float32)
    for number, point in enumerate(seen):
        before = cover.radius
        cover.add(str(number), point)
        assert cover.radius == before or cover.radius >= 2 * before, "without doubling, merged centres add up"
        centres = cover.centres
        assert 1 <= len(centres) <= most
        apart = [np.linalg.norm(one - other) for one, other in itertools.combinations(centres, 2)]
        assert all(distance > cover.radius for distance in apart)
        to_nearest = np.linalg.norm(seen[: number + 1, None] - centres[None], axis=2).min(axis=1)
        assert to_nearest.max() <= 2 * cover.radius + 1e-9
    assert len(cover.tags) == len(cover.centres)


@settings(deadline=None)
@given(points.filter(lambda found: len(found) <= 9), st.integers(1, 3))
def test_the_cover_is_at_most_eight_times_the_best(points: list[tuple[int, int]], most: int) -> None:
    cover, seen = Cover(most), np.array(points, np.float64)
    for number, point in enumerate(seen):
        cover.add(str(number), point.astype(np.float32))
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    best = min(
        apart[:, list(chosen)].min(axis=1).max()
        for chosen in itertools.combinations(range(len(seen)), min(most, len(seen)))
    )
    reached = np.linalg.norm(seen[:, None] - cover.centres[None], axis=2).min(axis=1).max()
    assert reached <= 8 * best + 1e-9


def test_a_cover_begins_anew_with_another_vector_and_forgets_what_is_told() -> None:
    cover = Cover(4)
    for number in range(9):
        cover.add(f"a{number}", np.array([number, 0], np.float32), at_s=number)
    assert cover.radius > 0
    cover.add("b", np.zeros(5, np.float32), at_s=20.0)
    assert cover.tags == {"b"}
    assert cover.radius == 0
    cover.add("c", np.ones(5, np.float32), at_s=21.0)
    cover.drop("nobody")
    cover.forget_before(21.0)
    assert cover.tags == {"c"}
    assert cover.is_new(np.zeros(5, np.float32))
    cover.drop("c")
    assert not cover.tags
    assert cover.distance(np.ones(5, np.float32)) == float("inf")


def test_extremes_wait_for_a_range_and_leave_noise_alone() -> None:
    extremes = Extremes()
    for number in range(99):
        extremes.take(np.full(4, number / 98, np.float32))
    assert extremes.beyond(np.full(4, 9, np.float32)) == 0, "99 frames are no range"
    extremes.take(np.zeros(4, np.float32))
    assert extremes.beyond(np.array([0.5, 9, 0.5, -9], np.float32)) == 2
    assert extremes.beyond(np.full(4, 1.02, np.float32)) == 0, "a twentieth beyond is noise"
    assert extremes.beyond(np.full(3, 9, np.float32)) == 0, "another camera's vector"


def test_likeness_sees_an_object_and_not_the_noise() -> None:
    one = small(scene(1))
    noisy = np.clip(one.astype(np.int16) + np.random.default_rng(2).normal(0, 5, one.shape), 0, 255).astype(np.uint8)
    object_in = one.copy()
    object_in[8:12, 12:16] = 255 - object_in[8:12, 12:16]
    assert difference(tiles(one), tiles(one)) == 0
    assert difference(tiles(one), tiles(noisy)) <= 6
    known = Duplicates(6.0)
    assert not known.has(tiles(one))
    known.add(tiles(one))
    assert known.has(tiles(noisy))
    assert not known.has(tiles(object_in)), "one tile of 144 has changed"
    exact = Duplicates(0.0)
    exact.add(tiles(one))
    assert exact.has(tiles(one))
    with pytest.raises(ValueError, match="36 x 64"):
        tiles(np.zeros((64, 36), np.uint8))


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_difference_is_the_same_both_ways(one: int, other: int) -> None:
    a, b = tiles(small(scene(one))), tiles(small(scene(other)))
    assert difference(a, b) == difference(b, a)
    assert (difference(a, b) == 0) == (one == other)


def test_features_tell_dark_flat_and_blurred_apart() -> None:
    day = small(scene(1))
    flat = np.full_like(day, int(day.mean()))
    vectors = [features(day), features(day // 4), features(flat)]
    assert all(vector.shape == (146,) and vector.dtype == np.float32 for vector in vectors)
    for one, other in itertools.combinations(vectors, 2):
        assert np.linalg.norm(one - other) > 0.5


def test_near_its_threshold_means_above_and_just_below() -> None:
    near = NearThreshold(Thresholds(np.array([0.5, 0.8, np.inf], np.float32)), 0.1)
    assert "0.03 below" in near.says(candidate(detections=found((0, 0.9), (0, 0.47))))
    assert "0.05 above" in near.says(candidate(detections=found((1, 0.85))))
    assert not near.says(candidate(detections=found((0, 0.9), (0, 0.2), (1, 0.6))))
    assert not near.says(candidate(detections=found((2, 0.5), (7, 0.5)))), "a class that is never an object is not near"
    assert not near.says(candidate(detections=None))
    assert not near.says(candidate(detections=Detections.empty()))
    assert not near.says(candidate(detections=found((0, float("nan")))))


def test_evidence_is_drift_disagreement_low_scores_and_rare_classes() -> None:
    evidence = Evidence(Thresholds(HALF), low_score=0.6, rare_share=0.01)
    assert "drift: darker" in evidence.says(candidate(drift="darker"))
    assert "disagreement: 2 boxes" in evidence.says(candidate(disagreement="2 boxes"))
    assert "low score" in evidence.says(candidate(detections=found((0, 0.55))))
    assert not evidence.says(candidate(detections=found((0, 0.55), (1, 0.95))))
    assert not evidence.says(candidate(detections=found((0, 0.45)))), "no object at all is no low score"
    for _ in range(100):
        assert "rare" not in evidence.says(candidate(detections=SURE))
    assert "rare class: 2" in evidence.says(candidate(detections=found((2, 0.95))))
    for _ in range(3):
        evidence.says(candidate(detections=found((2, 0.95))))
    assert not evidence.says(candidate(detections=found((2, 0.95)))), "it has become usual"


def test_random_audits_come_at_their_rate_and_only_by_the_seed() -> None:
    def times(seed: int) -> list[int]:
        audit = Audit(100.0, seed)
        return [second for second in range(100_000) if audit.says(float(second))]

    assert 900 < len(times(1)) < 1100
    assert times(1) == times(1)
    assert times(1) != times(2)
    gaps_s = np.diff(times(1))
    assert abs(np.mean(gaps_s < 69) - 0.5) < 0.05, "half of the gaps are shorter than ln 2 of the mean"


def test_a_frame_like_a_kept_one_is_refused_and_another_is_not() -> None:
    one = sampler(evidence=(9, 99, 99), duplicate_luma=6.0)
    assert one.look(candidate(0.0, 1, SURE, drift="dark"))
    assert one.look(candidate(1.0, 1, SURE, drift="dark")) is None
    assert one.duplicates_total == 1
    assert one.look(candidate(2.0, 2, SURE, drift="dark"))
    assert one.look(candidate(3.0, 2, SURE)) is None
    assert one.duplicates_total == 1, "without a reason nothing is refused"


def test_the_first_reason_with_a_budget_pays_and_the_others_are_told() -> None:
    one = sampler(evidence=(1, 1, 1), threshold=(5, 5, 5))
    both = found((0, 0.52))
    first = one.look(candidate(0.0, 1, both))
    assert first is not None
    assert first.why == ("evidence", "threshold")
    assert len(first.told) == 2
    second = one.look(candidate(1.0, 2, both))
    assert second is not None
    assert second.why == ("threshold", "evidence"), "evidence has spent its day"
    assert one.look(candidate(2.0, 3, found((0, 0.9)), drift="dark")) is None
    assert one.over_budget_total == 1


def test_on_command_the_next_frames_are_kept_whatever_they_show() -> None:
    one = sampler()
    assert one.look(candidate(0.0, 1)) is None
    one.want(2)
    kept = [one.look(candidate(float(number), 1)) for number in range(1, 5)]
    assert kept[:2] == [Choice(("command",), ("on command",))] * 2
    assert kept[2:] == [None, None]


def test_what_a_former_start_kept_is_covered_and_counted() -> None:
    before = [
        Remembered("coverage", 30.0, tiles(small(scene(number))), features(small(scene(number)))) for number in (1, 2)
    ]
    fresh, resumed = sampler(coverage=(2, 3, 3)), sampler(coverage=(2, 3, 3))
    resumed.resume(before, now_s=0.0)
    assert fresh.look(candidate(0.0, 1))
    assert resumed.look(candidate(0.0, 3)) is None, "two in this minute already"
    assert resumed.over_budget_total == 1
    assert resumed.look(candidate(40.0, 1)) is None, "it shows what a kept one shows"
    assert (resumed.over_budget_total, resumed.duplicates_total) == (1, 0), "so there is not even a reason"
    assert resumed.look(candidate(40.0, 3))


def test_coverage_seeks_again_what_was_kept_too_long_ago() -> None:
    coverage = Coverage(8, lasts_s=100.0)
    one = candidate(0.0, 1)
    assert coverage.says(one, 0.0)
    coverage.kept(one.features, 0.0)
    assert not coverage.says(one, 100.0)
    assert coverage.says(one, 101.0)


def test_what_goes_beyond_the_range_is_asked_for_until_it_is_kept() -> None:
    coverage = Coverage(2, lasts_s=1e9)
    draw = np.random.default_rng(1)
    for _ in range(100):
        vector = draw.uniform(0, 1, 3).astype(np.float32)
        coverage.says(candidate(vector=vector), 0.0)
        coverage.kept(vector, 0.0)
    bright = candidate(vector=np.array([0.5, 0.5, 3.0], np.float32))
    assert "beyond the range" in coverage.says(bright, 0.0)
    assert "beyond the range" in coverage.says(bright, 0.0), "it was not kept"
    coverage.kept(bright.features, 0.0)
    assert not coverage.says(bright, 0.0)


@pytest.mark.parametrize(
    "vector", [np.array([], np.float32), np.array([1, np.nan], np.float32), np.array([np.inf], np.float32)]
)
def test_features_that_are_no_numbers_take_no_part_in_coverage(vector: FloatArray) -> None:
    one = sampler(coverage=(9, 99, 99), evidence=(9, 99, 99))
    assert one.look(candidate(0.0, 1, vector=vector)) is None
    kept = one.look(candidate(1.0, 1, vector=vector, drift="dark"))
    assert kept is not None
    assert kept.why == ("evidence",)
    assert one.look(candidate(2.0, 2)) is not None


def stream(seed: int, frames: int = 1500) -> tuple[list[Candidate], list[int]]:
    """A scene with a wandering light; three rare conditions of an episode or two each, 1.0 to 1.6 % of the frames."""
    draw = np.random.default_rng(seed)
    base = small(scene(seed)).astype(np.float64)
    conditions = [0] * frames
    for condition, share in ((1, 0.016), (2, 0.013), (3, 0.010)):
        length = int(share * frames)
        start = int(draw.integers(100, frames - 100))
        while any(conditions[start : start + length]):
            start = int(draw.integers(100, frames - 100))
        conditions[start : start + length] = [condition] * length
    light, made = 0.0, []
    for number, condition in enumerate(conditions):
        light = 0.98 * light + draw.normal(0, 1.2)
        luma = base + light
        luma = (luma, 0.15 * luma, 0.25 * luma + 180, np.where(np.arange(64) < 30, 40, luma))[condition]
        luma = np.clip(luma + draw.normal(0, 2.0, base.shape), 0, 255).astype(np.uint8)
        made.append(Candidate(number / 5, number, luma, features(luma), SURE))
    return made, conditions


def test_sixteen_frames_cover_every_rare_condition_where_random_ones_do_not() -> None:
    """Coverage for each frame that is kept is what the policy is for."""
    random_covers, draw = [], np.random.default_rng(0)
    for seed in range(8):
        frames, conditions = stream(seed)
        cover = Cover(16)
        for each in frames:
            cover.add(str(each.sequence), each.features)
        assert len(cover.tags) <= 16
        assert {conditions[int(tag)] for tag in cover.tags} == {0, 1, 2, 3}, seed
        drawn = [draw.choice(len(frames), 16, replace=False) for _ in range(100)]
        random_covers += [len({conditions[place] for place in places}) for places in drawn]
    assert 1.3 < np.mean(random_covers) < 1.8


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_the_default_settings_find_every_rare_condition_within_sixteen_frames(seed: int) -> None:
    """Eight hours, a frame each twenty seconds; budgets, near-duplicates and every policy as they are shipped."""
    frames, conditions = stream(seed)
    one = Sampler(SampleConfig(seed=seed), HALF)
    kept = [each.sequence for each in frames if one.look(dataclasses.replace(each, at_s=20.0 * each.sequence))]
    assert len(kept) <= 16
    assert {conditions[number] for number in kept} == {0, 1, 2, 3}


def test_the_same_frames_and_seed_give_the_same_choices() -> None:
    frames, _ = stream(1, 600)

    def choices() -> list[Choice | None]:
        one = Sampler(SampleConfig(seed=7, audit_every_s=20.0, duplicate_luma=0.0), HALF)
        return [one.look(each) for each in frames]

    first = choices()
    assert first == choices()
    kept = Counter(each.why[0] for each in first if each is not None)
    assert kept["coverage"] >= 2
    assert kept["audit"] >= 1


def test_every_reason_has_its_share_of_the_room() -> None:
    assert set(REASONS) == set(SHARES)
