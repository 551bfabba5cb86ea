"""`edge-agent recalibrate`: from a folder of pictures to a patch that is in force, and back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent import config as settings
from agent.camera.rendered import CONDITIONS
from agent.config import Config, RuntimeConfig
from agent.model import apply, mapped
from agent.pipeline import load_model
from agent.recalibrate import overlay
from agent.recalibrate.application import recalibrate
from tests.cases import edge_agent
from tests.models import demo_file
from tests.test_recalibrate_probe import shrunk
from tools.demo_model.scenes import still

CHECKS = (
    np.kron(np.indices((6, 8)).sum(axis=0) % 2 * 60 + 90, np.ones((16, 16)))[:, :, None].repeat(3, 2).astype(np.uint8)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A badly calibrated demo model, its labels, and kept pictures."""
    place = tmp_path_factory.mktemp("repair")
    (place / "model.tflite").write_bytes(bytes(shrunk(memoryview(demo_file()), 0.3)))
    (place / "good.tflite").write_bytes(demo_file())
    (place / "float.tflite").write_bytes(demo_file("float.tflite"))
    (place / "labels.txt").write_bytes(demo_file("labels.txt"))
    (place / "kept").mkdir()
    for number, (pixels, _) in enumerate(still(21, 16, CONDITIONS["day"])):
        cv2.imwrite(str(place / "kept" / f"{number:03d}.jpg"), pixels)
    return place


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state"


def repair(folder: Path, *more: object, model: str = "model.tflite") -> subprocess.CompletedProcess[str]:
    kept = [] if "--undo" in more else [folder / "kept"]
    return edge_agent("recalibrate", *kept, "--model", folder / model, "--labels", folder / "labels.txt", *more)


def found(folder: Path) -> int:
    result = edge_agent(
        "detect", folder / "kept/001.jpg", "--model", folder / "model.tflite", "--labels", folder / "labels.txt"
    )
    assert result.returncode == 0, result.stderr
    return len(json.loads(result.stdout)["detections"])


@pytest.mark.slow
def test_a_bad_model_is_repaired_and_the_repair_taken_back(folder: Path, state: Path, tmp_path: Path) -> None:
    before = found(folder)
    base = (folder / "model.tflite").read_bytes()
    page = tmp_path / "report.html"
    result = repair(folder, "--report", page)
    assert result.returncode == 0, result.stderr
    assert "recalibrate: helps: " in result.stdout
    assert "correct: not-tried: no reference: give --reference" in result.stdout
    assert "camera: sound: 16 of 16 pictures show something" in result.stdout
    assert "in force at the next start" in result.stdout
    records = list((state / overlay.FOLDER).glob("*.json"))
    assert len(records) == 1
    assert len(json.dumps(json.loads(records[0].read_text())["ranges"]["patch"])) <= 1024
    assert (folder / "model.tflite").read_bytes() == base, "the received file is never changed"
    assert found(folder) < before - 20, "dozens of false boxes are gone"
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 8
    assert "http" not in html.replace("http-equiv", "")
    again = repair(folder)
    assert "cannot-help" in again.stdout, "what is in force is judged, not the base"
    both = repair(folder, "--undo", "--dry-run")
    assert both.returncode == 2
    assert "give one of --undo and --dry-run" in both.stderr
    undone = repair(folder, "--undo")
    assert "is taken away" in undone.stdout
    assert found(folder) == before
    assert "nothing to take back" in repair(folder, "--undo").stdout


def test_a_few_pictures_are_enough(folder: Path) -> None:
    changes = {"model.path": str(folder / "model.tflite"), "model.labels": str(folder / "labels.txt")}
    model = load_model(settings.override(Config(), changes))
    pictures = [pixels for pixels, _ in still(22, 10, CONDITIONS["day"])]
    told = []
    outcome = recalibrate(model, pictures, RuntimeConfig(), seen=lambda total, *_: told.append(total))
    assert outcome.verdict == "recalibrate"
    assert outcome.proof.new.agreement.quality > 0.95
    assert told == [5] * 5
    assert apply(mapped(model.path), outcome.patch) == outcome.patched


@pytest.mark.slow
def test_a_dry_run_changes_nothing(folder: Path, state: Path) -> None:
    result = repair(folder, "--dry-run", "--float", folder / "float.tflite", "--json")
    told = json.loads(result.stdout)
    assert (told["verdict"], told["done"]) == ("recalibrate", "dry run: nothing was changed")
    rungs = {rung["name"]: rung for rung in told["rungs"]}
    assert [rung["verdict"] for rung in told["rungs"]] == ["sound", "not-tried", "helps"]
    assert {row["name"]: row["gain"] for row in rungs["recalibrate"]["rows"]}["agreement"]["low"] > 0.3
    assert told["overlay"]["ranges"]["frames"] == 8
    assert told["overlay"]["ranges"]["runtime"].split()[0] in {"litert", "tflite-runtime"}
    assert not list((state / overlay.FOLDER).glob("*.json"))


