"""A correction of the light is proven on frames that it was not fitted to, and only then put in force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from agent import config as settings
from agent.camera.rendered import CONDITIONS
from agent.config import Config, RuntimeConfig
from agent.pipeline import Model, load_model
from agent.recalibrate.answers import compared
from agent.recalibrate.application import Plan
from agent.recalibrate.blocks import split
from agent.recalibrate.correct import Corrected, Reference, Setup, correct, weighed
from agent.recalibrate.distance import measure
from agent.recalibrate.ladder import Climbed, Kept, Task, climb
from agent.recalibrate.levels import LEVELS, Light
from agent.recalibrate.light import look
from agent.recalibrate.overlay import Overlay, ProvenCorrection, ProvenThreshold
from agent.recalibrate.rung import Shown
from agent.records import Correction, Detections, Pixels
from tests.models import demo_file
from tests.test_recalibrate_proof import seen
from tools.demo_model.scenes import still

COUNT = 10
"""Scenes: the fewest that can be split in two and still be judged."""

SHARE = 0.1
"""Of the day's light; the demo model finds next to nothing in it."""


@pytest.fixture(scope="module")
def day() -> list[Pixels]:
    return [pixels for pixels, _ in still(91, COUNT, CONDITIONS["day"])]


@pytest.fixture(scope="module")
def later(day: list[Pixels]) -> list[Pixels]:
    """In the same light, in another order: what fits and what judges are other scenes than in the reference."""
    return day[::-1]


@pytest.fixture(scope="module")
def dark(later: list[Pixels]) -> list[Pixels]:
    return [np.rint(pixels * SHARE).astype(np.uint8) for pixels in later]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("demo")
    for name in ("model.tflite", "labels.txt"):
        (place / name).write_bytes(demo_file(name))
    return place


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Model:
    changes = {"model.path": str(folder / "model.tflite"), "model.labels": str(folder / "labels.txt")}
    return load_model(settings.override(Config(), changes))


@pytest.fixture
def model(loaded: Model) -> Model:
    loaded.preprocess.correct(None)
    return loaded


def tried(
    model: Model, frames: list[Pixels], reference: Reference, seen: Callable[[Shown], None] = lambda _: None
) -> Corrected:
    setup = Setup(model, frames, look(frames), split(len(frames), 1), model.path, RuntimeConfig(), seen)
    return correct(setup, reference)


def pictured(frames: list[Pixels]) -> Reference:
    return Reference(look(frames), tuple(frames), "pictures")


def test_dark_frames_get_their_light_back(model: Model, dark: list[Pixels], day: list[Pixels]) -> None:
    shown: list[Shown] = []
    found = tried(model, dark, pictured(day), shown.append)
    assert found.helps, found.reason
    assert found.distance is not None
    assert found.distance.frames == found.distance.blocks == len(shown) == 5, "only what was held out judges"
    assert found.distance.nearer.low > 0.5 * found.distance.before
    assert model.preprocess.correction == found.correction, "it is in force for the next rung"
    assert found.correction.gain == pytest.approx(1 / SHARE, rel=0.3)
    detections, mass = found.answers
    assert detections.reference is not None
    assert detections.before < 0.2 * detections.reference
    assert detections.after > 0.6 * detections.reference, "and the answers are back"
    assert detections.nearer is not None
    assert detections.nearer.value > 0
    assert mass.nearer is not None
    assert "; detections a frame" in found.reason
    assert all(item.light_before is None and item.light_after == found.correction for item in shown)


def test_a_light_without_pictures_proves_the_light_alone(model: Model, dark: list[Pixels], day: list[Pixels]) -> None:
    found = tried(model, dark, Reference(look(day)))
    assert found.helps
    assert "no pictures of the reference to compare answers with: thresholds stay" in found.reason
    assert [(each.reference, each.nearer) for each in found.answers] == [(None, None)] * 2
    assert not found.refits


def test_answers_that_move_away_from_the_references_refuse_it(
    model: Model, dark: list[Pixels], day: list[Pixels]
) -> None:
    blurred = [np.asarray(cv2.blur(pixels, (61, 61)), np.uint8) for pixels in day]  # nothing is to be found on them
    found = tried(model, dark, pictured(blurred))
    assert found.distance is not None
    assert found.distance.nearer.low > 0, "the light alone would have been enough"
    assert not found.helps
    assert "but detections a frame move away from the reference's 0" in found.reason
    assert model.preprocess.correction is None, "what was in force is again"


