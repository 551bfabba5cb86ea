"""What is seen of a frame: each number by what it must do when the picture, the answers or the codes change."""

from __future__ import annotations

import doctest
import hashlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.camera.eye import thumbnail
from agent.drift import Blocks, Observation, Schema, observe
from agent.drift import features as features_module
from agent.drift.answers import answer_profile, answer_values, speed_values
from agent.drift.codes import code_profile, code_use, code_values
from agent.drift.features import CELLS, FEATURES, MEASURED, NAMES, VERSION, nothing, pooled, statistics
from agent.records import Detections, Frame, Pixels

SCHEMA = Schema(3, groups=2)


def scene(seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 180, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def frame(pixels: Pixels) -> Frame:
    return Frame(pixels, 0.0, 0, thumbnail(pixels))


def seen(pixels: Pixels) -> dict[str, float]:
    values = observe(SCHEMA, frame(pixels)).values
    return dict(zip((feature.name for feature in MEASURED), values.tolist(), strict=True))


def found(*boxes: tuple[float, float, float, float], classes: tuple[int, ...] = ()) -> Detections:
    count = len(boxes)
    class_id = np.array(classes or (0,) * count, np.int32)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(count, 0.75, np.float32), class_id)


def test_the_order_of_features_is_that_of_this_version() -> None:
    """Stored references mean features by their place: another order is another version."""
    assert VERSION == 1
    assert hashlib.sha256(" ".join(NAMES).encode()).hexdigest()[:12] == "1b84a17fdd96"
    assert len(set(NAMES)) == len(NAMES)
    assert all(feature.grain > 0 and feature.less and feature.more for feature in FEATURES)


def test_the_doctests() -> None:
    assert doctest.testmod(features_module).failed == 0


@settings(deadline=None, max_examples=25)
@given(st.floats(0.3, 0.9), st.integers(0, 5))
def test_less_light_is_darker_by_every_luma_feature(gain: float, seed: int) -> None:
    pixels = scene(seed)
    before, after = seen(pixels), seen((pixels * gain).astype(np.uint8))
    for name in ("luma_mean", "luma_p05", "luma_median", "luma_p95", "luma_spread"):
        assert after[name] < before[name], name


def test_blur_takes_sharpness_and_noise_is_measured() -> None:
    rng = np.random.default_rng(3)
    pixels = scene()
    assert seen(np.asarray(cv2.GaussianBlur(pixels, (0, 0), 3.0), np.uint8))["sharpness"] < seen(pixels)["sharpness"]
    for sigma in (4.0, 12.0):
        noisy = np.clip(pixels + rng.normal(0, sigma, pixels.shape), 0, 255).astype(np.uint8)
        assert seen(noisy)["noise"] == pytest.approx(sigma, rel=0.2)


def test_a_red_cast_is_redder_and_not_bluer() -> None:
    pixels = scene()
    cast = pixels.copy()
    cast[:, :, 2] = np.minimum(255, cast[:, :, 2] * 1.3)
    before, after = seen(pixels), seen(cast)
    assert after["red"] > before["red"] + 0.1
    assert after["blue"] == pytest.approx(before["blue"], abs=1e-4)


def test_black_and_white_parts_are_shares() -> None:
    pixels = np.full((240, 320, 3), 128, np.uint8)
    pixels[:60], pixels[120:] = 0, 255
    values = seen(pixels)
    assert values["dark_share"] == pytest.approx(0.25, abs=0.03)
    assert values["bright_share"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8), np.full((16, 16, 3), 90, np.uint8)],
    ids=["black", "white", "grey"],
)
def test_a_picture_of_one_colour_has_values_and_no_layout(pixels: Pixels) -> None:
    seen_one = observe(SCHEMA, frame(pixels))
    assert np.isfinite(seen_one.values[:8]).all()
    again = statistics(seen_one.values, seen_one.profile, observe(SCHEMA, frame(scene())).profile, SCHEMA)
    assert np.isnan(again[NAMES.index("layout_distance")])
    assert np.isnan(again[NAMES.index("edges_distance")])