@pytest.mark.slow
@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (None, "no pictures in this folder"),
        (b"no picture", "0 of 16 pictures show something; the first that does not: "),
        (np.zeros((48, 64, 3), np.uint8), "is black; no software repairs that: look at the camera"),
        (np.full((48, 64, 3), 90, np.uint8), "shows one colour"),
        (np.zeros((20, 20, 3), np.uint8), "is no frame of three channels"),
        (CHECKS, "nothing is found on any of 8, not even by the float model"),
    ],
)
def test_pictures_of_no_use_are_refused_with_the_reason(
    folder: Path, tmp_path: Path, picture: bytes | np.ndarray | None, words: str
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for number in range(16 if picture is not None else 0):
        path = kept / f"{number:02d}.png"
        if isinstance(picture, bytes):
            path.write_bytes(picture)
        elif picture is not None:
            cv2.imwrite(str(path), np.roll(picture, 5 * number, axis=1))
    result = edge_agent(
        "recalibrate", kept, "--model", folder / "good.tflite", "--labels", folder / "labels.txt", "--dry-run"
    )
    assert result.returncode == 66, result.stderr
    assert words in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("block", ["0", "513", "some", "9" * 5000])
def test_a_block_is_auto_or_a_number(folder: Path, block: str) -> None:
    result = repair(folder, "--dry-run", f"--block={block}")
    assert result.returncode == 2, result.stderr
    assert "give auto, or a number from 1 to 512" in result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("state")
def test_copies_of_a_picture_are_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for number, path in enumerate(sorted((folder / "kept").iterdir())):
        for copy in ("a", "b"):
            (kept / f"{number:03d}{copy}.jpg").write_bytes(path.read_bytes())
    named = ("--model", folder / "model.tflite", "--labels", folder / "labels.txt", "--dry-run")
    result = edge_agent("recalibrate", kept, *named)
    assert result.returncode == 0, result.stderr
    assert "16 left out, for they look like an earlier one" in result.stdout
    assert "evidence: each picture by itself, 8 held out" in result.stdout
    assert "proven on 8 other frames in 8 blocks" in result.stdout
    for path in kept.iterdir():
        path.write_bytes((kept / "000a.jpg").read_bytes())
    alone = edge_agent("recalibrate", kept, *named)
    assert alone.returncode == 66
    assert "only 1 of 32 frames differ from each other: at least 10 are needed for a proof" in alone.stderr


def test_too_few_pictures_say_how_many_are_needed(folder: Path, state: Path) -> None:
    result = repair(folder, "--block", "4")
    assert result.returncode == 66
    assert "16 frames are too few: at least 49 are needed for a proof" in result.stderr
    assert not list((state / overlay.FOLDER).glob("*.json"))


@pytest.mark.slow
@pytest.mark.usefixtures("state")
def test_a_float_model_that_is_another_is_refused(folder: Path, assets: Path) -> None:
    other = assets / "models/rfb320_face_float.tflite"
    result = repair(folder, "--dry-run", "--float", other)
    assert result.returncode in {65, 78}, result.stderr
    assert "bug" not in result.stderr


@pytest.mark.slow
def test_a_report_that_cannot_be_written_changes_nothing(folder: Path, state: Path) -> None:
    result = repair(folder, "--report", "/proc/nowhere.html")
    assert result.returncode == 74, result.stderr
    assert "/proc/nowhere.html: cannot be written" in result.stderr
    assert not list((state / overlay.FOLDER).glob("*.json"))


@pytest.mark.slow
def test_the_light_is_corrected_first_and_then_the_ranges(folder: Path, state: Path, tmp_path: Path) -> None:
    dark, good = tmp_path / "dark", tmp_path / "good"
    for place, seed, share, count in ((dark, 61, 0.22, 20), (good, 67, 1.0, 16)):
        place.mkdir()
        for number, (pixels, _) in enumerate(still(seed, count, CONDITIONS["day"])):
            cv2.imwrite(str(place / f"{number:03d}.png"), np.rint(pixels * share).astype(np.uint8))
    page = tmp_path / "report.html"
    named = ("--model", folder / "model.tflite", "--labels", folder / "labels.txt")
    result = edge_agent("recalibrate", dark, *named, "--reference", good, "--report", page)
    assert result.returncode == 0, result.stderr
    assert "correct: helps: " in result.stdout
    assert "recalibrate: helps: " in result.stdout
    assert "corrected: gain " in result.stdout, "the ranges are measured on corrected frames"
    assert page.read_text().count("data:image/jpeg;base64,") == 16
    record = json.loads(next((state / overlay.FOLDER).glob("*.json")).read_text())
    assert record["light"]["correction"]["gain"] == pytest.approx(1 / 0.22, rel=0.25)
    assert record["light"]["gain"][1] > 0
    checked = edge_agent("check", *named, "--camera", dark / "000.png")
    assert "with a correction of the light of this board (" in checked.stdout
    shown = edge_agent("model", "show", folder / "model.tflite")
    assert "over it    a range patch of this board" in shown.stdout
    assert "over it    a correction of the light of this board" in shown.stdout
    alone = edge_agent("recalibrate", dark, *named, "--reference", good, "--rung", "correct", "--dry-run", "--json")
    told = {rung["name"]: rung for rung in json.loads(alone.stdout)["rungs"]}
    assert told["recalibrate"]["reason"] == "not asked for"
    assert told["correct"]["verdict"] == "cannot-help", "the correction in force is judged, not the camera's light"
    assert "--undo` takes it back" in result.stdout
    assert "is taken away" in repair(folder, "--undo").stdout
    assert not list((state / overlay.FOLDER).glob("*.json"))
