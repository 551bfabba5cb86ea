"""The rungs on a board: its folder for state, its kept light, pictures of no use."""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent import config as settings
from agent.camera import list_pictures
from agent.camera.rendered import CONDITIONS
from agent.config import Config, RuntimeConfig
from agent.errors import CameraError, StorageError
from agent.model import Net, Scale, groups, range_of
from agent.pipeline import load_model
from agent.recalibrate import overlay
from agent.recalibrate.application import Plan, recalibrate
from agent.recalibrate.blocks import split
from agent.recalibrate.correct import Reference
from agent.recalibrate.frames import Pictures
from agent.recalibrate.ladder import Kept, Task, climb
from agent.recalibrate.light import look
from agent.recalibrate.overlay import Overlay, ProvenCorrection, words
from agent.recalibrate.reference import FILE_NAME, FOLDER, KeptCorrection, digest, write_correction, write_light
from agent.recalibrate.rung import Shown
from agent.recalibrate.typical import unpack
from agent.records import Correction, Detections, Pixels
from agent.repair import Job, read_kept, repair, smaller
from tests.models import demo_file
from tests.test_recalibrate_overlay import broken
from tools.demo_model.scenes import still

COUNT = 10
SHARE = 0.1
SHA256 = hashlib.sha256(demo_file()).hexdigest()


@pytest.fixture(scope="module")
def scenes() -> list[Pixels]:
    return [pixels for pixels, _ in still(97, COUNT, CONDITIONS["day"])]


@pytest.fixture
def board(tmp_path: Path, scenes: list[Pixels]) -> Config:
    """A board with the demo model and ten dark pictures."""
    for name in ("model.tflite", "labels.txt"):
        (tmp_path / name).write_bytes(demo_file(name))
    (tmp_path / "dark").mkdir()
    for number, pixels in enumerate(scenes):
        dark = np.rint(pixels * SHARE).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "dark" / f"{number:02d}.png"), dark)
    changes = {
        "device.state_dir": str(tmp_path / "state"),
        "model.path": str(tmp_path / "model.tflite"),
        "model.labels": str(tmp_path / "labels.txt"),
    }
    return settings.override(Config(), changes)


def job(tmp_path: Path, **more: Any) -> Job:
    return replace(Job(tmp_path / "dark", Plan(), rungs=("correct",)), **more)


def record(tmp_path: Path) -> Overlay | None:
    return overlay.read(tmp_path / "state", SHA256)


def test_the_light_that_the_board_keeps_is_the_reference(board: Config, tmp_path: Path, scenes: list[Pixels]) -> None:
    write_light(tmp_path / "state", look(scenes[::-1]))
    told: list[int] = []
    done = repair(board, job(tmp_path), told.append)
    assert "against the light that this board keeps" in done.text
    assert "no pictures of the reference to compare answers with: thresholds stay" in done.text
    assert "in force at the next start" in done.text
    assert told == [COUNT // 2] * (COUNT // 2), "the bar knows its end"
    said = record(tmp_path)
    assert said is not None
    assert said.light is not None
    assert said.light.correction.gain == pytest.approx(1 / SHARE, rel=0.3)
    assert np.abs(unpack(said.light.typical) - look(scenes[::-1]).typical()).max() < 0.6
    assert said.learned().typical == said.light.typical, "the service watches it by that"
    assert "for the light of these pictures only: the service holds it back" in done.text
    assert "detect and bench use it as it is" in done.text


def test_a_correction_that_is_of_no_use_any_more_leaves_no_record(
    board: Config, tmp_path: Path, scenes: list[Pixels]
) -> None:
    write_light(tmp_path / "state", look([np.rint(pixels * SHARE).astype(np.uint8) for pixels in scenes[::-1]]))
    light = ProvenCorrection(correction=Correction(gain=8.0), distance=1.0, gain=(9.0, 8.0, 10.0), frames=6)
    overlay.write(tmp_path / "state", Overlay(base_sha256=SHA256, light=light))
    dry = repair(board, job(tmp_path, dry_run=True), lambda _: None)
    assert "the correction in force is taken back" in dry.text
    assert "dry run: nothing was changed" in dry.text
    assert record(tmp_path) is not None
    done = repair(board, job(tmp_path), lambda _: None)
    assert "only" not in done.text, "there is none to hold back"
    assert done.as_json["overlay"] is None
    assert record(tmp_path) is None


def test_a_damaged_light_says_so_and_changes_nothing(board: Config, tmp_path: Path) -> None:
    kept = tmp_path / "state" / FOLDER / FILE_NAME
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"rotten")
    done = repair(board, job(tmp_path), lambda _: None)
    assert "correct: not-tried: no reference: " in done.text
    assert "is damaged" in done.text
    assert "cannot-help: if the model still misses objects: give correct and recalibrate what it asks for" in done.text
    assert done.text.endswith("nothing was changed")
    assert record(tmp_path) is None


