"""The whole way, from rendered pictures to a sentence: a belt that was learned, and what then goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.camera.eye import thumbnail
from agent.camera.rendered import Knobs, Renderer
from agent.drift import Blocks, Detector, Learner, Observation, Report, Schema, fingerprint, observe, plan, to_bytes
from agent.records import Frame

SCHEMA = Schema(7)
LEARNED = 6000

pytestmark = pytest.mark.slow


def rendered(begin: int, count: int, knobs: Knobs) -> Iterator[Observation]:
    renderer = Renderer(11, 320, 240)
    for number in range(begin, begin + count):
        pixels, truth = renderer.frame(number, knobs)
        yield observe(SCHEMA, Frame(pixels, 0.0, number, thumbnail(pixels)), detections=truth)


@pytest.fixture(scope="module")
def belt() -> Detector:
    learner = Learner("rendered", SCHEMA)
    for seen in rendered(0, LEARNED, Knobs()):
        learner.add(seen)
    reference = learner.freeze()
    return Detector(reference, plan(reference, 20_000), fingerprint(to_bytes(reference)))


def after(belt: Detector, stream: Iterator[Observation]) -> list[Report]:
    detector = Detector(belt._reference, belt._plan, belt.state.reference)
    blocks = Blocks(belt._reference.block_frames)
    return [detector.update(block) for seen in stream if (block := blocks.add(seen)) is not None]


def test_fresh_frames_of_the_same_belt_are_normal(belt: Detector) -> None:
    reports = after(belt, rendered(50_000, 3000, Knobs()))
    assert {each.standing for each in reports} <= {"normal", "warning"}


@pytest.mark.parametrize(
    ("knobs", "families", "words"),
    [
        (Knobs(light=0.4), {"picture"}, {"darker", "darker lights", "darker shadows", "less contrast"}),
        (Knobs(blur=4.0), {"picture"}, {"blurred"}),
        (Knobs(noise=26.0), {"picture"}, {"more noise", "sharper"}),
        (Knobs(kelvin=3200.0), {"picture"}, {"redder", "less blue", "stronger colours"}),
        (Knobs(parts=0.0), {"answers", "picture"}, {"fewer objects"}),
    ],
    ids=["dark", "blur", "noise", "colour", "empty"],
)
def test_what_goes_wrong_is_called_by_its_name(
    belt: Detector, knobs: Knobs, families: set[str], words: set[str]
) -> None:
    reports = after(belt, rendered(60_000, 1500, knobs))
    told = reports[-1]
    assert told.standing == "alarm", told.sentence
    assert {each.family for each in told.evidence} <= families
    assert {each.word for each in told.evidence} & words, told.sentence
