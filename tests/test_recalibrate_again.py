"""What of a record outlasts another light."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import config as settings
from agent.camera.rendered import CONDITIONS
from agent.config import Config, RuntimeConfig
from agent.errors import ModelError
from agent.model import Net, RangePatch, groups, make, scale_for
from agent.pipeline import Model, load_model
from agent.recalibrate import overlay
from agent.recalibrate.again import staying
from agent.recalibrate.application import Plan, recalibrate
from agent.recalibrate.correct import Reference
from agent.recalibrate.ladder import Climbed, Kept, Task, climb, thresholds_of
from agent.recalibrate.light import look
from agent.recalibrate.operating import Refit
from agent.recalibrate.overlay import Overlay, ProvenCorrection, ProvenPatch, ProvenThreshold, light_digest
from agent.recalibrate.rung import Name
from agent.records import Correction, Pixels
from tests.models import demo_file
from tests.test_recalibrate_probe import shrunk
from tools.demo_model.scenes import still

COUNT = 10
SHARE = 0.1
"""Of the day's light."""


@pytest.fixture(scope="module")
def day() -> list[Pixels]:
    return [pixels for pixels, _ in still(91, COUNT, CONDITIONS["day"])]


@pytest.fixture(scope="module")
def dark(day: list[Pixels]) -> list[Pixels]:
    return [np.rint(pixels * SHARE).astype(np.uint8) for pixels in day[::-1]]


def model_of(place: Path, data: bytes) -> Model:
    (place / "model.tflite").write_bytes(data)
    (place / "labels.txt").write_bytes(demo_file("labels.txt"))
    changes = {"model.path": str(place / "model.tflite"), "model.labels": str(place / "labels.txt")}
    return load_model(settings.override(Config(), changes))


def patched(model: Model, data: bytes, patch: RangePatch) -> tuple[Overlay, Path]:
    """A record of a patch that was proven without a correction, and its file."""
    digest = light_digest(None)
    by = ProvenThreshold(given=0.5, threshold=0.55, rate=0.1, evidence=9, by="recalibrate", light=digest)
    ranges = ProvenPatch(patch=patch, agreement=0.9, gain=(0.3, 0.2, 0.4), frames=5, light=digest)
    path = model.path.with_name("patched.tflite")
    path.write_bytes(data)
    return Overlay(base_sha256=model.card.sha256, ranges=ranges, thresholds={model.labels.name(0): by}), path


def coarser(model: Model) -> tuple[bytes, RangePatch]:
    """A patch that a well calibrated file gains nothing from, in whatever light."""
    data = memoryview(model.path.read_bytes())
    scales = [
        None if group.frozen else scale_for(-1.1 * 128 * group.scale, 1.1 * 127 * group.scale, group.dtype)
        for group in groups(Net(data))
    ]
    patch, made = make(data, scales)
    return made, patch


def climbed(
    model: Model, frames: list[Pixels], before: Overlay, path: Path, day: list[Pixels], *rungs: Name
) -> Climbed:
    task = Task(
        plan=Plan(),
        runtime=RuntimeConfig(),
        path=path,
        reference=Reference(look(day), tuple(day), "pictures"),
        float_model=None,
        rungs=rungs or ("correct",),
        seen=lambda _: None,
    )
    return climb(model, before, Kept(frames, look(frames), len(frames)), task)


@pytest.mark.slow
def test_a_patch_is_proven_again_in_another_light(tmp_path: Path, dark: list[Pixels], day: list[Pixels]) -> None:
    model = model_of(tmp_path, bytes(shrunk(memoryview(demo_file()), 0.3)))
    outcome = recalibrate(model, day, RuntimeConfig())
    assert outcome.verdict == "recalibrate"
    before, path = patched(model, outcome.patched, outcome.patch)
    found = climbed(model, dark, before, path, day)
    assert found.rungs[1].verdict == "helps", found.rungs[1].reason
    assert any(said.startswith("the range patch is proven again in this light: ") for said in found.rungs[1].details)
    light, ranges = found.overlay.light, found.overlay.ranges
    assert light is not None
    assert ranges is not None
    assert ranges.patch == outcome.patch
    assert ranges.gain[1] > 0
    assert ranges.gain != (0.3, 0.2, 0.4), "what was measured in this light"
    threshold = found.overlay.thresholds[model.labels.name(0)]
    assert threshold.by == "recalibrate"
    assert ranges.light == threshold.light == light_digest(light.correction)
    assert found.overlay.is_of_one_light


def test_a_patch_that_does_not_hold_in_another_light_goes(
    tmp_path: Path, dark: list[Pixels], day: list[Pixels]
) -> None:
    model = model_of(tmp_path, demo_file())
    before, path = patched(model, *coarser(model))
    found = climbed(model, dark, before, path, day)
    assert found.rungs[1].verdict == "helps", found.rungs[1].reason
    said = [each for each in found.rungs[1].details if "range patch" in each]
    assert len(said) == 1
    assert said[0].startswith("the range patch was proven in another light, and in this one it is not: ")
    assert (found.overlay.ranges, found.overlay.thresholds) == (None, {})
    assert found.overlay.light is not None