@pytest.mark.parametrize(
    ("pixels", "thumb"),
    [
        (np.zeros((2, 2, 3), np.uint8), np.zeros((0, 64), np.uint8)),
        (np.zeros((48, 64, 3), np.float64), np.zeros((36, 64), np.float32)),
        (np.zeros((48, 64), np.uint8), np.zeros((36, 64, 3), np.uint8)),
    ],
    ids=["tiny", "floats", "grey"],
)
def test_what_is_no_picture_is_not_looked_at(pixels: Pixels, thumb: Pixels) -> None:
    assert np.isnan(observe(SCHEMA, Frame(pixels, 0.0, 0, thumb)).values[:12]).all()


def test_a_moved_picture_is_another_layout_and_a_darker_one_is_not() -> None:
    known = observe(SCHEMA, frame(scene()))
    place = NAMES.index("layout_distance")

    def distance(pixels: Pixels) -> float:
        other = observe(SCHEMA, frame(pixels))
        return float(statistics(other.values, other.profile, known.profile, SCHEMA)[place])

    assert distance(scene()) == pytest.approx(0.0, abs=1e-6)
    assert distance((scene() * 0.5).astype(np.uint8)) < 0.01
    assert distance(np.roll(scene(), 100, axis=1)) > 0.3


def test_answers_by_hand() -> None:
    two = found((0, 10, 40, 50), (100, 100, 140, 110))
    objects, confidence, size, clipped = answer_values(two, 320, 240)
    assert (objects, confidence, clipped) == (2, 0.75, 0.5)
    shares = [40 * 40 / (320 * 240), 40 * 10 / (320 * 240)]
    assert size == pytest.approx(np.mean(0.5 * np.log2(shares)))


@pytest.mark.parametrize("box", [(0, 9, 20, 20), (9, 1, 20, 20), (9, 9, 320, 20), (9, 9, 20, 239.5)])
def test_a_box_at_any_of_the_four_edges_is_cut(box: tuple[float, float, float, float]) -> None:
    assert answer_values(found(box), 320, 240)[3] == 1.0
    assert answer_values(found((9, 9, 318, 238)), 320, 240)[3] == 0.0


def test_no_objects_have_no_size_and_no_answer_is_not_no_objects() -> None:
    values = answer_values(Detections.empty(), 320, 240)
    assert values[0] == 0.0
    assert np.isnan(values[1:]).all()
    objects = NAMES.index("objects")
    assert observe(SCHEMA, frame(scene()), detections=Detections.empty()).values[objects] == 0.0
    assert np.isnan(observe(SCHEMA, frame(scene())).values[objects])


def test_scores_below_every_threshold_are_counted_and_nonsense_is_not() -> None:
    scores = np.array([[0.03, 0.15, 0.15, 0.95, np.nan, -1.0, np.inf, 0.001]], np.float32)
    profile = answer_profile(Detections.empty(), scores, SCHEMA)
    assert profile[:8].tolist() == [1, 0, 2, 0, 0, 0, 0, 1]
    assert np.isnan(answer_profile(Detections.empty(), None, SCHEMA)[:8]).all()


def test_a_class_beyond_the_labels_counts_with_the_last() -> None:
    boxes = [(0.0, 0.0, 9.0, 9.0)] * 4
    assert answer_profile(found(*boxes, classes=(0, 2, 7, -1)), None, SCHEMA)[8:].tolist() == [2, 0, 2]


