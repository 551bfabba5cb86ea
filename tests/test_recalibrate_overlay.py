"""What a board has learned about its model: kept whole, put in force everywhere, taken back."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from agent import board
from agent import config as settings
from agent.config import Config, ModelConfig
from agent.errors import ModelError, StorageError, UnavailableError
from agent.local.show import lines
from agent.model import Scale, groups, make, mapped, scale_for
from agent.model.net import Net
from agent.parity import plan_beside, plan_side
from agent.postprocess import with_learned
from agent.recalibrate import overlay
from agent.recalibrate.overlay import Overlay, ProvenCorrection, ProvenPatch, ProvenThreshold
from agent.records import Correction, Labels, Learned, Retuned
from agent.repair import take_back
from agent.rules import make_rules
from tests.models import demo_file

LIGHT = ProvenCorrection(correction=Correction(gain=2.5, gamma=0.8), distance=3.0, gain=(20.0, 15.0, 25.0), frames=8)
THRESHOLDS = {"washer": ProvenThreshold(given=0.5, threshold=0.625, rate=0.2, evidence=12, by="recalibrate")}


def record(data: bytes, factor: float = 1.5) -> tuple[Overlay, bytes]:
    found = groups(Net(memoryview(data)))
    scales = [
        None if group.frozen else scale_for(-factor * 128 * group.scale, factor * 127 * group.scale, group.dtype)
        for group in found
    ]
    patch, made = make(memoryview(data), scales)
    ranges = ProvenPatch(patch=patch, agreement=0.97, gain=(0.1, 0.05, 0.2), frames=20)
    return Overlay(base_sha256=patch.base_sha256, ranges=ranges), made


def broken(scale: float) -> Overlay:
    """A record whose patch is whole and makes the file that it names, which no runtime runs."""
    found = groups(Net(memoryview(demo_file())))
    scales = [Scale(scale, 0) if number == len(found) // 2 else None for number in range(len(found))]
    patch, _ = make(memoryview(demo_file()), scales)
    ranges = ProvenPatch(patch=patch, agreement=0.97, gain=(0.1, 0.05, 0.2), frames=20)
    return Overlay(base_sha256=patch.base_sha256, ranges=ranges, light=LIGHT, thresholds=THRESHOLDS)


def test_a_folder_that_became_read_only_still_says_what_was_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings.override(Config(), {"device.state_dir": str(tmp_path), "model.bundle": "demo:"})
    said, _ = record(demo_file())
    overlay.write(tmp_path, said)
    writable = board.deployed_model(config).config.model.path
    assert writable.startswith(str(tmp_path / overlay.FOLDER))
    monkeypatch.setattr(board, "state_trouble", lambda _: "cannot be written: Read-only file system")
    assert board.deployed_model(config).config.model.path == writable
    (tmp_path / overlay.FOLDER / ".lock").unlink(missing_ok=True)
    (tmp_path / overlay.FOLDER / ".lock").mkdir()  # nothing can be opened for writing there
    with pytest.raises(StorageError, match="cannot be written"):
        take_back(config)


def test_a_record_that_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    each = THRESHOLDS["washer"]
    whole = Overlay(base_sha256="0" * 64, thresholds={f"class {number}": each for number in range(2000)})
    with pytest.raises(StorageError, match="65536 are the most: it has thresholds of 2000 classes; name fewer"):
        overlay.write(tmp_path, whole)
    assert overlay.read(tmp_path, whole.base_sha256) is None


def test_what_is_written_is_read_and_the_patched_file_is_the_proven_one(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    said, made = record(demo_file())
    overlay.write(tmp_path, said)
    assert overlay.read(tmp_path, said.base_sha256) == said
    found = overlay.in_force(tmp_path, base, said.base_sha256)
    assert found is not None
    assert found.path.read_bytes() == made
    found.path.write_bytes(b"rotten")
    assert overlay.in_force(tmp_path, base, said.base_sha256) == found
    assert found.path.read_bytes() == made, "a damaged copy is made anew"


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
        overlay.read(tmp_path, said.base_sha256)
    assert overlay.in_force(tmp_path, base, said.base_sha256) is None
    assert "is not used" in caplog.text


@pytest.mark.parametrize("typical", ["x", "\u00e9" * 240, "~" * 240])
def test_a_light_that_is_damaged_is_a_damaged_record(tmp_path: Path, typical: str) -> None:
    said = Overlay(base_sha256="0" * 64, light=LIGHT)
    path = overlay.write(tmp_path, said)
    path.write_text(path.read_text().replace('"typical":""', f'"typical":"{typical}"'))
    with pytest.raises(ModelError, match="is damaged: "):
        overlay.read(tmp_path, said.base_sha256)


def test_a_record_from_before_the_light_was_kept_is_read(tmp_path: Path) -> None:
    said = Overlay(base_sha256="0" * 64, light=LIGHT)
    path = overlay.write(tmp_path, said)
    path.write_text(path.read_text().replace(',"typical":""', ""))
    assert "typical" not in path.read_text()
    assert overlay.read(tmp_path, said.base_sha256) == said


def test_a_record_that_makes_another_file_is_not_used(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    said, _ = record(demo_file())
    assert said.ranges is not None
    patch = msgspec.structs.replace(said.ranges.patch, result_sha256="0" * 64)
    ranges = msgspec.structs.replace(said.ranges, patch=patch)
    overlay.write(tmp_path, msgspec.structs.replace(said, ranges=ranges, light=LIGHT))
    assert overlay.in_force(tmp_path, base, said.base_sha256) is None


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
    target = tmp_path / overlay.FOLDER / f".{said.base_sha256}.json.{os.getpid()}"
    target.mkdir()  # the fresh file cannot be made
    with pytest.raises(StorageError, match="cannot be written"):
        overlay.write(tmp_path, other)
    assert overlay.read(tmp_path, said.base_sha256) == said


KILLED = """
import sys
from pathlib import Path
import msgspec
from agent.recalibrate import overlay
state = Path(sys.argv[1])
records = [msgspec.json.decode(Path(name).read_bytes(), type=overlay.Overlay) for name in sys.argv[2:]]
print("ready", flush=True)
while True:
    for record in records:
        overlay.write(state, record)