@pytest.mark.slow
def test_what_goes_is_not_what_the_next_rung_is_compared_with(
    tmp_path: Path, dark: list[Pixels], day: list[Pixels]
) -> None:
    model = model_of(tmp_path, demo_file())
    before, path = patched(model, *coarser(model))
    found = climbed(model, dark, before, path, day, "correct", "recalibrate")
    said = next(each for each in found.rungs[1].details if "range patch" in each)
    agreement = found.rungs[2].rows[0]
    assert agreement.before is not None
    assert f"agreement with the float reference {agreement.before:.3f} -> " in said, "the file as it was received"


@pytest.mark.slow
def test_what_is_learned_says_in_which_light(tmp_path: Path, dark: list[Pixels], day: list[Pixels]) -> None:
    model = model_of(tmp_path, bytes(shrunk(memoryview(demo_file()), 0.3)))
    nothing = Overlay(base_sha256=model.card.sha256)
    said = climbed(model, dark, nothing, model.path, day, "correct", "recalibrate").overlay
    assert said.light is not None
    assert said.ranges is not None
    assert said.ranges.light == light_digest(said.light.correction)
    assert said.is_of_one_light


def test_kept_thresholds_say_in_which_light(tmp_path: Path) -> None:
    model = model_of(tmp_path, demo_file())
    refits = {0: Refit(0.5, 0.625, 0.1, 0.1, (0.0, 0.2), 9), 1: Refit(0.5, 0.5, 0.1, 0.1, (0.0, 0.2), 9)}
    kept = thresholds_of(refits, model, "correct", "0" * 16)
    by = ProvenThreshold(given=0.5, threshold=0.625, rate=0.1, evidence=9, by="correct", light="0" * 16)
    assert kept == {model.labels.name(0): by}


def test_thresholds_of_a_correction_go_with_it_and_those_of_a_patch_with_that() -> None:
    by = {
        name: ProvenThreshold(given=0.5, threshold=0.6, rate=0.1, evidence=9, by=name)
        for name in ("correct", "recalibrate")
    }
    data = memoryview(demo_file())
    patch, _ = make(data, [None] * len(groups(Net(data))))
    ranges = ProvenPatch(patch=patch, agreement=0.9, gain=(0.3, 0.2, 0.4), frames=5)
    said = Overlay(base_sha256=patch.base_sha256, ranges=ranges, thresholds=by)
    assert set(staying(said)) == {"recalibrate"}
    assert staying(msgspec.structs.replace(said, ranges=None)) == {}


def test_a_patch_that_cannot_be_proven_goes(tmp_path: Path, dark: list[Pixels], day: list[Pixels]) -> None:
    model = model_of(tmp_path, demo_file())
    before, path = patched(model, *coarser(model))
    model.path.write_bytes(b"rotten")  # it is loaded already; a twin of it can be made no more
    found = climbed(model, dark, before, path, day)
    assert any("cannot be proven in this light and is taken away: " in said for said in found.rungs[1].details)
    assert (found.overlay.ranges, found.overlay.thresholds) == (None, {})


def test_a_light_that_stays_leaves_the_patch_as_it_is(tmp_path: Path, day: list[Pixels]) -> None:
    model = model_of(tmp_path, demo_file())
    before, path = patched(model, *coarser(model))
    assert climbed(model, day[::-1], before, path, day).overlay == before


LIGHT = ProvenCorrection(correction=Correction(gain=2.0), distance=3.0, gain=(20.0, 15.0, 25.0), frames=8)


@pytest.mark.parametrize(("digest", "is_read"), [("", True), (light_digest(LIGHT.correction), True), ("0" * 16, False)])
def test_parts_of_different_lights_are_not_put_in_force(tmp_path: Path, digest: str, is_read: bool) -> None:
    sha256 = hashlib.sha256(b"").hexdigest()
    by = ProvenThreshold(given=0.5, threshold=0.6, rate=0.1, evidence=9, by="correct", light=digest)
    said = Overlay(base_sha256=sha256, light=LIGHT, thresholds={"washer": by})
    overlay.write(tmp_path, said)
    if is_read:
        assert overlay.read(tmp_path, sha256) == said
        return
    with pytest.raises(ModelError, match=r"its parts were proven in another light; remove it with .*--undo"):
        overlay.read(tmp_path, sha256)
    assert overlay.in_force(tmp_path, tmp_path / "base.tflite", sha256) is None


CORRECTIONS = st.builds(
    Correction,
    black=st.floats(0, 160) | st.integers(0, 160),
    gain=st.floats(0.1, 40) | st.integers(1, 40),
    gamma=st.floats(0.25, 4),
    balance=st.tuples(*[st.floats(0.25, 4)] * 3),
)


@given(CORRECTIONS, CORRECTIONS)
def test_a_correction_is_known_again_when_it_was_kept(one: Correction, other: Correction) -> None:
    kept = msgspec.json.decode(msgspec.json.encode(one), type=Correction)
    assert light_digest(kept) == light_digest(one)
    assert (light_digest(one) == light_digest(other)) == (one == other)


def test_no_correction_is_a_neutral_one() -> None:
    assert light_digest(None) == light_digest(Correction()) == light_digest(Correction(black=-0.0))