def test_the_same_light_is_left_as_it_is(model: Model, later: list[Pixels], day: list[Pixels]) -> None:
    found = tried(model, later, pictured(day))
    assert not found.helps
    assert "the light is that of the reference" in found.reason or "not surely nearer" in found.reason
    assert model.preprocess.correction is None


def test_a_correction_that_is_of_no_use_any_more_is_taken_back(
    model: Model, later: list[Pixels], day: list[Pixels]
) -> None:
    model.preprocess.correct(Correction(gain=0.1))
    found = tried(model, later, pictured(day))
    assert found.helps, found.reason
    assert found.correction == Correction()
    assert model.preprocess.correction is None
    judged = [len(model.detect(pixels)) for pixels in day[1::2]]
    assert found.answers[0].reference == sum(judged) / len(judged), "the reference is seen in its own light"


def test_it_is_taken_back_on_the_reference_s_own_pictures_too(model: Model, day: list[Pixels]) -> None:
    model.preprocess.correct(Correction(gain=0.1))
    found = tried(model, day, pictured(day))
    assert (found.helps, found.correction) == (True, Correction()), found.reason
    assert model.preprocess.correction is None


def test_what_does_not_hold_for_the_held_out_frames_is_refused(
    model: Model, dark: list[Pixels], later: list[Pixels], day: list[Pixels]
) -> None:
    mixed = [pair[number % 2] for number, pair in enumerate(zip(dark, later, strict=True))]
    found = tried(model, mixed, pictured(day))
    assert found.correction.gain > 5, "the frames that fit are dark"
    assert found.distance is not None
    assert not found.helps, "the frames that judge are not"
    assert "not surely nearer to it" in found.reason
    assert model.preprocess.correction is None
    torn = [pair[number % 2] for number, pair in enumerate(zip(day, dark, strict=True))]
    other = tried(model, dark, Reference(look(torn)))
    assert other.correction.gain > 5, "one half of the reference is bright"
    assert not other.helps, "the other half judges"


@pytest.mark.parametrize("count", [0, 7])
def test_too_small_a_reference_says_so(model: Model, dark: list[Pixels], day: list[Pixels], count: int) -> None:
    found = tried(model, dark, pictured(day[:count]) if count else Reference(look(np.zeros((9, 48, 64, 3), np.uint8))))
    assert not found.helps
    assert found.reason == f"{count} frames of the reference show anything, 8 are the least"


def flat(*grey: float) -> Light:
    """Frames whose levels spread evenly from 0 to twice ``grey``."""
    rise = np.linspace(0, 2, LEVELS, dtype=np.float32)
    return Light(np.array([[value * rise] * 3 for value in grey], np.float32), np.full(len(grey), 1, np.float32))


def test_the_distance_is_that_of_the_held_out_frames() -> None:
    light = flat(*[10, 50] * 6)
    held_out = tuple((number,) for number in range(0, 12, 2))
    found = measure(light, held_out, (Correction(), Correction(gain=5.0)), flat(*[50] * 4))
    assert found is not None
    assert (found.before, found.after) == (pytest.approx(40, rel=0.01), pytest.approx(0, abs=0.01))
    assert found.nearer.low == pytest.approx(40, rel=0.01)


def test_frames_that_show_nothing_prove_nothing() -> None:
    light = flat(*[10] * 4, *[0] * 8)
    assert (
        measure(light, tuple((number,) for number in range(12)), (Correction(), Correction(gain=5)), flat(50)) is None
    )


def climbed(model: Model, frames: list[Pixels], before: Overlay, reference: Reference | str) -> Climbed:
    task = Task(
        plan=Plan(),
        runtime=RuntimeConfig(),
        path=model.path,
        reference=reference,
        float_model=None,
        rungs=("correct",),
        seen=lambda _: None,
    )
    return climb(model, before, Kept(frames, look(frames), len(frames)), task)


def ladder(
    model: Model, frames: list[Pixels], before: Overlay, reference: Reference | str
) -> tuple[Overlay, list[str]]:
    found = climbed(model, frames, before, reference)
    return found.overlay, [rung.verdict for rung in found.rungs]


