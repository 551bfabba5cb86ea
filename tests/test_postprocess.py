"""From the model's answer to detections: the box coder, suppression, thresholds, zones; against plain loops."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agent.config import ModelConfig, ZoneConfig
from agent.errors import ConfigError, ModelError
from agent.model import anchors
from agent.postprocess import Postprocessor, candidates, class_wise_nms, decode_boxes
from agent.postprocess.filters import Filters, contains
from agent.postprocess.nms import iou
from agent.postprocess.rows import Rows
from agent.records import Detections, Heads, Labels, Outputs, Placement
from tests.models import iou as plain_iou
from tests.models import square

LABELS = Labels({0: "cat", 1: "dog", 2: "cat", 4: "bird"})
FRAME = Placement(200, 100)


# The box coder


@given(
    arrays.arrays(np.float32, (5, 4), elements=st.floats(-8, 8, width=32)),
    arrays.arrays(np.float32, (5, 4), elements=st.floats(0.015625, 1, width=32)),
    st.sampled_from(["yxhw", "xywh"]),
    st.tuples(*[st.floats(0.05, 1.0)] * 4),
)
@settings(deadline=None)
def test_boxes_are_decoded_as_the_papers_say(
    encoded: np.ndarray, placed: np.ndarray, order: Any, variances: tuple[float, float, float, float]
) -> None:
    heads = square(1, 1, (1.0, 1.0), box_order=order, variances=variances)
    found = decode_boxes(encoded, placed, heads)
    for row, (code, anchor) in enumerate(zip(encoded.astype(float), placed.astype(float), strict=True)):
        tx, ty, tw, th = (code[1], code[0], code[3], code[2]) if order == "yxhw" else code
        x, y = anchor[0] + tx * variances[0] * anchor[2], anchor[1] + ty * variances[1] * anchor[3]
        w, h = anchor[2] * math.exp(tw * variances[2]), anchor[3] * math.exp(th * variances[3])
        expected = [y - h / 2, x - w / 2, y + h / 2, x + w / 2]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4 * max(1.0, w, h))


def test_a_code_without_end_gives_no_overflow() -> None:
    with np.errstate(all="raise"):
        found = decode_boxes(np.full((1, 4), 1000, np.float32), np.ones((1, 4), np.float32), square(1, 1, (1.0, 1.0)))
    assert np.isfinite(found).all()


# Scores


def plain_candidates(raw: np.ndarray, heads: Heads, thresholds: np.ndarray) -> dict[tuple[int, int], float]:
    found = {}
    for anchor, row in enumerate(raw.astype(float)):
        if heads.score_activation == "softmax":
            powers = [math.exp(value - max(row)) for value in row]
            row = [power / sum(powers) for power in powers]  # noqa: PLW2901
        elif heads.score_activation == "sigmoid":
            row = [1 / (1 + math.exp(-value)) for value in row]  # noqa: PLW2901
        for number, score in enumerate(row[1 if heads.background else 0 :]):
            if score >= thresholds[min(number, len(thresholds) - 1)]:
                found[anchor, number] = score
    return found


@given(
    arrays.arrays(np.float32, (6, 4), elements=st.integers(-80, 80).map(lambda number: number / 8)),
    st.sampled_from(["none", "sigmoid", "softmax"]),
    st.booleans(),
    st.lists(st.sampled_from([0.0, 0.12345, 0.5001, 0.912345, np.inf]), min_size=1, max_size=5),
)
@settings(deadline=None)
def test_candidates_are_those_of_the_definition(
    raw: np.ndarray, activation: Any, background: bool, limits: list[float]
) -> None:
    heads = square(1, 1, (1.0, 1.0), score_activation=activation, background=background)
    thresholds = np.array(limits, np.float32)
    with np.errstate(all="raise"):
        anchor, classes, scores = candidates(raw, heads, thresholds)
    assert (anchor.dtype, classes.dtype, scores.dtype) == (np.int32, np.int32, np.float32)
    expected = plain_candidates(raw, heads, thresholds)
    found = dict(zip(zip(anchor.tolist(), classes.tolist(), strict=True), scores.tolist(), strict=True))
    assert found.keys() == expected.keys()
    for key, score in found.items():
        assert score == pytest.approx(expected[key], abs=1e-6)


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_score_that_is_no_number_is_no_candidate(activation: Any, bad: float, threshold: float) -> None:
    raw = np.array([[bad, 0.6], [0.6, 0.6]], np.float32)
    heads = square(1, 1, (1.0, 1.0), score_activation=activation)
    with np.errstate(all="raise"):
        anchor, classes, scores = candidates(raw, heads, np.array([threshold], np.float32))
    assert (0, 0) not in set(zip(anchor.tolist(), classes.tolist(), strict=True))
    assert {(1, 0), (1, 1)} <= set(zip(anchor.tolist(), classes.tolist(), strict=True))
    assert np.isfinite(scores).all()


def test_a_threshold_of_nothing_costs_the_thousand_best() -> None:
    raw = np.random.default_rng(0).random((3000, 3)).astype(np.float32)
    heads = square(1, 1, (1.0, 1.0), score_activation="none")
    anchor, classes, scores = candidates(raw, heads, np.zeros(1, np.float32))
    assert len(scores) == 1000
    np.testing.assert_array_equal(np.sort(scores), np.sort(raw.ravel())[-1000:])
    np.testing.assert_array_equal(raw[anchor, classes], scores)


# Suppression

CORNERS = st.tuples(st.integers(0, 16), st.integers(0, 16), st.integers(0, 9), st.integers(0, 9))
BOXES = st.lists(CORNERS, max_size=14).map(
    lambda boxes: np.array([[y, x, y + h, x + w] for y, x, h, w in boxes], np.float32).reshape(-1, 4)
)
THRESHOLDS = st.sampled_from([0.0, 0.1234567, 0.3001, 0.5001, 0.7654321, 1.0])
"""Between the fractions that whole-numbered boxes can have, or exact."""


@st.composite
def scored(draw: st.DrawFn, *, ties: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    boxes = draw(BOXES)
    scores = draw(st.lists(st.integers(1, 15), min_size=len(boxes), max_size=len(boxes), unique=not ties))
    classes = draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes)))
    return boxes, np.array(scores, np.float32) / 16, np.array(classes, np.int32), draw(THRESHOLDS)


def plain_nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, limit: float) -> list[int]:
    """The definition: from the best down, each box stays unless a staying one of its class overlaps it too much."""
    kept: list[int] = []
    for one in sorted(range(len(scores)), key=lambda number: (-scores[number], number)):
        rivals = [other for other in kept if classes[other] == classes[one]]
        if all(overlap(boxes[one], boxes[other]) <= limit for other in rivals):
            kept.append(one)
    return kept


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    area = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return plain_iou(one.astype(float), other.astype(float)) if area > 0 else 0.0


class TestSuppression:
    @given(scored())
    @settings(deadline=None)
    def test_is_the_definition(self, drawn: tuple[np.ndarray, np.ndarray, np.ndarray, float]) -> None:
        boxes, scores, classes, limit = drawn
        assert class_wise_nms(boxes, scores, classes, limit, len(scores)).tolist() == plain_nms(*drawn)

    @given(scored())
    @settings(deadline=None)
    def test_keeps_its_laws(self, drawn: tuple[np.ndarray, np.ndarray, np.ndarray, float]) -> None:
        boxes, scores, classes, limit = drawn
        kept = class_wise_nms(*drawn, len(scores))
        assert len(set(kept.tolist())) == len(kept) <= len(scores), "a subset"
        assert (np.diff(scores[kept]) <= 0).all(), "best first"
        for place, one in enumerate(kept):
            for other in kept[:place]:
                assert classes[one] != classes[other] or overlap(boxes[one], boxes[other]) <= limit + 1e-6
        for number in set(classes.tolist()):
            best = scores[classes == number].max()
            assert best in scores[kept][classes[kept] == number], "the best of each class stays"
        for gone in set(range(len(scores))) - set(kept.tolist()):
            rivals = [one for one in kept if classes[one] == classes[gone] and scores[one] >= scores[gone]]
            assert any(overlap(boxes[one], boxes[gone]) > limit - 1e-6 for one in rivals), "nothing goes for nothing"
        again = class_wise_nms(boxes[kept], scores[kept], classes[kept], limit, len(kept))
        assert again.tolist() == list(range(len(kept))), "done twice is done once"

    @given(scored(ties=False), st.randoms(use_true_random=False))
    @settings(deadline=None)
    def test_does_not_mind_the_order(
        self, drawn: tuple[np.ndarray, np.ndarray, np.ndarray, float], shuffle: Any
    ) -> None:
        boxes, scores, classes, limit = drawn
        order = list(range(len(scores)))
        shuffle.shuffle(order)
        kept = class_wise_nms(*drawn, len(scores)).tolist()
        mixed = class_wise_nms(boxes[order], scores[order], classes[order], limit, len(scores))
        assert [order[place] for place in mixed] == kept

    @given(scored())
    @settings(deadline=None)
    def test_of_one_class_knows_nothing_of_the_others(
        self, drawn: tuple[np.ndarray, np.ndarray, np.ndarray, float]
    ) -> None:
        boxes, scores, classes, limit = drawn
        kept = class_wise_nms(*drawn, len(scores))
        for number in range(3):
            own = np.flatnonzero(classes == number)
            alone = own[class_wise_nms(boxes[own], scores[own], classes[own], limit, len(own))]
            assert kept[classes[kept] == number].tolist() == alone.tolist()

    @given(scored(), st.integers(1, 14))
    @settings(deadline=None)
    def test_of_fewer_is_the_beginning_of_it(
        self, drawn: tuple[np.ndarray, np.ndarray, np.ndarray, float], most: int
    ) -> None:
        whole = class_wise_nms(*drawn, len(drawn[1])).tolist()
        assert class_wise_nms(*drawn, most).tolist() == whole[:most]

    @given(BOXES.filter(len))
    @settings(deadline=None)
    def test_overlap_is_that_of_the_definition(self, boxes: np.ndarray) -> None:
        expected = [overlap(boxes[0], other) for other in boxes]
        np.testing.assert_allclose(iou(boxes[0], boxes), expected, atol=1e-6)


# The whole stage, on what the graph has decoded


def decoded(boxes: Any, scores: Any, classes: Any, count: float | None = None) -> Outputs:
    """An answer of TFLite_Detection_PostProcess; boxes as ymin, xmin, ymax, xmax."""
    return Outputs(
        np.array([boxes], np.float32).reshape(1, -1, 4),
        np.array([scores], np.float32),
        np.array([classes], np.float32),
        np.array([len(scores) if count is None else count], np.float32),
    )


def found(outputs: Outputs, zones: list[ZoneConfig] | None = None, **config: Any) -> Detections:
    return Postprocessor(ModelConfig(**config), LABELS, zones)(outputs, FRAME)


BOX = [0.25, 0.25, 0.75, 0.5]


class TestDecoded:
    def test_boxes_come_in_frame_pixels_as_xyxy(self) -> None:
        seen = found(decoded([BOX, [-1, -1, 2, 2]], [0.9, 0.8], [0, 1]))
        assert seen.xyxy.tolist() == [[50, 25, 100, 75], [0, 0, 200, 100]]
        assert (seen.xyxy.dtype, seen.confidence.dtype, seen.class_id.dtype) == (np.float32, np.float32, np.int32)

    def test_best_come_first_and_at_most_so_many(self) -> None:
        outputs = decoded([BOX] * 4, [0.6, 0.9, 0.7, 0.8], [0, 1, 2, 3])
        assert found(outputs).class_id.tolist() == [1, 3, 2, 0]
        assert found(outputs, max_detections=2).class_id.tolist() == [1, 3]

    def test_ties_keep_the_models_order(self) -> None:
        outputs = decoded([BOX] * 60, [0.9, 0.6] * 30, range(60))
        assert found(outputs).class_id.tolist() == [*range(0, 60, 2), *range(1, 60, 2)]

    @pytest.mark.parametrize(("count", "seen"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (1e30, 3), (-5, 0)])
    def test_only_the_first_count_are_meant(self, count: float, seen: int) -> None:
        assert len(found(decoded([BOX] * 3, [0.9, 0.8, 0.7], [0, 1, 2], count))) == seen

    @pytest.mark.parametrize("count", [np.nan, np.inf, -np.inf])
    def test_a_count_that_is_no_number_is_no_answer(self, count: float) -> None:
        with pytest.raises(ModelError, match=r"the model says that it found .* objects; the file is damaged"):
            found(decoded([BOX], [0.9], [0], count))

    def test_thresholds_by_class_name(self) -> None:
        outputs = decoded([BOX] * 5, [0.45] * 5, [0, 1, 2, 3, 4])
        assert found(outputs).class_id.tolist() == []
        assert found(outputs, score_threshold=0.45).class_id.tolist() == [0, 1, 2, 3, 4]
        assert found(outputs, class_thresholds={"cat": 0.4}).class_id.tolist() == [0, 2], "both of the name"
        assert found(outputs, score_threshold=0.4, class_thresholds={"dog": 0.5}).class_id.tolist() == [0, 2, 3, 4]

    def test_only_the_classes_that_are_asked_for(self) -> None:
        outputs = decoded([BOX] * 6, [0.9] * 6, [0, 1, 2, 3, 4, 90])
        assert found(outputs, classes=["cat", "bird"]).class_id.tolist() == [0, 2, 4]
        assert found(outputs, classes=["dog"], class_thresholds={"dog": 0.95}).class_id.tolist() == []
        assert found(outputs, classes=["dog"], class_thresholds={"cat": 0.0}).class_id.tolist() == [1]
        assert found(outputs).class_id.tolist() == [0, 1, 2, 3, 4, 90], "a class without a name is seen too"

    def test_a_score_beyond_every_bound_brings_no_class_that_was_not_asked_for(self) -> None:
        seen = found(decoded([BOX] * 2, [50.0, 50.0], [0, 1]), classes=["dog"])
        assert (seen.class_id.tolist(), seen.confidence.tolist()) == ([1], [1.0])

    @pytest.mark.parametrize("setting", [{"classes": ["cow"]}, {"class_thresholds": {"cow": 0.5}}])
    def test_a_class_without_a_label_is_a_wrong_setting(self, setting: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=r"^model\.class.*: no class is named 'cow'; the labels have cat, dog, "):
            Postprocessor(ModelConfig(**setting), LABELS)
        with pytest.raises(ConfigError, match=r"there are no labels: give model\.labels"):
            Postprocessor(ModelConfig(**setting), Labels())

    def test_small_boxes_go(self) -> None:
        outputs = decoded(
            [[0, 0, 0.1, 0.3], [0, 0, 0.3, 0.1], [0, 0, 0.2, 0.2], [0.5, 0.5, 0.5, 0.9]], [0.9] * 4, range(4)
        )
        assert found(outputs).class_id.tolist() == [0, 1, 2], "what has no area is no object"
        assert found(outputs, min_size=0.15).class_id.tolist() == [2]
        assert found(outputs, min_size=0.1).class_id.tolist() == [0, 1, 2]

    def test_boxes_beside_the_frame_or_inside_out_go(self) -> None:
        outputs = decoded([[1.1, 0, 1.5, 1], [0.8, 0.8, 0.2, 0.2], [0, -3, 1, 0]], [0.9] * 3, range(3))
        assert len(found(outputs)) == 0

    @given(
        st.lists(
            st.tuples(
                st.just(BOX)
                | st.lists(
                    st.sampled_from([0.1, 0.5, 0.9, -0.5, 3e38, np.nan, np.inf, -np.inf]), min_size=4, max_size=4
                ),
                st.sampled_from([0.4, 0.6, 0.9, 1.5, -1.0, np.nan, np.inf, -np.inf]),
                st.sampled_from([0, 1, 90, -1, -1e9, 1e30, np.nan, np.inf]),
            ),
            min_size=1,
            max_size=8,
        ),
        st.sampled_from([0.0, 0.5]),
    )
    @settings(max_examples=300, deadline=None)
    @pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
    def test_what_is_no_number_never_passes_and_hides_nothing(self, rows: list[Any], threshold: float) -> None:
        outputs = decoded(*(list(column) for column in zip(*rows, strict=True)))
        with np.errstate(over="ignore"):
            left = found(outputs, score_threshold=threshold)
            sound = [
                (box, score, number)
                for box, score, number in rows
                if np.isfinite([*box, score, number]).all() and 0 <= number <= 1e6
            ]
            alone = (
                found(decoded(*(list(column) for column in zip(*sound, strict=True))), score_threshold=threshold)
                if sound
                else Detections.empty()
            )
        assert np.isfinite(left.xyxy).all()
        assert ((left.confidence >= threshold) & (left.confidence <= 1)).all()
        assert ((left.xyxy >= 0) & (left.xyxy <= [200, 100, 200, 100])).all()
        np.testing.assert_array_equal(left.xyxy, alone.xyxy)
        np.testing.assert_array_equal(left.class_id, alone.class_id)


NUMBERS = st.sampled_from(
    [
        *(float(np.float32(number)) for number in (0.05, 0.1, 0.3, 0.5, 0.5001, 0.75, 0.9, 1.0, 1.25, -0.25, 3e38)),
        *(np.nan, np.inf, -np.inf),
    ]
)
PLACEMENTS = st.sampled_from(
    [FRAME, Placement(640, 480, 0.0, 0.125, 1.0, 0.75), Placement(33, 77, 0.25, 0.0, 0.5, 1.0)]
)


ROWS = st.tuples(
    arrays.arrays(np.float32, (12, 4), elements=NUMBERS),
    arrays.arrays(np.float32, 12, elements=NUMBERS),
    arrays.arrays(np.float32, 12, elements=st.sampled_from([0, 1, 2, 3, 4, 5, 7, 90, -1, 1e9, np.nan, np.inf])),
    st.sampled_from([0, 3, 7, 12, 40, -2]),
)
LIMITS = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, np.inf]), min_size=1, max_size=6)


@given(ROWS, LIMITS, st.sampled_from([0.0, 0.125, 0.3]), PLACEMENTS)
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_in_plain_python_are_what_arrays_give(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, int], limits: list[float], min_size: float, placement: Placement
) -> None:
    boxes, scores, classes, count = drawn
    boxes[:, 2:] += boxes[:, :2] * 0.75  # so that more of them have an area
    rows = Rows(np.array(limits, np.float32), min_size)
    left = rows(boxes[None], scores[None], classes[None], np.array([count], np.float32), placement)
    meant = np.arange(12) < count
    real = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (classes >= 0) & (classes <= 1e6)
    numbers = np.where(real, classes, 0).astype(int)
    above = scores >= np.array(limits, np.float32)[np.minimum(numbers, len(limits) - 1)]
    placed = placement.to_frame(boxes)
    sides = (placed[:, 2:] - placed[:, :2]) / placement.size[:2]
    assume(not (np.abs(sides - min_size) < 1e-5).any() or min_size == 0)
    keep = np.flatnonzero(meant & real & above & (sides > 0).all(axis=1) & (sides >= min_size).all(axis=1))
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    np.testing.assert_allclose(left.xyxy, placed[keep], rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(left.confidence, np.minimum(scores[keep], 1.0))
    np.testing.assert_array_equal(left.class_id, numbers[keep])
    assert (left.xyxy.dtype, left.confidence.dtype, left.class_id.dtype) == (np.float32, np.float32, np.int32)


# Zones


def zone(
    *corners: tuple[float, float], mode: Any = "include", name: str = "z", classes: tuple[str, ...] = ()
) -> ZoneConfig:
    return ZoneConfig(name=name, polygon=list(corners), mode=mode, classes=list(classes))


LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
TOP = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5))
QUARTERS = decoded(
    [[y, x, y + 0.2, x + 0.2] for y in (0.1, 0.6) for x in (0.1, 0.6)] * 2, np.linspace(0.9, 0.8, 8), [0] * 4 + [1] * 4
)
"""A cat and a dog in each quarter: top left, top right, bottom left, bottom right."""


def quarters(*zones: ZoneConfig) -> tuple[set[str], set[str]]:
    """Where cats and dogs are left."""
    seen = found(QUARTERS, list(zones))
    places: tuple[set[str], set[str]] = (set(), set())
    for (left, top, _, _), number in zip(seen.xyxy, seen.class_id, strict=True):
        places[number].add(("b" if top > 50 else "t") + ("r" if left > 100 else "l"))
    return places


class TestZones:
    ALL = frozenset({"tl", "tr", "bl", "br"})

    def test_without_any_everything_counts(self) -> None:
        assert quarters() == (self.ALL, self.ALL)
        assert quarters(zone(*LEFT, mode="mask")) == (self.ALL, self.ALL), "a mask is painted, it filters nothing"

    def test_include(self) -> None:
        assert quarters(zone(*LEFT)) == ({"tl", "bl"}, {"tl", "bl"})
        assert quarters(zone(*LEFT), zone(*TOP)) == ({"tl", "bl", "tr"}, {"tl", "bl", "tr"}), "one of them is enough"

    def test_exclude(self) -> None:
        assert quarters(zone(*LEFT, mode="exclude")) == ({"tr", "br"}, {"tr", "br"})
        assert quarters(zone(*TOP), zone(*LEFT, mode="exclude")) == ({"tr"}, {"tr"}), "exclusion is stronger"

    def test_speak_of_single_classes(self) -> None:
        assert quarters(zone(*LEFT, classes=("dog",))) == (self.ALL, {"tl", "bl"})
        assert quarters(zone(*LEFT, mode="exclude", classes=("cat",))) == ({"tr", "br"}, self.ALL)
        assert quarters(zone(*LEFT, classes=("dog",)), zone(*TOP, classes=("cat",))) == ({"tl", "tr"}, {"tl", "bl"})
        assert quarters(zone(*LEFT, classes=("dog",)), zone(*TOP)) == ({"tl", "tr"}, {"tl", "bl", "tr"})

    def test_do_not_bring_back_what_is_too_small(self) -> None:
        outputs = decoded([[0.1, 0.1, 0.15, 0.15], [0.1, 0.1, 0.4, 0.4]], [0.9, 0.8], [0, 1])
        assert found(outputs, [zone(*LEFT)], min_size=0.1).class_id.tolist() == [1]

    def test_of_an_unknown_class_is_a_wrong_setting(self) -> None:
        with pytest.raises(ConfigError, match=r"^zone 'door': no class is named 'cow'"):
            found(QUARTERS, [zone(*LEFT, name="door", classes=("cow",))])

    def test_the_cut_to_the_best_comes_after_the_zones(self) -> None:
        outputs = decoded([[0, 0.6, 1, 1], [0, 0, 1, 0.4]], [0.9, 0.6], [0, 0])
        assert found(outputs, [zone(*LEFT)], max_detections=1).confidence.tolist() == [pytest.approx(0.6)]

    @given(
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=3, max_size=7),
        st.lists(st.tuples(st.integers(0, 160), st.integers(0, 160)), min_size=1, max_size=20),
    )
    @settings(max_examples=300, deadline=None)
    @pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
    def test_inside_is_what_opencv_calls_inside(
        self, corners: list[tuple[int, int]], points: list[tuple[int, int]]
    ) -> None:
        contour = np.array(corners, np.float32) / 40
        tested = np.array(points, np.float32) / 160
        distances = [cv2.pointPolygonTest(contour, (float(x), float(y)), True) for x, y in tested]
        assume(any(abs(distance) > 1e-3 for distance in distances))
        inside = contains(contour.astype(np.float64), tested)
        for distance, said in zip(distances, inside, strict=True):
            assert abs(distance) <= 1e-3 or said == (distance > 0), "off the border they agree"


# The whole stage, on raw heads

GRID = square(2, 2, (0.5, 0.5), score_activation="none", background=True)


def raw(scores: Any, codes: Any = None) -> Outputs:
    """Raw heads of four anchors, a quarter of the picture each."""
    return Outputs(
        np.zeros((1, 4, 4), np.float32) if codes is None else np.array([codes], np.float32),
        np.array([scores], np.float32),
    )


def seen(outputs: Outputs, zones: list[ZoneConfig] | None = None, **config: Any) -> Detections:
    stage = Postprocessor(ModelConfig(**config), LABELS, zones, heads=GRID, anchors=anchors(GRID))
    return stage(outputs, FRAME)


class TestRaw:
    def test_a_code_of_zeros_is_the_anchor(self) -> None:
        answer = seen(raw([[1, 0, 0], [0, 0.9, 0], [0, 0, 0.8], [0, 0.1, 0.2]]))
        assert answer.xyxy.tolist() == [[100, 0, 200, 50], [0, 50, 100, 100]]
        assert answer.class_id.tolist() == [0, 1], "the background is no class"

    def test_the_same_thing_seen_twice_is_one(self) -> None:
        same = [[0, 0, 0, 0], [0, -10, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
        scores = [[0, 0.9, 0.7], [0, 0.8, 0.95], [0, 0, 0], [0, 0, 0]]
        answer = seen(raw(scores, same))
        assert answer.class_id.tolist() == [1, 0], "one of each class, the best"
        np.testing.assert_allclose(answer.confidence, [0.95, 0.9])
        assert len(seen(raw(scores, same), iou_threshold=1.0)) == 4

    def test_the_cut_to_the_best_comes_after_the_zones(self) -> None:
        scores = [[0, 0.6, 0], [0, 0.9, 0], [0, 0, 0], [0, 0, 0]]
        answer = seen(raw(scores), [zone(*LEFT)], max_detections=1)
        assert answer.confidence.tolist() == [pytest.approx(0.6)]

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
    def test_what_is_no_number_never_passes_and_hides_nothing(self, bad: float) -> None:
        for place in range(4):
            codes = np.zeros((4, 4))
            codes[1, place] = bad
            answer = seen(raw([[0, 0.6, 0], [0, 0.9, bad], [0, 0, 0], [0, 0, 0]], codes), max_detections=1)
            assert answer.confidence.tolist() == [pytest.approx(0.6)]

    def test_small_ones_and_those_beside_the_frame_go(self) -> None:
        scores = [[0, 0.9, 0], [0, 0.8, 0], [0, 0.7, 0], [0, 0, 0]]
        beside = [0, 20, 0, 0]  # the centre a whole picture further right
        narrow = [0, 0, 0, -8]  # a fifth as wide
        outputs = raw(scores, [[0, 0, 0, 0], beside, narrow, [0, 0, 0, 0]])
        np.testing.assert_allclose(seen(outputs).confidence, [0.9, 0.7])
        np.testing.assert_allclose(seen(outputs, min_size=0.25).confidence, [0.9])
        assert len(seen(outputs, min_size=0.6)) == 0

    def test_best_come_first_and_at_most_so_many(self) -> None:
        scores = [[0, 0.6, 0], [0, 0.9, 0], [0, 0.7, 0], [0, 0.8, 0]]
        np.testing.assert_allclose(seen(raw(scores)).confidence, [0.9, 0.8, 0.7, 0.6])
        answer = seen(raw(scores), max_detections=2)
        np.testing.assert_allclose(answer.confidence, [0.9, 0.8])
        assert answer.xyxy.tolist() == [[100, 0, 200, 50], [100, 50, 200, 100]]

    def test_of_another_number_of_anchors_are_refused(self) -> None:
        outputs = Outputs(np.zeros((1, 5, 4), np.float32), np.zeros((1, 5, 3), np.float32))
        with pytest.raises(ModelError, match=r"^model\.heads: 4 anchors, but the model has 5"):
            seen(outputs)

    def test_without_their_anchors_are_a_missing_setting(self) -> None:
        with pytest.raises(ConfigError, match=r"^model\.heads: this model has raw heads; give their anchors"):
            Postprocessor(ModelConfig(), LABELS)(raw([[0, 0, 0]] * 4), FRAME)

    def test_of_an_empty_picture_give_no_objects(self) -> None:
        assert len(seen(raw(np.zeros((4, 3))))) == 0


def test_no_answer_gives_no_detections_in_the_right_shapes() -> None:
    nothing = found(decoded([], [], []))
    assert (nothing.xyxy.shape, nothing.confidence.shape, nothing.class_id.shape) == ((0, 4), (0,), (0,))


def test_detections_that_do_not_belong_together_are_no_record() -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int32))


def test_a_zone_that_only_counts_leaves_nothing_out() -> None:
    corner = ZoneConfig(name="corner", polygon=[(0, 0), (0.1, 0), (0.1, 0.1)], mode="count")
    assert Filters(ModelConfig(), Labels(), [corner])._zones == []