"""


def test_a_kill_between_write_and_switch_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    both = [record(demo_file(), factor)[0] for factor in (1.5, 2.0)]
    both[1] = msgspec.structs.replace(both[1], light=LIGHT, thresholds=THRESHOLDS)
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
        assert overlay.read(tmp_path, both[0].base_sha256) in [*both, None]
    assert overlay.read(tmp_path, both[0].base_sha256) in both


def test_only_the_patched_file_in_use_is_kept(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    for factor in (1.5, 2.0):
        said, _ = record(demo_file(), factor)
        overlay.write(tmp_path, said)
        overlay.in_force(tmp_path, base, said.base_sha256)
    assert len(list((tmp_path / overlay.FOLDER).glob("*.tflite"))) == 1
    assert mapped(base)


def test_two_models_on_one_folder_leave_each_other_their_files(tmp_path: Path) -> None:
    """In turn, as two services do that are started one after the other; each older file of its own goes."""
    said = {}
    for name in ("one", "two"):
        data = demo_file() if name == "one" else bytes(mapped(_rescaled(tmp_path)))
        (tmp_path / f"{name}.tflite").write_bytes(data)
        said[name] = [record(data, factor)[0] for factor in (1.5, 2.0)]
    for round_number in (0, 1):
        paths = []
        for name, records in said.items():
            overlay.write(tmp_path, records[round_number])
            found = overlay.in_force(tmp_path, tmp_path / f"{name}.tflite", records[round_number].base_sha256)
            assert found is not None
            paths.append(found.path)
        assert sorted((tmp_path / overlay.FOLDER).glob("*.tflite")) == sorted(paths)


def _rescaled(folder: Path) -> Path:
    """Another model: the demo's with other ranges."""
    path = folder / "other.tflite"
    path.write_bytes(record(demo_file(), 3.0)[1])
    return path


