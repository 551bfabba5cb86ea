"""What a repair begins from: settings, corrections and judges that are in force beside what was learned."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from agent import config as settings
from agent.config import Config
from agent.errors import ConfigError
from agent.outset import FLOAT_NAME, set_out
from agent.recalibrate import overlay
from agent.recalibrate.levels import Light, look
from agent.recalibrate.overlay import Overlay
from agent.recalibrate.reference import (
    CORRECTION_NAME,
    FOLDER,
    KeptCorrection,
    digest,
    write_correction,
    write_light,
)
from agent.records import Correction
from tests.models import demo_file
from tests.test_recalibrate_overlay import LIGHT

DARK = Correction(gain=5.0)


@pytest.fixture
def board(tmp_path: Path) -> Config:
    for name in ("model.tflite", "labels.txt"):
        (tmp_path / name).write_bytes(demo_file(name))
    return settings.override(
        Config(),
        {
            "device.state_dir": str(tmp_path / "state"),
            "model.path": str(tmp_path / "model.tflite"),
            "model.labels": str(tmp_path / "labels.txt"),
            "correction.mode": "act",
        },
    )


def bundled(board: Config) -> Config:
    return settings.override(board, {"model.path": "", "model.labels": "", "model.bundle": "demo:"})


@pytest.fixture
def light(tmp_path: Path) -> Light:
    """A reference that the board keeps, with the correction that it follows."""
    seen = look([np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.uint8)])
    write_light(tmp_path / "state", seen)
    write_correction(tmp_path / "state", KeptCorrection(reference=digest(seen), base=Correction(), correction=DARK))
    return seen


@pytest.mark.usefixtures("light")
def test_what_the_service_follows_is_in_force(board: Config) -> None:
    found = set_out(board, None, is_judged=True)
    assert found.light == DARK
    assert found.notes == ("the service follows the light; its correction is in force: gain 5.00",)
    for mode in ("off", "advise"):
        off = set_out(settings.override(board, {"correction.mode": mode}), None, is_judged=True)
        assert (off.light, off.notes) == (None, ())


def test_a_correction_that_belongs_to_something_else_is_not(board: Config, light: Light, tmp_path: Path) -> None:
    said = KeptCorrection(reference=digest(light), base=LIGHT.correction, correction=DARK)
    write_correction(tmp_path / "state", said)
    assert set_out(board, None, is_judged=True).light is None
    record = Overlay(base_sha256=hashlib.sha256(demo_file()).hexdigest(), light=LIGHT)
    overlay.write(tmp_path / "state", record)
    assert set_out(board, None, is_judged=True).light == DARK, "it was followed from the record's"
    write_correction(tmp_path / "state", KeptCorrection(reference="0" * 16, base=LIGHT.correction, correction=DARK))
    assert set_out(board, None, is_judged=True).light is None


@pytest.mark.usefixtures("light")
def test_a_damaged_one_is_said(board: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state" / FOLDER / CORRECTION_NAME).write_bytes(b"rotten")
    assert set_out(board, None, is_judged=True).light is None
    assert "the correction that the service follows is not known: " in caplog.text


@pytest.mark.parametrize("is_bundle", [False, True])
def test_what_the_fleet_desires_is_in_force(board: Config, tmp_path: Path, is_bundle: bool) -> None:
    (tmp_path / "state").mkdir()
    wanted = {"model.score_threshold": 0.35, "log.level": "error"}
    (tmp_path / "state" / "desired.json").write_text(json.dumps({"rev": 3, "config": wanted}))
    config = bundled(board) if is_bundle else board
    found = set_out(settings.override(config, {"mqtt.host": "127.0.0.1"}), None, is_judged=False)
    assert (found.base.postprocess.thresholds == np.float32(0.35)).all()
    assert found.notes == ("the fleet's settings are in force: model.score_threshold = 0.35",)
    alone = set_out(config, None, is_judged=False)
    assert alone.notes == (), "without a broker nobody desires anything"
    assert alone.base.settings.score_threshold != 0.35


def test_what_was_desired_of_another_model_is_not(
    board: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    wanted = {"model.class_thresholds": {"giraffe": 0.35}}
    (tmp_path / "state" / "desired.json").write_text(json.dumps({"rev": 3, "config": wanted}))
    broker = settings.override(board, {"mqtt.host": "127.0.0.1"})
    assert set_out(broker, None, is_judged=False).base.settings.class_thresholds == {}
    assert "what the fleet desires is not in force: " in caplog.text
    with pytest.raises(ConfigError, match="giraffe"):
        set_out(settings.override(board, wanted), None, is_judged=False)


def test_a_float_model_has_the_labels_and_thresholds_of_the_bundle(board: Config, tmp_path: Path) -> None:
    config = settings.override(bundled(board), {"model.class_thresholds": {"washer": 0.7}})
    (tmp_path / "mine.tflite").write_bytes(demo_file("float.tflite"))
    mine, shipped = (set_out(config, path, is_judged=True) for path in (tmp_path / "mine.tflite", None))
    assert mine.notes == (f"judged by the float model {tmp_path / 'mine.tflite'}",)
    assert shipped.notes == (f"judged by the float model of the bundle ({FLOAT_NAME})",)
    for found in (mine, shipped):
        judge, base = found.float_model, found.base
        assert judge is not None
        assert judge.card.input.dtype == "float32"
        assert base.labels.names
        assert judge.labels == base.labels
        assert judge.postprocess.thresholds.tolist() == base.postprocess.thresholds.tolist()
        assert judge.settings.score_threshold == base.settings.score_threshold
    assert set_out(config, None, is_judged=False).float_model is None, "nothing to judge"


def test_a_bundle_s_float_model_that_does_not_run_leaves_the_twin(
    board: Config, caplog: pytest.LogCaptureFixture
) -> None:
    config = bundled(board)
    set_out(config, None, is_judged=True).base.path.with_name(FLOAT_NAME).write_bytes(b"rotten")
    found = set_out(config, None, is_judged=True)
    assert (found.float_model, found.notes) == (None, ())
    assert "the bundle's float model is not used, the float twin judges: " in caplog.text


def test_a_file_beside_a_plain_model_is_nobody_s_judge(board: Config, tmp_path: Path) -> None:
    (tmp_path / FLOAT_NAME).write_bytes(demo_file("float.tflite"))
    assert set_out(board, None, is_judged=True).float_model is None
