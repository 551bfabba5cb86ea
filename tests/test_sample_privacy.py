"""What is hidden before anything is written: pixels in, pixels out, or nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import SampleConfig, ZoneConfig, parse
from agent.errors import ConfigError
from agent.records import Detections
from agent.sample import Privacy, hide, plan
from agent.sample.privacy import GREY
from tests.sampling import LABELS, scene

HEIGHT, WIDTH = 48, 64
Places = npt.NDArray[np.bool_]


def at(*boxes: tuple[float, float, float, float], score: float = 0.9, class_id: int = 0) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, score, np.float32),
        np.full(count, class_id, np.int32),
    )


def inside(*boxes: tuple[float, float, float, float]) -> Places:
    """Pixels that a box touches."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    touched = np.zeros((HEIGHT, WIDTH), bool)
    for left, top, right, bottom in boxes:
        touched |= (columns + 1 > left) & (columns < right) & (rows + 1 > top) & (rows < bottom)
    return touched


def hidden(picture: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    assert picture is not None
    return picture


sides = st.floats(-20, 90, width=32)
boxes = st.lists(
    st.tuples(sides, sides, sides, sides).map(
        lambda box: (min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3]))
    ),
    max_size=4,
)


@settings(deadline=None)
@given(boxes, st.sampled_from(["blur", "mask"]))
def test_nothing_but_the_boxes_is_touched_and_masked_ones_are_grey(
    boxes: list[tuple[float, float, float, float]], mode: str
) -> None:
    """Outside of the boxes every pixel is as it was; inside of masked ones every pixel is grey."""
    pixels = scene(1, (WIDTH, HEIGHT))
    before = pixels.copy()
    shown = hidden(hide(pixels, at(*boxes), Privacy(mode, margin=0.0)))  # type: ignore[arg-type]
    assert (pixels == before).all(), "the frame itself is not changed"
    covered = inside(*boxes)
    assert (shown[~covered] == pixels[~covered]).all()
    if mode == "mask":
        assert (shown[covered] == GREY).all()


def test_what_is_blurred_is_made_of_sixteen_patches_and_nothing_else() -> None:
    """The picture in a box is replaced by another of the same means; no pixel of the outcome tells the two apart."""
    box = (8.0, 8.0, 56.0, 40.0)
    one = scene(1, (WIDTH, HEIGHT))
    other = one.copy()
    face = one[8:40, 8:56].reshape(4, 8, 4, 12, 3)
    turned = face[:, ::-1, :, ::-1].reshape(32, 48, 3)
    other[8:40, 8:56] = turned
    assert (one != other).mean() > 0.2
    policy = Privacy("blur", margin=0.0)
    apart = hidden(hide(one, at(box), policy)).astype(int) - hidden(hide(other, at(box), policy))
    assert np.abs(apart).max() <= 1, "but for rounding"


def test_a_box_is_widened_by_its_margin() -> None:
    shown = hidden(hide(scene(1, (WIDTH, HEIGHT)), at((20.0, 20.0, 30.0, 40.0)), Privacy("mask", margin=0.1)))
    grey = (shown == GREY).all(axis=2)
    assert grey[18:42, 19:31].all()
    assert grey.sum() == 24 * 12


def test_only_the_named_classes_and_scores_are_hidden() -> None:
    pixels = scene(1, (WIDTH, HEIGHT))
    person, cat = (4.0, 4.0, 20.0, 20.0), (30.0, 4.0, 50.0, 20.0)
    both = Detections(np.array([person, cat], np.float32), np.array([0.3, 0.9], np.float32), np.array([0, 1], np.int32))
    policy = Privacy("mask", frozenset({0}), least_score=0.1, margin=0.0)
    grey = (hidden(hide(pixels, both, policy)) == GREY).all(axis=2)
    assert grey[5:19, 5:19].all(), "a person below the threshold is a person"
    assert not grey[5:19, 31:49].any()
    faint = at(person, score=0.05)
    assert (hidden(hide(pixels, faint, policy)) == pixels).all()
    odd = at(person, score=float("nan"))
    assert (hidden(hide(pixels, odd, policy))[5:19, 5:19] == GREY).all(), "a score that is no number is a box"