def test_what_helps_is_in_the_record_and_what_does_not_leaves_it(
    model: Model, dark: list[Pixels], day: list[Pixels]
) -> None:
    nothing = Overlay(base_sha256=model.card.sha256)
    said, verdicts = ladder(model, dark, nothing, pictured(day))
    assert verdicts == ["sound", "helps", "not-tried"]
    assert said.light is not None
    assert said.light.correction == model.preprocess.correction
    assert said.light.gain[1] > 0
    assert ladder(model, dark, nothing, "no reference: none") == (nothing, ["sound", "not-tried", "not-tried"])


def test_a_correction_that_goes_takes_its_thresholds_along(
    model: Model, later: list[Pixels], day: list[Pixels]
) -> None:
    light = ProvenCorrection(correction=Correction(gain=2.5), distance=1.0, gain=(9.0, 8.0, 10.0), frames=6)
    name = model.labels.names[0]
    by = ProvenThreshold(given=0.5, threshold=0.9, rate=0.1, evidence=9, by="correct")
    before = Overlay(base_sha256=model.card.sha256, light=light, thresholds={name: by})
    found = climbed(model, later, before, pictured(day))
    assert found.rungs[1].verdict == "helps"
    assert f"thresholds of another light are taken away: {name}" in found.rungs[1].details
    assert found.overlay == Overlay(base_sha256=model.card.sha256)


def test_thresholds_do_not_rise_from_one_correction_to_the_next(
    model: Model, dark: list[Pixels], day: list[Pixels]
) -> None:
    """Found under another light, they hide every answer; the next correction begins at those of the settings."""
    names = model.labels.names.values()
    high = ProvenThreshold(given=0.5, threshold=1.0, rate=0.0, evidence=9, by="correct")
    light = ProvenCorrection(correction=Correction(gain=2.0), distance=1.0, gain=(9.0, 8.0, 10.0), frames=6)
    before = Overlay(base_sha256=model.card.sha256, light=light, thresholds=dict.fromkeys(names, high))
    model.preprocess.correct(light.correction)
    found = climbed(model, dark, before, pictured(day))
    assert found.rungs[1].verdict == "helps", found.rungs[1].reason
    assert all(each.threshold < 1 for each in found.overlay.thresholds.values())
    counted = {row.name: row for row in found.rungs[1].rows}["detections a frame"]
    assert counted.before == 0, "those in force count for what is in force"
    assert counted.after is not None
    assert counted.after > 1


def detected(*counts: int) -> list[list[Detections]]:
    return [[seen(*[(20.0 * number, 0.0, 0, 0.9) for number in range(count)])] for count in counts]


TRIED = Correction(gain=2.0)


def weighed_answers(known: list[int], before: list[int], after: list[int], correction: Correction = TRIED) -> Corrected:
    """What comes of a correction that brings the light nearer, by so many detections a picture."""
    sides = detected(*known), detected(*before), detected(*after)
    figures = (("detections a frame", len), ("score mass a frame", lambda each: float(each.confidence.sum())))
    answers = tuple(compared(name, figure, *sides) for name, figure in figures)
    return weighed(Corrected(helps=True, reason="nearer", correction=correction, answers=answers))


@pytest.mark.parametrize(
    ("before", "after", "helps", "words"),
    [
        (
            [0] * 8,
            [5, 5, 4, 5, 5, 6, 5, 5],
            True,
            "detections a frame surely nearer to the reference's 5.00: 0.00 -> 5.00",
        ),
        ([4] * 8, [4, 5] * 4, True, "detections a frame not surely further from the reference's 5.00: 4.00 -> 4.50"),
        ([5] * 8, [4, 6] * 4, True, "detections a frame not surely further from the reference's 5.00: 5.00 -> 5.00"),
        ([4] * 8, [9] * 8, False, "but detections a frame move away from the reference's 5.00: 4.00 -> 9.00"),
        ([12] * 8, [0] * 8, False, "but detections a frame may stay below 70 % of the reference's 5.00"),
        ([5, 6, 4, 5] * 2, [3, 4, 2, 3] * 2, False, "but detections a frame "),
        ([0] * 8, [0] * 8, False, "and do not surely rise: 0.00 -> 0.00"),
        ([2] * 8, [0, 6, 1, 3] * 2, False, "and do not surely rise: 2.00 -> 2.50"),
        ([0] * 8, [1, 2] * 4, True, "surely nearer to the reference's 5.00: 0.00 -> 1.50"),
    ],
)
def test_what_answers_say_of_a_correction(before: list[int], after: list[int], helps: bool, words: str) -> None:
    found = weighed_answers([5] * 6, before, after)
    assert found.helps == helps
    assert words in found.reason


