"""Real models, original and patched, on emulated arm64 and on this machine: the same answers, with both runtimes.

``arm64/build.sh`` makes the arm64 Python; qemu runs it program by program. What is compared is codes: where the
table below says 0, to the last bit. Emulation says nothing about speed, and a board's newer processor takes other ways
through a runtime's arithmetic than the emulated one.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from agent.camera.rendered import CONDITIONS
from agent.infer.backend import MODULES
from agent.model import Net, apply, groups, make, mapped
from agent.recalibrate import overlay
from tests.models import demo_file, iou
from tests.test_model_patch import load, wider
from tests.test_recalibrate_probe import shrunk
from tools.demo_model.scenes import still

HERE = Path(__file__).parent / "arm64"
ROOT = HERE.parents[2]
HOST = ROOT / ".venv-both" / "bin" / "python"
TRY_AGAIN = 75
TIMEOUT_S = 900
GRAPHS = sorted((ROOT / "tests" / "fixtures" / "graphs").glob("*.int8.tflite"))
DETECTORS = {
    "coco": "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite",
    "lstm": "automl_traffic_lstm_ssd_quant.tflite",
    "demo": "demo:model.tflite",
}
NAMES = [*DETECTORS, *(path.name.partition(".")[0] for path in GRAPHS)]
STATES = ("original", "patched")

EXACT = [("litert", name) for name in NAMES if name not in DETECTORS or name == "demo"]
"""LiteRT computes int8 graphs on arm64 to the last bit as here: the demo model and every small graph."""

CLOSE = [("tflite-runtime", name) for name in DETECTORS] + [("litert", name) for name in DETECTORS if name != "demo"]
"""The rest differs, with a patch as without: uint8 graphs on LiteRT, int8 ones on tflite-runtime, an LSTM on both."""

MOST_ON_AVERAGE = 1.0
"""Codes. Seen: at most 0.7 (the demo model's boxes on tflite-runtime); the COCO SSD on tflite-runtime 0.00001."""

MOST_BEYOND_TWO = 0.05
"""Share of the answers that may be more than two codes apart. Seen: at most 0.03 (the demo model's scores, there)."""

THRESHOLD = 0.5
SCORE_TOLERANCE = 0.05
"""Seen: none with LiteRT, at most ten steps of a score, 0.04, with tflite-runtime."""

pytestmark = [pytest.mark.system, pytest.mark.timeout(TIMEOUT_S)]


@dataclass(frozen=True)
class Machine:
    """A Python of this machine, or of the emulated one, with both runtimes."""

    python: Path
    state: Path

    @property
    def patient(self) -> tuple[str, Path]:
        """Settings for what takes long: an emulated child needs half a minute of a busy machine to start."""
        path = self.state / "agent.toml"
        path.write_text("[runtime]\nprove_timeout_s = 300.0\n")
        return "--config", path

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "STATE_DIRECTORY": str(self.state)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S / 2,
            check=False,
        )

    def says(self, *arguments: object) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def sees(self, runtime: str, *arguments: object) -> list[dict[str, Any]]:
        options = ("--backend", runtime, "--threshold", THRESHOLD, *self.patient)
        found: list[dict[str, Any]] = json.loads(self.says("-m", "agent", "detect", *arguments, *options))["detections"]
        return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    if not HOST.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {HOST}: `make test-both` makes it")
    return Machine(HOST, tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    done = subprocess.run(
        ["bash", str(HERE / "build.sh")], stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode == TRY_AGAIN and not os.environ.get("CI"):
        pytest.skip("arm64 cannot be emulated here; the reason is above")
    assert done.returncode == 0, "the arm64 files could not be made; the reason is above"
    return Machine(Path(done.stdout.strip()) / "python", tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Path:
    """Each quantized detector and small graph, a patch of all its ranges, and a picture and noise for it."""
    folder = tmp_path_factory.mktemp("models")
    picture = cv2.imread(str(assets / "images/misc/traffic_0002.bmp"))
    found = [*(load(name) for name in DETECTORS.values()), *(mapped(path) for path in GRAPHS)]
    for name, data in zip(NAMES, found, strict=True):
        (folder / f"{name}.tflite").write_bytes(data)
        (folder / f"{name}.patch.json").write_bytes(msgspec.json.encode(make(data, wider(groups(Net(data))))[0]))
        np.savez(folder / f"{name}.npz", **given(Net(data), picture))
    return folder


def given(net: Net, picture: np.ndarray) -> dict[str, np.ndarray]:
    """Two invokes' worth of each input; a state (no picture) begins at zero."""
    rng = np.random.default_rng(5)
    found = {}
    for index in net.inputs:
        tensor = net.tensors[index]
        low = -128 if tensor.dtype == "int8" else 0
        first = np.full(tensor.shape, int(tensor.zero_points[0]) - low)
        second = rng.integers(0, 256, tensor.shape)
        if tensor.shape[-1] == 3:
            size = tensor.shape[2], tensor.shape[1]
            first = cv2.cvtColor(cv2.resize(picture, size), cv2.COLOR_BGR2RGB)[None].astype(int)
            second = cv2.resize(rng.integers(0, 256, (12, 12, 3)).astype(np.uint8), size)[None].astype(int)
        found[str(index)] = np.stack([first + low, second + low]).astype(tensor.dtype)
    return found


@pytest.fixture(scope="module")
def answered(
    host: Machine, board: Machine, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Folders with the answers of both machines."""
    folders = tmp_path_factory.mktemp("host"), tmp_path_factory.mktemp("board")
    for machine, folder in zip((host, board), folders, strict=True):
        machine.says(HERE / "answers.py", models, folder)
    return folders


def test_the_board_is_arm64_and_so_are_its_children(board: Machine) -> None:
    child = "import platform; print(platform.machine())"
    asks = f"import subprocess, sys; subprocess.run([sys.executable, '-P', '-c', {child!r}])"
    assert board.says("-c", asks) == "aarch64\n"


def apart(answered: tuple[Path, Path], name: str, state: str, runtime: str) -> dict[str, np.ndarray]:
    """How many codes lie between the two machines' answers, by tensor."""
    ours, theirs = (np.load(folder / f"{name}.{state}.{runtime}.npz") for folder in answered)
    assert sorted(ours) == sorted(theirs)
    assert len(ours.files) >= 2
    assert max(len(np.unique(ours[index])) for index in ours) > 4, "answers that say nothing"
    assert [ours[index].dtype for index in ours] == [theirs[index].dtype for index in ours]
    return {index: np.abs(ours[index].astype(int) - theirs[index].astype(int)) for index in ours}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("runtime", "name"), EXACT)
def test_answers_are_the_same_to_the_last_bit(answered: tuple[Path, Path], name: str, state: str, runtime: str) -> None:
    for index, codes in apart(answered, name, state, runtime).items():
        assert not codes.any(), f"tensor {index}: {np.bincount(codes.ravel())} apart by 0, 1, ... codes"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("runtime", "name"), CLOSE)
def test_answers_are_the_same_within_two_codes(
    answered: tuple[Path, Path], name: str, state: str, runtime: str
) -> None:
    for index, codes in apart(answered, name, state, runtime).items():
        assert (codes > 2).mean() <= MOST_BEYOND_TWO
        assert codes.mean() <= MOST_ON_AVERAGE, f"tensor {index}: {np.bincount(codes.ravel())} apart by 0, 1, ... codes"


@pytest.mark.parametrize("name", NAMES)
def test_a_patch_changes_the_answers(answered: tuple[Path, Path], name: str) -> None:
    for folder in answered:
        before, after = (np.load(folder / f"{name}.{state}.litert.npz") for state in STATES)
        assert any((before[index] != after[index]).any() for index in before), (
            "what is compared is not what was patched"
        )


def test_model_show_says_the_same(host: Machine, board: Machine) -> None:
    said = [machine.says("-m", "agent", "model", "show", "demo:", "--json") for machine in (host, board)]
    assert len(said[0]) > 1000
    assert said[0] == said[1]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A badly calibrated demo model, its labels, and kept pictures."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "model.tflite").write_bytes(bytes(shrunk(memoryview(demo_file()), 0.3)))
    (folder / "labels.txt").write_bytes(demo_file("labels.txt"))
    (folder / "kept").mkdir()
    for number, (pixels, _) in enumerate(still(21, 10, CONDITIONS["day"])):
        cv2.imwrite(str(folder / "kept" / f"{number:03d}.png"), pixels)
    return folder


@pytest.mark.parametrize("runtime", MODULES)
def test_the_demo_bundle_sees_the_same(host: Machine, board: Machine, bad: Path, runtime: str) -> None:
    ours, theirs = (machine.sees(runtime, bad / "kept/001.png", "--bundle", "demo:") for machine in (host, board))
    assert len(ours) > 5
    for these, those in ((ours, theirs), (theirs, ours)):
        for one in these:
            if one["confidence"] > THRESHOLD + SCORE_TOLERANCE:
                assert any(is_same(one, other) for other in those), (one, those)


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """One object, seen twice."""
    close = abs(one["confidence"] - other["confidence"]) <= SCORE_TOLERANCE
    return close and one["label"] == other["label"] and iou(np.array(one["xyxy"]), np.array(other["xyxy"])) > 0.9


def test_a_board_recalibrates_its_model_and_its_patch_is_the_same_file_here(
    host: Machine, board: Machine, bad: Path
) -> None:
    named = ("--model", bad / "model.tflite", "--labels", bad / "labels.txt")
    before = len(board.sees("litert", bad / "kept/001.png", *named))
    said = board.says(
        "-m", "agent", "recalibrate", bad / "kept", *named, *board.patient, "--backend", "litert", "--json"
    )
    assert json.loads(said)["verdict"] == "recalibrate"
    (record,) = (board.state / overlay.FOLDER).glob("*.json")
    learned = overlay.decode(record.read_bytes())
    assert learned.ranges is not None
    patched = apply(mapped(bad / "model.tflite"), learned.ranges.patch)
    assert len(board.sees("litert", bad / "kept/001.png", *named)) < before - 10, "dozens of false boxes are gone"
    (kept,) = (board.state / overlay.FOLDER).glob("*.tflite")
    assert kept.read_bytes() == patched
    overlay.write(host.state, learned)
    ours, theirs = (machine.sees("litert", bad / "kept/001.png", *named) for machine in (host, board))
    assert [one["label"] for one in ours] == [one["label"] for one in theirs]