def test_no_answer_is_not_nobody_there() -> None:
    pixels = scene(1, (WIDTH, HEIGHT))
    assert hide(pixels, None, Privacy("blur")) is None
    assert hide(pixels, None, Privacy("mask", frozenset({0}))) is None
    assert (hidden(hide(pixels, Detections.empty(), Privacy("mask"))) == pixels).all(), "nothing there is an answer"
    zones_only = Privacy("mask", frozenset(), (((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))
    half = hidden(hide(pixels, None, zones_only))
    assert (half[:, :32] == GREY).all()
    assert (half[:, 34:] == pixels[:, 34:]).all()


@pytest.mark.parametrize("side", [float("nan"), float("inf")])
def test_a_box_that_lies_nowhere_hides_the_whole_picture(side: float) -> None:
    assert hide(scene(1), at((1.0, side, 5.0, 9.0)), Privacy("mask")) is None


def test_off_and_statistics_give_no_picture_and_full_gives_all() -> None:
    pixels = scene(1, (WIDTH, HEIGHT))
    assert hide(pixels, at(), Privacy("off")) is None
    assert hide(pixels, at(), Privacy("statistics")) is None
    assert (hidden(hide(pixels, None, Privacy("full"))) == pixels).all()


@pytest.mark.parametrize("mode", ["blur", "mask"])
def test_a_zone_is_hidden_whatever_is_in_it(mode: str) -> None:
    pixels = scene(1, (WIDTH, HEIGHT))
    triangle = ((0.25, 0.25), (1.0, 0.25), (1.0, 1.0))
    policy = Privacy(mode, frozenset(), (triangle,), margin=0.0)  # type: ignore[arg-type]
    shown = hidden(hide(pixels, Detections.empty(), policy))
    changed = (shown != pixels).any(axis=2)
    assert changed[16:40, 60].mean() > 0.9
    assert not changed[:, :15].any()
    assert not changed[40:, :40].any()


def test_boxes_under_a_zone_stay_hidden() -> None:
    box = (10.0, 10.0, 40.0, 40.0)
    whole = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    one, other = scene(1, (WIDTH, HEIGHT)), scene(1, (WIDTH, HEIGHT))
    other[10:40, 10:40] = 255 - other[10:40, 10:40]
    policy = Privacy("mask", None, (whole,), margin=0.0)
    assert (hidden(hide(one, at(box), policy)) == hidden(hide(other, at(box), policy))).all()


def test_the_settings_become_a_policy() -> None:
    zones = [
        ZoneConfig(name="door", polygon=[(0, 0), (1, 0), (1, 1)]),
        ZoneConfig(name="wall", polygon=[(0, 0), (1, 0), (0, 1)]),
    ]
    config = SampleConfig(privacy="blur", private_classes=["person", "dog"], private_zones=["door"])
    policy = plan(config, zones, LABELS)
    assert policy.class_ids == {0, 2}
    assert policy.polygons == (((0, 0), (1, 0), (1, 1)),)
    assert plan(SampleConfig(privacy="mask"), zones, LABELS).class_ids is None
    assert plan(SampleConfig(), zones, LABELS).mode == "off", "nothing is kept unless somebody says how"


def test_a_class_that_the_model_does_not_have_would_hide_nobody_and_is_refused() -> None:
    with pytest.raises(ConfigError, match="no class is named 'persn'; did you mean 'person'"):
        plan(SampleConfig(privacy="blur", private_classes=["persn"]), [], LABELS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('private_zones = ["dor"]', "sample.private_zones: no zone is named 'dor'"),
        ('privacy = "blur"\nprivate_classes = []', 'sample.privacy: "blur" has nothing to hide'),
        ('private_classes = ["*", "person"]', "stands for every class"),
        ('privacy = "blurr"', "sample.privacy"),
        ("coverage = [1, 2]", "sample.coverage"),
        ("coverage = [1, 2, -3]", "sample.coverage"),
        ("max_bytes = 5", "sample.max_bytes"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"[sample]\n{text}\n")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