def test_few_pictures_that_prove_no_harm_are_no_leave() -> None:
    found = weighed_answers([1, 3, 2, 0, 4, 2], [4, 0, 1, 3, 2, 0, 2, 4, 3, 1], [2, 0, 1, 2, 1, 0, 1, 2, 2, 1])
    assert found.answers[0].nearer is not None
    assert found.answers[0].nearer.high > 0, "that they move away is not sure"
    assert not found.helps
    assert "1.20" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "share", "after", "least", "most"),
    [(2.0, 0.6, 0.0, 0, 1), (4.5, 0.0, 0.0, 0, 0), (0.2, 0.0, 2.0, 25, 30)],
    ids=["loses two fifths", "loses all", "brings them back"],
)
def test_how_often_a_correction_is_put_in_force(
    before: float, share: float, after: float, least: int, most: int
) -> None:
    """Thirty draws of ten held-out frames and ten of the reference, which shows two objects a frame."""
    random, count = np.random.default_rng(7), 0
    for _ in range(30):
        found = random.poisson(before, 10)
        left = random.binomial(found, share) + random.poisson(after, 10)
        count += weighed_answers([*random.poisson(2.0, 10)], [*found], [*left]).helps
    assert least <= count <= most


def test_without_pictures_answers_that_surely_fall_refuse_it() -> None:
    fallen = weighed_answers([], [4, 5] * 4, [1, 0] * 4)
    assert not fallen.helps
    assert "but detections a frame surely fall: 4.50 -> 0.50 (-4.00, 95 %: " in fallen.reason
    assert weighed_answers([], [4, 5] * 4, [5, 4] * 4).helps, "not surely"
    assert weighed_answers([], [0] * 8, [0, 2] * 4).helps


def test_a_fallen_score_mass_alone_refuses_it_where_nothing_else_tells() -> None:
    found = compared("detections a frame", len, [], detected(*[2] * 8), detected(*[2] * 8))
    mass = compared("score mass a frame", len, [], detected(*[9] * 8), detected(*[3] * 8))
    said = weighed(Corrected(helps=True, reason="nearer", correction=TRIED, answers=(found, mass)))
    assert not said.helps
    assert "but score mass a frame surely fall: 9.00 -> 3.00" in said.reason


def test_what_is_taken_back_owes_no_proof_of_its_answers() -> None:
    assert weighed_answers([], [6] * 8, [2] * 8, Correction()).helps
    assert weighed_answers([5] * 6, [12] * 8, [0] * 8, Correction()).helps
    assert not weighed_answers([5] * 6, [5] * 8, [0] * 8, Correction()).helps, "they surely move away"


@hypothesis(max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=12), st.lists(st.integers(1, 9), min_size=5, max_size=12))
def test_a_correction_that_takes_every_answer_away_is_never_put_in_force(before: list[int], known: list[int]) -> None:
    assert not weighed_answers(known, before, [0] * len(before)).helps


def test_score_mass_that_moves_away_alone_is_a_warning() -> None:
    known = detected(5, 5, 5, 5, 5, 5)
    detections = compared("detections a frame", len, known, detected(*[0] * 8), detected(*[5] * 8))
    mass = compared("score mass a frame", len, known, detected(*[4] * 8), detected(*[9] * 8))
    found = weighed(Corrected(helps=True, reason="nearer", correction=TRIED, answers=(detections, mass)))
    assert found.helps
    assert "; but score mass a frame move away from the reference's" in found.reason


def test_the_middle_of_a_reference_is_no_more_certain_than_its_frames() -> None:
    light, held_out = flat(*[40] * 12), tuple((number,) for number in range(12))
    corrections = Correction(), Correction(gain=1.25)
    steady = measure(light, held_out, corrections, flat(*[50] * 5))
    torn = measure(light, held_out, corrections, flat(25, 30, 50, 80, 90))
    assert steady is not None
    assert torn is not None
    assert steady.nearer.value == pytest.approx(torn.nearer.value), "the same middle frame"
    assert steady.nearer.low == pytest.approx(steady.nearer.value, rel=0.01)
    assert torn.nearer.low < 0 < torn.nearer.value, "the middle may as well have been 30"
