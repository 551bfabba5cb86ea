"""The light of a real agent on the rendered camera drops: the correction follows, and detections come back."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from agent import config as settings
from agent import service
from agent.board import base_model, file_sha256
from agent.config import Config, overlaid
from agent.errors import AgentError
from agent.local import lines
from agent.parts import Parts
from agent.recalibrate import overlay
from agent.recalibrate.levels import look
from agent.recalibrate.overlay import Overlay, ProvenCorrection
from agent.recalibrate.reference import (
    CORRECTION_NAME,
    FILE_NAME,
    FOLDER,
    KeptCorrection,
    digest,
    write_correction,
    write_light,
)
from agent.recalibrate.typical import pack
from agent.records import Command, Correction, FrameResult
from tests.servers.mosquitto import wait_until
from tools.demo_model.scenes import still

DAY, NIGHT = "light=1&noise=0.5", "light=0.15&noise=0.5"
PATIENCE_S = 250.0
FRAMES = 40


class DoneError(AgentError):
    """The test has seen what it wanted."""


class Watcher:
    """Turns the light when what came before was seen; its steps follow each other, frame by frame.

    Args:
        knobs: the camera's control file.
        log: what the agent says.
        steps: what is waited for, and what is done then; the last one ends the run.
    """

    def __init__(self, knobs: Path, log: pytest.LogCaptureFixture) -> None:
        self.knobs, self.log = knobs, log
        self.seen: list[tuple[float, float]] = []
        self.begun_s = time.monotonic()

    def take(self, result: FrameResult) -> None:
        truth = result.frame.truth
        assert truth is not None
        if len(truth):
            self.seen.append((float(result.frame.thumbnail.mean()), len(result.detections) / len(truth)))
        assert time.monotonic() - self.begun_s < PATIENCE_S, self.log.text
        self.step()

    def step(self) -> None:
        raise NotImplementedError

    @property
    def luma(self) -> float:
        return self.seen[-1][0] if self.seen else 0.0

    def found(self) -> float:
        """Share of the objects that the newest frames answered for; 0 before there are enough of them."""
        newest = self.seen[-FRAMES:]
        return sum(share for _, share in newest) / len(newest) if len(newest) == FRAMES else 0.0

    def turn(self, knobs: str) -> None:
        self.knobs.write_text(knobs)
        self.seen.clear()


class Dusk(Watcher):
    """Day until the light is learned, then night until detections have come back."""

    stage, by_day, in_the_dark = "learn", 0.0, 1.0

    def step(self) -> None:
        if self.stage == "learn" and "is known now" in self.log.text and self.found():
            self.by_day, self.stage = self.found(), "dark"
            self.turn(NIGHT)
        elif self.stage == "dark":
            self.see_dark()
        elif self.stage == "corrected" and self.found() > 0.8 * self.by_day:
            raise DoneError

    def see_dark(self) -> None:
        dark = [share for luma, share in self.seen if luma < 30.0]
        if "corrects the light by" in self.log.text:
            self.stage = "corrected"
            self.in_the_dark = sum(dark) / len(dark)
            self.seen.clear()


class Dawn(Watcher):
    """Night until there are enough frames, then day until the correction is let go."""

    stage, in_the_dark = "dark", 0.0

    def step(self) -> None:
        if self.stage == "dark" and self.found():
            self.in_the_dark, self.stage = self.found(), "light"
            self.turn(DAY)
        elif self.stage == "light" and "it made the picture worse" in self.log.text:
            raise DoneError


def agent(state: Path, knobs: Path, watcher: Watcher, mode: str = "act") -> None:
    changes = {
        "device.state_dir": str(state),
        "model.bundle": "demo:",
        "camera.uri": f"demo:?control={knobs}&noise=0.5",
        "measure.sensors_s": 0.5,
        "correction.mode": mode,
        "correction.learn_frames": 10,
        "correction.learn_s": 4.0,
        "correction.every_s": 0.5,
        "correction.fit_s": 1.0,
        "correction.step_per_min": 10_000.0,
    }
    with pytest.raises(DoneError):
        service.run(settings.override(Config(), changes), on_result=watcher.take)


def test_what_is_kept_is_in_force_before_the_first_frame_and_a_command_has_it_learned_anew(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    light = look([rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(8)])
    mine = Correction(gain=1.25)
    write_light(tmp_path, light)
    write_correction(tmp_path, KeptCorrection(reference=digest(light), base=Correction(), correction=mine))
    changes = {"device.state_dir": str(tmp_path), "model.bundle": "demo:", "camera.uri": "demo:?light=0.5"}
    parts = Parts(settings.override(Config(), {**changes, "correction.mode": "act"}), time.monotonic)
    assert parts.model.preprocess.correction == mine
    with parts:
        assert wait_until(lambda: parts.telemetry.health() is not None)
        assert "light    corrected by gain 1.25" in lines(parts._status())
        parts.remote.commands.take(Command("relearn", "1"))
        assert wait_until(lambda: parts.following.status.state == "learning")
        assert parts.model.preprocess.correction is None
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == []
        parts._apply(overlaid(parts.config, {"correction.mode": "off"}), {"correction.mode": "off"})
        assert parts.following.status.state == "off"


class Fixed(Watcher):
    """Day until the correction of the night is held back and things are found, then night until it is back."""

    stage, by_day = "day", 0.0

    def step(self) -> None:
        if self.stage == "day" and "it made the picture worse" in self.log.text:
            self.stage = "held"
            self.seen.clear()
        elif self.stage == "held" and self.found():
            self.by_day, self.stage = self.found(), "night"
            self.turn(NIGHT)
        elif self.stage == "night" and "it makes the picture better again" in self.log.text:
            raise DoneError


@pytest.mark.slow
def test_a_correction_made_at_night_is_held_back_by_day_though_nothing_is_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    knobs, state = tmp_path / "knobs", tmp_path / "state"
    knobs.write_text(DAY)
    night = ProvenCorrection(
        correction=Correction(gain=8.0),
        distance=3.0,
        gain=(30.0, 25.0, 35.0),
        frames=8,
        typical=pack(look([pixels for pixels, _ in still(41, 8)])),
    )
    config = settings.override(Config(), {"device.state_dir": str(state), "model.bundle": "demo:"})
    overlay.write(state, Overlay(base_sha256=file_sha256(base_model(config)), light=night))
    fixed = Fixed(knobs, caplog)
    agent(state, knobs, fixed, "off")
    assert fixed.by_day > 0.5
    assert [line.getMessage().partition(":")[0] for line in caplog.records if line.name == "agent.light"] == [
        "corrects the light by nothing, before by gain 8",
        "corrects the light by gain 8, before by nothing",
    ]


@pytest.mark.slow
def test_the_light_drops_and_detections_come_back_and_stay_over_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    knobs = tmp_path / "knobs"
    knobs.write_text(DAY)
    dusk = Dusk(knobs, caplog)
    agent(tmp_path / "state", knobs, dusk)
    print(f"found by day {dusk.by_day:.2f}, in the dark {dusk.in_the_dark:.2f}")  # noqa: T201
    assert dusk.by_day > 0.5
    assert dusk.in_the_dark < 0.5 * dusk.by_day, "it was worth it"
    assert (tmp_path / "state" / FOLDER / CORRECTION_NAME).exists()

    caplog.clear()
    dawn = Dawn(knobs, caplog)
    agent(tmp_path / "state", knobs, dawn)
    assert dawn.in_the_dark > 0.8 * dusk.by_day, "from the first frame on"
    assert "learned" not in caplog.text, "the reference was kept"


class Advised(Dusk):
    """As at dusk, but only advice comes."""

    def step(self) -> None:
        if self.stage == "learn":
            super().step()
        elif "would correct the light by" in self.log.text and len(self.seen) >= 2 * FRAMES:
            raise DoneError


@pytest.mark.slow
def test_advice_leaves_the_picture_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    knobs = tmp_path / "knobs"
    knobs.write_text(DAY)
    advised = Advised(knobs, caplog)
    agent(tmp_path / "state", knobs, advised, "advise")
    assert advised.found() < 0.5 * advised.by_day
    assert (tmp_path / "state" / FOLDER / FILE_NAME).exists()
    assert not (tmp_path / "state" / FOLDER / CORRECTION_NAME).exists()