def test_no_patched_file_goes_while_a_recalibration_is_at_work(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    first, second = (record(demo_file(), factor)[0] for factor in (1.5, 2.0))
    overlay.write(tmp_path, first)
    before = overlay.in_force(tmp_path, base, first.base_sha256)
    overlay.write(tmp_path, second)
    with overlay.alone(tmp_path):
        after = overlay.in_force(tmp_path, base, first.base_sha256)
    assert before is not None
    assert after is not None
    assert before.path.is_file()
    assert after.path.is_file()
    after.path.unlink()
    assert overlay.in_force(tmp_path, base, first.base_sha256) == after
    assert not before.path.exists(), "the next one that makes a file clears up"


SHARE = st.floats(0, 1)
OVERLAYS = st.builds(
    Overlay,
    base_sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    light=st.none()
    | st.builds(
        ProvenCorrection,
        correction=st.builds(
            Correction,
            black=st.floats(0, 160),
            gain=st.floats(0.1, 40),
            gamma=st.floats(0.25, 4),
            balance=st.tuples(*[st.floats(0.25, 4)] * 3),
        ),
        distance=SHARE,
        gain=st.tuples(SHARE, SHARE, SHARE),
        frames=st.integers(0, 500),
        typical=st.sampled_from(["", "0" * 240]),
    ),
    thresholds=st.dictionaries(
        st.text(max_size=8),
        st.builds(
            ProvenThreshold,
            given=SHARE,
            threshold=SHARE,
            rate=SHARE,
            evidence=st.integers(0, 99),
            by=st.sampled_from(["correct", "recalibrate"]),
        ),
        max_size=3,
    ),
)


@hypothesis(max_examples=25)
@given(said=OVERLAYS)
def test_every_record_is_read_as_it_was_written(said: Overlay, tmp_path_factory: pytest.TempPathFactory) -> None:
    state = tmp_path_factory.mktemp("state")
    overlay.write(state, said)
    assert overlay.read(state, said.base_sha256) == said


def test_a_record_of_the_first_version_still_works(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(demo_file())
    said, made = record(demo_file())
    assert said.ranges is not None
    first = {"v": 1, **msgspec.to_builtins(said.ranges)}
    overlay.write(tmp_path, said).write_text(json.dumps(first))
    assert overlay.read(tmp_path, said.base_sha256) == said
    found = overlay.in_force(tmp_path, base, said.base_sha256)
    assert found is not None
    assert found.path.read_bytes() == made


def test_a_record_of_another_file_is_refused(tmp_path: Path) -> None:
    said, _ = record(demo_file())
    path = overlay.write(tmp_path, said)
    path.rename(path.with_name(f"{'0' * 64}.json"))
    with pytest.raises(ModelError, match="is for another file"):
        overlay.read(tmp_path, "0" * 64)


@pytest.fixture
def learned(tmp_path: Path) -> Config:
    """Settings of a board whose demo model has a correction and a threshold over it."""
    for name in ("model.tflite", "labels.txt"):
        (tmp_path / name).write_bytes(demo_file(name))
    said = Overlay(base_sha256=hashlib.sha256(demo_file()).hexdigest(), light=LIGHT, thresholds=THRESHOLDS)
    overlay.write(tmp_path / "state", said)
    changes = {
        "device.state_dir": str(tmp_path / "state"),
        "model.path": str(tmp_path / "model.tflite"),
        "model.labels": str(tmp_path / "labels.txt"),
    }
    return settings.override(Config(), changes)


def test_what_was_learned_is_in_force_wherever_a_model_is_loaded(learned: Config) -> None:
    model = board.ready_model(learned)
    washer = model.labels.ids("washer")[0]
    side = plan_side("one", learned).plan
    for preprocess, postprocess in ((model.preprocess, model.postprocess), (side.preprocess, side.postprocess)):
        assert preprocess.correction == LIGHT.correction
        assert postprocess.thresholds[washer] == 0.625
        assert (postprocess.thresholds == 0.5).sum() == len(postprocess.thresholds) - 1
    assert model.info.learned == (
        "a correction of the light of this board (gain 2.50, gamma 0.80), for one light only",
        "score thresholds of this board: washer 0.50 -> 0.62",
    )
    assert make_rules(model, learned, {}).judging.class_thresholds == {"washer": 0.625}
    bare = board.ready_model(learned, learned=False)
    assert (bare.preprocess.correction, bare.postprocess.thresholds[washer]) == (None, 0.5)


def test_another_model_is_compared_in_the_same_light(learned: Config, tmp_path: Path) -> None:
    (tmp_path / "other.tflite").write_bytes(demo_file("float.tflite"))
    first = plan_side("one", learned)
    other = settings.override(learned, {"model.path": str(tmp_path / "other.tflite")})
    assert plan_side("other", other).plan.preprocess.correction is None
    assert plan_beside("other", other, first).plan.preprocess.correction == LIGHT.correction


@pytest.mark.parametrize(
    "changes", [{"model.score_threshold": 0.4}, {"model.class_thresholds": {"washer": 0.3}}], ids=["all", "one"]
)
def test_a_threshold_that_is_written_down_since_wins(learned: Config, changes: dict[str, object]) -> None:
    wanted = settings.override(learned, changes)
    model = board.ready_model(wanted)
    asked = wanted.model.class_thresholds.get("washer", wanted.model.score_threshold)
    assert model.postprocess.thresholds[model.labels.ids("washer")[0]] == pytest.approx(asked)
    assert model.preprocess.correction == LIGHT.correction, "the light is no matter of thresholds"
    live = make_rules(board.ready_model(learned), wanted, changes)
    assert live.judging.class_thresholds == wanted.model.class_thresholds, "the fleet's word too"


@given(SHARE, SHARE, SHARE)
def test_a_learned_threshold_stands_in_for_one_number_only(given_one: float, new: float, said: float) -> None:
    labels = Labels({0: "cat", 1: "dog", 2: "dog"})
    learned = Learned(thresholds={name: Retuned(given_one, new) for name in ("cat", "dog", "cow")})
    made = with_learned(ModelConfig(score_threshold=said), learned, labels)
    assert made.class_thresholds == ({"cat": new} if said == given_one else {})


def test_a_damaged_record_costs_all_that_was_learned_and_the_model_runs(learned: Config, tmp_path: Path) -> None:
    record_path = next((tmp_path / "state" / overlay.FOLDER).glob("*.json"))
    record_path.write_bytes(record_path.read_bytes()[:-5])
    model = board.ready_model(learned)
    assert (model.preprocess.correction, model.info.learned) == (None, ())
    assert "is taken away" in take_back(learned)
    assert "nothing to take back" in take_back(learned)


@pytest.mark.parametrize("scale", [1e-30, 1e20], ids=["refused", "crashes"])
def test_a_patched_file_that_does_not_run_costs_what_was_learned_and_the_base_runs(
    learned: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, scale: float
) -> None:
    overlay.write(tmp_path / "state", broken(scale))
    model = board.ready_model(learned)
    assert model.path == tmp_path / "model.tflite"
    assert (model.preprocess.correction, model.info.learned) == (None, ()), "what was proven together goes together"
    said = [each.getMessage() for each in caplog.records if "the patched file is refused" in each.getMessage()]
    assert len(said) == 1
    assert "--undo" in said[0]


def test_a_base_that_does_not_run_is_told_once_and_as_itself(learned: Config, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"no model at all")
    with pytest.raises(ModelError, match=r"model\.tflite: "):
        board.ready_model(learned)


@pytest.mark.parametrize(("proven_on", "is_said"), [("", False), ("litert 0.0.1", True), ("now", False)])
def test_a_patch_that_was_proven_with_another_runtime_is_used_and_said(
    learned: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, proven_on: str, is_said: bool
) -> None:
    now = board.runtime_words(board.ready_model(learned, learned=False))
    said, _ = record(demo_file())
    assert said.ranges is not None
    ranges = msgspec.structs.replace(said.ranges, runtime=now if proven_on == "now" else proven_on)
    overlay.write(tmp_path / "state", msgspec.structs.replace(said, ranges=ranges))
    model = board.ready_model(learned)
    assert model.info.learned == ("a range patch of this board (agreement 0.970)",)
    assert (f"was proven with litert 0.0.1 and runs with {now} now" in caplog.text) is is_said


def test_nothing_is_taken_back_under_a_recalibration(learned: Config, tmp_path: Path) -> None:
    with overlay.alone(tmp_path / "state"), pytest.raises(UnavailableError, match="another recalibration is at work"):
        take_back(learned)
    assert board.ready_model(learned).preprocess.correction == LIGHT.correction


@pytest.mark.parametrize(
    "damage",
    [
        {"light": {"correction": {"gain": 1e9}}},
        {"thresholds": {"washer": {"given": 0.5, "threshold": 7.0, "rate": 0.1, "evidence": 1, "by": "correct"}}},
        {"light": 5},
        {"v": 3},
    ],
)
def test_numbers_beyond_their_limits_are_damage(tmp_path: Path, damage: dict[str, object]) -> None:
    said = Overlay(base_sha256="0" * 64, light=LIGHT, thresholds=THRESHOLDS)
    path = overlay.write(tmp_path, said)
    raw = json.loads(path.read_text())
    for key, value in damage.items():
        raw[key] = {**raw[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(raw))
    with pytest.raises(ModelError, match=r"is damaged.*--undo"):
        overlay.read(tmp_path, "0" * 64)


def test_the_status_says_what_lies_over_the_model(learned: Config) -> None:
    model = board.ready_model(learned)
    told = {"model": msgspec.to_builtins(model.info)}
    assert "         with a correction of the light of this board (gain 2.50, gamma 0.80), for one light only" in lines(
        told
    )
    assert not [line for line in lines({"model": {"name": "x", "learned": None}}) if "with" in line]