def test_the_ranges_are_not_measured_in_the_dark(board: Config, tmp_path: Path) -> None:
    for number in range(COUNT):
        path = tmp_path / "dark" / f"{number:02d}.png"
        cv2.imwrite(str(path), np.asarray(cv2.imread(str(path)) // 2, np.uint8))
    done = repair(board, job(tmp_path, rungs=("correct", "recalibrate")), lambda _: None)
    assert "recalibrate: not-tried: 10 of 10 pictures are black: ranges are not measured in the dark" in done.text


def test_a_patched_file_that_does_not_run_is_no_beginning(
    board: Config, tmp_path: Path, scenes: list[Pixels], caplog: pytest.LogCaptureFixture
) -> None:
    write_light(tmp_path / "state", look(scenes[::-1]))
    overlay.write(tmp_path / "state", broken(1e20))
    done = repair(board, job(tmp_path), lambda _: None)
    assert "the patched file is refused" in caplog.text
    assert "correct: helps: " in done.text
    said = record(tmp_path)
    assert said is not None
    assert said.ranges is None, "what does not run is not kept"


def test_the_correction_that_the_service_follows_is_what_a_repair_begins_from(
    board: Config, tmp_path: Path, scenes: list[Pixels]
) -> None:
    light, state = look(scenes[::-1]), tmp_path / "state"
    write_light(state, light)
    first = repair(board, job(tmp_path, dry_run=True), lambda _: None)
    found = Correction(**first.as_json["overlay"]["light"]["correction"])
    write_correction(state, KeptCorrection(reference=digest(light), base=Correction(), correction=found))
    board = settings.override(board, {"correction.mode": "act"})
    done = repair(board, job(tmp_path), lambda _: None)
    assert "correct: cannot-help: the frames ask for the correction that is in force" in done.text
    assert f"  the service follows the light; its correction is in force: {words(found)}" in done.text
    assert record(tmp_path) is None


def test_the_thresholds_of_the_fleet_are_those_of_the_proof(
    board: Config, tmp_path: Path, scenes: list[Pixels]
) -> None:
    write_light(tmp_path / "state", look(scenes[::-1]))
    (tmp_path / "state" / "desired.json").write_text('{"rev": 3, "config": {"model.score_threshold": 0.99}}')
    board = settings.override(board, {"mqtt.host": "127.0.0.1"})
    done = repair(board, job(tmp_path, dry_run=True), lambda _: None)
    assert "  the fleet's settings are in force: model.score_threshold = 0.99" in done.text
    rows = {row["name"]: row for rung in done.as_json["rungs"] for row in rung["rows"]}
    assert rows["detections a frame"]["after"] == 0.0, "nothing is that sure"


def test_nothing_is_tried_where_nothing_can_be_kept(board: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = settings.override(board, {"device.state_dir": str(tmp_path / "file" / "state")})
    with pytest.raises(StorageError, match="what is learned cannot be kept"):
        repair(nowhere, job(tmp_path), lambda _: None)
    assert "nothing was changed" in repair(nowhere, job(tmp_path, dry_run=True), lambda _: None).text


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_reference_that_is_none_is_refused(board: Config, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CameraError, match=name):
        repair(board, job(tmp_path, reference=tmp_path / name), lambda _: None)


def test_pictures_of_no_use_are_left_out_up_to_half_of_them(
    board: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del board
    folder, blank = tmp_path / "dark", np.zeros((48, 64, 3), np.uint8)
    for number in range(COUNT):
        cv2.imwrite(str(folder / f"{number:02d}-blank.png"), blank)
    kept = read_kept(folder)
    assert (len(kept.frames), len(kept.light), kept.total) == (COUNT, COUNT, 2 * COUNT)
    assert caplog.text.count("is black") == COUNT
    (folder / "last.jpg").write_bytes(b"no picture")
    with pytest.raises(CameraError, match=r"camera: .*: 10 of 21 pictures show something; the first that does not: "):
        read_kept(folder)


class Counted(Pictures):
    """Knows how many of its pictures are in memory at once, at most."""

    alive = most = decoded = 0

    def __getitem__(self, index: Any) -> Any:
        pixels = super().__getitem__(index)
        weakref.finalize(pixels, self._gone)
        self.alive += 1
        self.decoded += 1
        self.most = max(self.most, self.alive)
        return pixels

    def _gone(self) -> None:
        self.alive -= 1


def test_one_picture_is_in_memory_at_a_time(board: Config, tmp_path: Path, scenes: list[Pixels]) -> None:
    (tmp_path / "day").mkdir()
    for number, pixels in enumerate(scenes):
        cv2.imwrite(str(tmp_path / "day" / f"{number:02d}.png"), pixels)
    dark, day = (Counted(list_pictures(tmp_path / name)) for name in ("dark", "day"))
    base = load_model(board)
    task = Task(
        plan=Plan(),
        runtime=RuntimeConfig(),
        path=base.path,
        reference=Reference(look(scenes), day),
        float_model=None,
        rungs=("correct", "recalibrate"),
        seen=lambda _: None,
    )
    climbed = climb(base, Overlay(base_sha256=SHA256), Kept(dark, read_kept(tmp_path / "dark").light, COUNT), task)
    assert [rung.verdict for rung in climbed.rungs[:2]] == ["sound", "helps"]
    assert climbed.rungs[2].verdict != "not-tried"
    assert min(dark.decoded, day.decoded) >= COUNT // 2
    assert max(dark.most, day.most) <= 2, "the one at work, and the one before it until that is let go"


def test_a_picture_that_goes_missing_is_said(board: Config, tmp_path: Path) -> None:
    del board
    kept = read_kept(tmp_path / "dark")
    (tmp_path / "dark" / "03.png").unlink()
    with pytest.raises(CameraError, match=r"03\.png: no such file"):
        kept.frames[3]
    assert kept.frames[4].shape == kept.frames[5:][0].shape


def test_the_page_keeps_a_small_picture_with_its_boxes_in_place() -> None:
    found = Detections(np.float32([[0, 0, 3000, 1000]]), np.float32([0.5]), np.int32([1]))
    small = smaller(Shown("correct", np.zeros((2000, 4000, 3), np.uint8), found, Detections.empty()))
    assert small.pixels.shape == (480, 960, 3)
    assert small.before.xyxy.tolist() == [[0, 0, 720, 240]]
    own = Shown("correct", np.zeros((20, 40, 3), np.uint8), found, found)
    assert smaller(own) is own


def test_of_a_large_folder_some_are_taken_evenly(tmp_path: Path) -> None:
    for number in range(10):
        cv2.imwrite(
            str(tmp_path / f"{number}.png"), np.arange(64, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
        )
    assert [len(read_kept(tmp_path, most).frames) for most in (3, 4, 5, 9, 10, 11)] == [3, 4, 5, 5, 10, 10]


def test_few_pictures_with_objects_narrow_no_range(board: Config, scenes: list[Pixels]) -> None:
    random = np.random.default_rng(5)
    frames = [random.normal(100, 5, (480, 640, 3)).clip(0, 255).astype(np.uint8) for _ in range(COUNT)]
    frames[:2] = scenes[:2]
    found = recalibrate(load_model(board), frames, RuntimeConfig(), parts=split(COUNT, 1))
    assert "1 of 5 pictures show objects: no range was made narrower" in found.reason
    for old, new in zip(*(groups(Net(memoryview(data))) for data in (demo_file(), found.patched)), strict=True):
        (first, last), (low, high) = (range_of(Scale(each.scale, each.zero_point), each.dtype) for each in (old, new))
        assert low <= first + 1.01 * new.scale
        assert high >= last - 1.01 * new.scale
