"""`edge-agent recalibrate`: from a folder of pictures to a patch that is in force, and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from agent import config as settings
from agent.camera.rendered import CONDITIONS
from agent.config import Config, RuntimeConfig
from agent.errors import ModelError, StorageError, UnavailableError
from agent.model import apply, groups, make, mapped, scale_for
from agent.model.net import Net
from agent.pipeline import load_model
from agent.recalibrate import overlay
from agent.recalibrate.application import recalibrate
from agent.recalibrate.overlay import Overlay
from tests.cases import edge_agent
from tests.models import demo_file
from tests.test_recalibrate_probe import shrunk
from tools.demo_model.scenes import still


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
    assert "recalibrate: agreement with the float reference" in result.stdout
    assert "in force at the next start" in result.stdout
    records = list((state / overlay.FOLDER).glob("*.json"))
    assert len(records) == 1
    assert records[0].stat().st_size <= 1024
    assert (folder / "model.tflite").read_bytes() == base, "the received file is never changed"
    assert found(folder) < before - 20, "dozens of false boxes are gone"
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 8
    assert "http" not in html.replace("http-equiv", "")
    again = repair(folder)
    assert "cannot-help" in again.stdout, "what is in force is judged, not the base"
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
    assert {row["name"]: row["gain"] for row in told["table"]}["agreement"]["low"] > 0.3
    assert not list((state / overlay.FOLDER).glob("*.json"))


@pytest.mark.slow
@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (None, "no pictures in this folder"),
        (b"no picture", "0 of 16 pictures can be used; the first: "),
        (np.zeros((48, 64, 3), np.uint8), "is black"),
        (np.full((48, 64, 3), 90, np.uint8), "nothing is found on any of 8, not even by the float model"),
    ],
)
def test_pictures_of_no_use_are_refused_with_the_reason(
    folder: Path, tmp_path: Path, picture: bytes | np.ndarray | None, words: str
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for number in range(16 if picture is not None else 0):
        path = kept / f"{number:02d}.png"
        path.write_bytes(picture) if isinstance(picture, bytes) else cv2.imwrite(str(path), picture)
    result = edge_agent(
        "recalibrate", kept, "--model", folder / "good.tflite", "--labels", folder / "labels.txt", "--dry-run"
    )
    assert result.returncode == 66, result.stderr
    assert words in result.stderr.splitlines()[-1]


def test_too_few_pictures_say_how_many_are_needed(folder: Path, state: Path) -> None:
    result = repair(folder, "--block", "4")
    assert result.returncode == 66
    assert "16 frames are too few: at least 40 are needed for a proof" in result.stderr
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


def record(data: bytes, factor: float = 1.5) -> tuple[Overlay, bytes]:
    found = groups(Net(memoryview(data)))
    scales = [
        None if group.frozen else scale_for(-factor * 128 * group.scale, factor * 127 * group.scale, group.dtype)
        for group in found
    ]
    patch, made = make(memoryview(data), scales)
    return Overlay(patch=patch, agreement=0.97, gain=(0.1, 0.05, 0.2), frames=20), made


def test_what_is_written_is_read_and_the_patched_file_is_the_proven_one(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    said, made = record(demo_file())
    overlay.write(tmp_path, said)
    assert overlay.read(tmp_path, said.patch.base_sha256) == said
    path = overlay.patched(tmp_path, base, said.patch.base_sha256)
    assert path is not None
    assert path.read_bytes() == made
    path.write_bytes(b"rotten")
    assert overlay.patched(tmp_path, base, said.patch.base_sha256) == path
    assert path.read_bytes() == made, "a damaged copy is made anew"


def test_another_base_has_no_overlay(tmp_path: Path) -> None:
    said, _ = record(demo_file())
    overlay.write(tmp_path, said)
    assert overlay.read(tmp_path, "0" * 64) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 99, b"[" * 5000, b"{}", b"x" * 200_000])
def test_a_damaged_record_costs_the_patch_and_nothing_else(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    said, _ = record(demo_file())
    overlay.write(tmp_path, said).write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged.*--undo"):
        overlay.read(tmp_path, said.patch.base_sha256)
    assert overlay.patched(tmp_path, base, said.patch.base_sha256) is None
    assert "is not used" in caplog.text


def test_a_record_that_makes_another_file_is_not_used(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    said, _ = record(demo_file())
    wrong = msgspec.structs.replace(said, patch=msgspec.structs.replace(said.patch, result_sha256="0" * 64))
    overlay.write(tmp_path, wrong)
    assert overlay.patched(tmp_path, base, said.patch.base_sha256) is None


def test_two_recalibrations_at_once_are_refused(tmp_path: Path) -> None:
    with overlay.alone(tmp_path), pytest.raises(UnavailableError, match="another recalibration is at work"):  # noqa: SIM117
        with overlay.alone(tmp_path):
            pass
    with overlay.alone(tmp_path):
        pass


def test_a_full_or_forbidden_disk_leaves_what_was(tmp_path: Path) -> None:
    said, _ = record(demo_file())
    overlay.write(tmp_path, said)
    other, _ = record(demo_file(), 2.0)
    target = tmp_path / overlay.FOLDER / f".{said.patch.base_sha256}.json.{os.getpid()}"
    target.mkdir()  # the fresh file cannot be made
    with pytest.raises(StorageError, match="cannot be written"):
        overlay.write(tmp_path, other)
    assert overlay.read(tmp_path, said.patch.base_sha256) == said


KILLED = """
import sys
from pathlib import Path
import msgspec
from agent.pipeline import load_model
from agent.recalibrate import overlay
from agent.recalibrate.application import recalibrate
state = Path(sys.argv[1])
records = [msgspec.json.decode(Path(name).read_bytes(), type=overlay.Overlay) for name in sys.argv[2:]]
print("ready", flush=True)
while True:
    for record in records:
        overlay.write(state, record)
"""


def test_a_kill_between_write_and_switch_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    both = [record(demo_file(), factor)[0] for factor in (1.5, 2.0)]
    names = []
    for number, said in enumerate(both):
        names.append(tmp_path / f"{number}.json")
        names[-1].write_bytes(msgspec.json.encode(said))
    for cycle in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), *map(str, names)], stdout=subprocess.PIPE, env=os.environ
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.003 * cycle)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert overlay.read(tmp_path, both[0].patch.base_sha256) in [*both, None]
    assert overlay.read(tmp_path, both[0].patch.base_sha256) in both


def test_only_the_patched_file_in_use_is_kept(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    for factor in (1.5, 2.0):
        said, _ = record(demo_file(), factor)
        overlay.write(tmp_path, said)
        overlay.patched(tmp_path, base, said.patch.base_sha256)
    assert len(list((tmp_path / overlay.FOLDER).glob("*.tflite"))) == 1
    assert mapped(base)