@pytest.mark.parametrize("odd", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_that_is_none_is_not_looked_at(odd: float) -> None:
    assert np.isnan(speed_values(odd)).all()


def test_the_codes_by_hand() -> None:
    counts = np.zeros((2, 256), np.int64)
    counts[0, 0], counts[0, 100], counts[0, 255] = 5, 4, 1
    counts[1, 10:20] = 1
    use = code_use(counts)
    assert use.low.tolist() == [0.5, 0.0]
    assert use.high.tolist() == pytest.approx([0.1, 0.0])
    assert use.utilisation.tolist() == [1.0, 10 / 256]
    assert code_values(counts).tolist() == pytest.approx([0.25, 0.05, 0.5 * (1 + 10 / 256)])
    assert code_profile(counts, SCHEMA).reshape(2, 8).sum(axis=1).tolist() == pytest.approx([1.0, 1.0])


def test_a_group_that_held_nothing_says_nothing() -> None:
    counts = np.zeros((2, 256), np.int64)
    assert np.isnan(code_values(counts)).all()
    counts[0, 3] = 7
    assert np.isnan(code_use(counts).low[1])
    assert np.isfinite(code_values(counts)).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=512, max_size=512))
def test_codes_mirrored_change_their_ends(numbers: list[int]) -> None:
    counts = np.array(numbers, np.int64).reshape(2, 256)
    one, other = code_use(counts), code_use(counts[:, ::-1])
    assert np.array_equal(one.low, other.high, equal_nan=True)
    assert np.array_equal(one.utilisation, other.utilisation, equal_nan=True)


@pytest.mark.parametrize("counts", [np.zeros((2, 255), int), np.zeros(256, int), np.full((2, 256), -1)])
def test_counts_of_another_shape_are_refused(counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="counts of codes"):
        code_use(counts)


def test_counts_of_other_groups_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 256\); \(2, 256\) is wanted"):
        observe(SCHEMA, frame(scene()), counts=np.ones((3, 256), int))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 5))
def test_pooling_in_steps_is_pooling_at_once(seed: int, inner: int, outer: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(outer * inner, len(MEASURED)))
    profiles = rng.normal(size=(outer * inner, 7))
    steps = pooled(*(each.reshape(outer, inner, -1) for each in (values, profiles)))
    for one, other in zip(pooled(*steps), pooled(values, profiles), strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_of_a_block_the_slowest_invoke_counts_and_the_mean_of_the_rest() -> None:
    blocks, block = Blocks(3), None
    for invoke_s in (0.25, 0.25, 1.0):
        block = blocks.add(observe(SCHEMA, frame(scene()), invoke_s=invoke_s))
    assert block is not None
    values = dict(zip((feature.name for feature in MEASURED), block.values.tolist(), strict=True))
    assert values["invoke_slowest_s"] == 0.0
    assert values["invoke_s"] == pytest.approx(-4 / 3)
    assert block.frames == 3


def test_what_is_seen_in_some_frames_counts_and_what_is_never_seen_is_nan() -> None:
    values, profile = nothing(SCHEMA)
    one, two = values.copy(), values.copy()
    one[0] = 4.0
    middle, _ = pooled(np.stack([one, two]), np.stack([profile, profile]))
    assert middle[0] == 4.0
    assert np.isnan(middle[1:]).all()


def test_a_frame_of_another_size_begins_a_new_block() -> None:
    values, profile = nothing(SCHEMA)
    blocks = Blocks(2)
    assert blocks.add(Observation(values, profile, 64, 48)) is None
    assert blocks.add(Observation(values, profile, 32, 24)) is None
    block = blocks.add(Observation(values, profile, 32, 24))
    assert block is not None
    assert (block.width, block.frames) == (32, 2)


@pytest.mark.parametrize(("classes", "groups"), [(0, 0), (5000, 0), (3, -1), (3, 100_000)])
def test_a_schema_of_nonsense_is_refused(classes: int, groups: int) -> None:
    with pytest.raises(ValueError, match="can be"):
        Schema(classes, groups)


def test_the_profile_is_laid_out_without_gaps() -> None:
    ends = [0, *(each.stop for each in SCHEMA.slices)]
    assert [each.start for each in SCHEMA.slices] == ends[:-1]
    assert SCHEMA.profile_size == 2 * CELLS + 8 + 3 + 16
