"""The correction at work: learned once, followed, kept, taken back, told; and what the disk does to it."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import CorrectionConfig
from agent.errors import ConfigError, StorageError, UnavailableError
from agent.following import Following, sentence, standing, words
from agent.publish import translate
from agent.publish.contract_light import Corrected
from agent.publish.translate_light import corrected
from agent.recalibrate.levels import look
from agent.recalibrate.reference import (
    CORRECTION_NAME,
    FILE_NAME,
    FOLDER,
    PART_NAME,
    read_correction,
    read_light,
    write_light,
)
from agent.recalibrate.shelf import RETRY_S, Shelf
from agent.recalibrate.typical import pack
from agent.records import (
    CameraState,
    CameraStatus,
    Correction,
    Detections,
    Frame,
    FrameResult,
    LightChange,
    LightStatus,
    Pixels,
    StageTimes,
)
from tests.conftest import missing
from tests.contract_watch import complaint
from tests.publish_fakes import Clock, health, stamp
from tests.servers.volume import Volume, why_not
from tests.test_pacing import QUEUE, TOTALS

RNG = np.random.default_rng(11)
SCENE = np.kron(RNG.uniform(20, 190, (5, 5, 3)), np.ones((32, 32, 1)))
"""160 x 160 pixels of even patches."""

QUICK: dict[str, Any] = {
    "learn_frames": 8,
    "learn_s": 40.0,
    "fit_s": 20.0,
    "step_per_min": 1000.0,
}
LEARNED = 10
"""Looks of five seconds after which the reference is known."""


class Board:
    """A board whose light, camera and disk are the test's; one look each five seconds."""

    def __init__(
        self,
        state: Path | None,
        *,
        mode: str = "act",
        base: Correction | None = None,
        typical: str = "",
        **changes: Any,
    ) -> None:
        self.state, self.clock = state, Clock()
        self.config = CorrectionConfig(mode=mode, **{**QUICK, **changes})  # type: ignore[arg-type]
        self.told: list[LightChange] = []
        self.sequence = 0
        self.base, self.typical = base, typical
        self.start()

    def start(self) -> None:
        """As after a restart."""
        self.preprocess = SimpleNamespace(correction=self.base)
        self.preprocess.correct = lambda correction: setattr(self.preprocess, "correction", correction)
        publisher: Any = SimpleNamespace(corrected=self.told.append)
        preprocess: Any = self.preprocess
        shelf = Shelf(self.state, self.clock)
        self.following = Following(self.config, preprocess, shelf, publisher, self.clock, typical=self.typical)

    def frame(self, light: float) -> FrameResult:
        self.sequence += 1
        noise = RNG.normal(0, 0.4, SCENE.shape)
        pixels: Pixels = np.clip(np.rint(SCENE * light + noise), 0, 255).astype(np.uint8)
        frame = Frame(pixels, self.clock.now_s, self.sequence, np.zeros((36, 64), np.uint8))
        return FrameResult(frame, Detections.empty(), StageTimes(0.0, 0.0, 0.0, 0.0))

    def live(self, looks: int, light: float = 1.0, camera: CameraState = "streaming") -> list[LightChange]:
        """The changes that so many looks bring."""
        before = len(self.told)
        for _ in range(looks):
            self.clock.now_s += 5.0
            self.following.look(CameraStatus(camera), self.frame(light))
        return self.told[before:]

    def file(self, name: str) -> Path:
        assert self.state is not None
        return self.state / FOLDER / name

    @property
    def in_force(self) -> Correction | None:
        found: Correction | None = self.preprocess.correction
        return found


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """One that knows its light."""
    board = Board(tmp_path)
    board.live(LEARNED)
    assert board.following.status.state == "known"
    return board


# ---- learning


def test_the_light_is_learned_once_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    board = Board(tmp_path)
    assert standing(board.following.status) == "learns what is usual here: 0 of 8 frames"
    board.live(4)
    assert board.following.status.learned == 3
    board.live(LEARNED - 4)
    assert board.following.status == LightStatus("known", is_acted=True)
    light = read_light(tmp_path)
    assert light is not None
    assert len(light) == 8
    assert not board.file(PART_NAME).exists()
    assert caplog.text.count("is not known: it is learned from 8 frames within 40 s") == 1
    board.start()
    assert board.following.status.state == "known"
    assert "learned" not in caplog.text.partition("known now")[2]
    assert board.live(20) == [], "the light is as it was"


@pytest.mark.parametrize("camera", ["starting", "down", "stalled", "frozen", "black", "ended"])
def test_nothing_is_learned_while_the_camera_gives_no_picture_of_the_place(tmp_path: Path, camera: CameraState) -> None:
    board = Board(tmp_path)
    board.live(LEARNED, camera=camera)
    assert board.following.status.learned == 0
    board.live(LEARNED, light=0.0)
    assert board.following.status.learned == 0, "a black frame shows nothing, whatever the camera says"
    board.live(LEARNED)
    assert board.following.status.state == "known"


def test_a_frame_is_looked_at_once(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.live(3)
    same = board.frame(1.0)
    for _ in range(LEARNED):
        board.clock.now_s += 5.0
        board.following.look(CameraStatus("streaming"), same)
    board.following.look(CameraStatus("streaming"), None)
    assert board.following.status.learned == 3


def test_learning_goes_on_over_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    board = Board(tmp_path)
    board.live(5)
    board.start()
    assert "of which 4 are there from before" in caplog.text
    assert board.following.status.learned == 4
    board.live(5)
    assert board.following.status.state == "known"


def test_off_costs_nothing_and_touches_nothing(tmp_path: Path) -> None:
    board = Board(tmp_path, mode="off")
    board.live(LEARNED)
    board.live(LEARNED, light=0.2)
    assert board.following.status == LightStatus("off", is_acted=True)
    assert standing(board.following.status) == ""
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"correction\.mode"):
        board.following.relearn()


def test_a_correction_of_the_model_is_followed_from_and_blocks_learning(tmp_path: Path) -> None:
    base = Correction(gain=1.4)
    board = Board(tmp_path, base=base)
    board.live(LEARNED)
    assert board.following.status.state == "blocked"
    assert "lies over the model; corrected by gain 1.4" in standing(board.following.status)
    assert not board.file(FILE_NAME).exists()
    with pytest.raises(UnavailableError, match=r"lies over the model.*recalibrate --undo"):
        board.following.relearn()


def test_a_frame_that_is_too_small_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    board = Board(tmp_path)
    small = replace(board.frame(1.0).frame, pixels=np.zeros((8, 8, 3), np.uint8))
    for number in range(5):
        board.clock.now_s += 5.0
        frame = replace(small, sequence=1000 + number)
        board.following.look(
            CameraStatus("streaming"), FrameResult(frame, Detections.empty(), StageTimes(0.0, 0.0, 0.0, 0.0))
        )
    assert caplog.text.count("the light cannot be seen") == 1
    assert board.following.status.learned == 0


# ---- following


def test_dark_is_corrected_and_each_change_is_told(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    changes = board.live(20, light=0.3)
    assert {change.why for change in changes} == {"followed"}
    assert all(change.is_acted for change in changes)
    assert board.in_force == changes[-1].correction == board.following.status.correction
    corrected_scene = changes[-1].correction.apply(SCENE * 0.3)
    assert np.abs(corrected_scene - SCENE).mean() < 4.0
    assert [line.getMessage() for line in caplog.records] == [sentence(change) for change in changes]


def test_a_restart_keeps_it_in_force_before_the_first_frame(board: Board) -> None:
    board.live(20, light=0.3)
    before = board.in_force
    assert before is not None
    told = len(board.told)
    board.start()
    assert board.in_force == before
    assert board.following.status.correction == before
    assert len(board.told) == told, "nothing has changed"
    assert board.live(20, light=0.3) == []


def test_the_lamp_releases_it_at_once_and_for_the_next_start_too(board: Board) -> None:
    board.live(20, light=0.3)
    (change,) = board.live(4, light=1.0)
    assert (change.why, change.correction) == ("released", Correction())
    assert board.in_force is None
    board.start()
    assert board.in_force is None


def test_advice_changes_nothing_and_says_what_it_would_do(tmp_path: Path) -> None:
    board = Board(tmp_path, mode="advise")
    board.live(LEARNED)
    changes = board.live(20, light=0.3)
    assert changes
    assert not any(change.is_acted for change in changes)
    assert board.in_force is None
    assert not board.file(CORRECTION_NAME).exists()
    assert board.following.status.correction == changes[-1].correction
    assert standing(board.following.status).startswith("would be corrected by ")


@pytest.mark.parametrize("camera", ["down", "stalled", "frozen", "black"])
def test_a_camera_that_shows_nothing_holds_it(board: Board, camera: CameraState) -> None:
    board.live(20, light=0.3)
    before = board.in_force
    assert board.live(20, light=1.0, camera=camera) == []
    assert board.in_force == before


def test_relearning_takes_it_back_first_and_learns_the_light_of_now(board: Board) -> None:
    board.live(20, light=0.3)
    assert "8 frames within 40 s" in board.following.relearn()
    assert board.told[-1].why == "relearn"
    assert board.in_force is None
    assert board.following.status == LightStatus("learning", True, 0, 8, why="the light is learned anew")
    assert not board.file(FILE_NAME).exists()
    assert not board.file(CORRECTION_NAME).exists()
    board.live(LEARNED, light=0.3)
    light = read_light(board.state)  # type: ignore[arg-type]
    assert light is not None
    assert light.levels.mean() < 0.4 * SCENE.mean(), "what the camera gives, not what was made of it"
    assert board.live(20, light=0.3) == []


def test_what_is_kept_goes_before_a_newer_correction_of_the_model_does(board: Board) -> None:
    board.live(20, light=0.3)
    mine = board.in_force
    board.start()
    assert board.in_force == mine
    board.base = Correction(gain=1.5)
    board.start()
    assert board.in_force == board.base
    assert (board.told[-1].why, board.told[-1].previous, board.told[-1].correction) == ("dropped", mine, board.base)
    board.live(20, light=0.3)
    newer = board.in_force
    assert newer not in (mine, board.base)
    board.start()
    assert board.in_force == newer, "its own state is newer"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_correction_of_another_reference_is_dropped(board: Board, is_there: bool) -> None:
    board.live(20, light=0.3)
    light = read_light(board.state)  # type: ignore[arg-type]
    assert light is not None
    board.following.relearn()
    board.live(LEARNED)
    board.live(20, light=0.3)
    assert board.in_force is not None
    if is_there:
        board.file(FILE_NAME).write_bytes(light.to_bytes())
    else:
        board.file(FILE_NAME).unlink()
    board.start()
    assert board.in_force is None
    assert board.told[-1].why == "dropped"
    assert not board.file(CORRECTION_NAME).exists()
    assert board.following.status.state == ("known" if is_there else "learning")


# ---- settings while it runs


def test_another_mode_takes_it_back_and_begins_anew(board: Board) -> None:
    board.live(20, light=0.3)
    for mode in ("advise", "off"):
        board.following.reconfigure(msgspec.structs.replace(board.config, mode="act"))
        board.live(20, light=0.3)
        assert board.in_force is not None
        board.following.reconfigure(msgspec.structs.replace(board.config, mode=mode))
        assert board.in_force is None
        assert (board.told[-1].why, board.told[-1].is_acted) == ("off", True)
        assert not board.file(CORRECTION_NAME).exists()
        assert board.following.status.correction is None
    assert board.live(20, light=0.3) == []


def test_off_between_two_starts_is_off_at_the_second(board: Board) -> None:
    board.live(20, light=0.3)
    board.config = msgspec.structs.replace(board.config, mode="off")
    board.start()
    assert board.in_force is None
    assert board.told[-1].why == "off"
    assert not board.file(CORRECTION_NAME).exists()
    assert board.file(FILE_NAME).exists(), "the reference stays for when it is wanted again"


def test_the_pace_is_taken_while_it_runs(board: Board) -> None:
    board.following.reconfigure(msgspec.structs.replace(board.config, dead_band=200.0))
    assert board.live(20, light=0.3) == []
    board.following.reconfigure(msgspec.structs.replace(board.config, dead_band=4.0, step_per_min=12.0))
    change, *_ = board.live(6, light=0.3)
    moved = np.abs(change.correction.apply(SCENE * 0.3) - SCENE * 0.3).mean()
    assert 0.0 < moved < 12.0


# ---- the disk


@pytest.mark.parametrize("name", [FILE_NAME, PART_NAME, CORRECTION_NAME])
@pytest.mark.parametrize("content", [b"LIGHT\x00\x01@x", b"{"])
def test_a_damaged_file_is_said_once_and_begun_anew(
    board: Board, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    board.live(20, light=0.3)
    if name == PART_NAME:
        board.following.relearn()
    board.file(name).write_bytes(content)
    board.start()
    assert caplog.text.count("is damaged") == 1
    assert board.file(name).exists() is False
    board.start()
    assert caplog.text.count("is damaged") == 1
    board.live(LEARNED, light=0.3)
    assert board.following.status.state == "known"


def test_a_folder_that_cannot_be_written_costs_only_the_memory_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    (tmp_path / FOLDER).touch()
    board = Board(tmp_path)
    board.live(LEARNED)
    assert board.following.status.state == "known"
    assert board.live(20, light=0.3)
    assert board.in_force is not None
    assert caplog.text.count("is not kept over a restart") == 1
    with pytest.raises(StorageError, match="cannot be removed"):
        board.following.relearn()
    assert board.in_force is not None, "nothing has changed"
    (tmp_path / FOLDER).unlink()
    board.clock.now_s += RETRY_S
    board.live(1, light=0.3)
    assert caplog.text.count("is kept again") == 1
    kept = read_correction(tmp_path)
    assert kept is not None
    assert kept.correction == board.in_force
    assert read_light(tmp_path) is not None


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Volume]:
    volume = Volume(tmp_path / "card", 64)
    try:
        if why_not():
            missing(why_not())
        volume.mount()
    except subprocess.CalledProcessError as error:
        missing(f"no right to mount: {error.stderr.strip()}")
    yield volume
    volume.unmount()


@pytest.mark.slow
def test_a_full_disk_costs_only_the_memory_of_it(card: Volume, caplog: pytest.LogCaptureFixture) -> None:
    board = Board(card.path)
    board.live(LEARNED)
    card.fill()
    board.live(20, light=0.3)
    assert board.in_force is not None
    assert caplog.text.count("No space left on device") == 1
    assert read_correction(card.path) is None, "nothing half written"
    card.free()
    board.clock.now_s += RETRY_S
    board.live(1, light=0.3)
    before = board.in_force
    board.start()
    assert board.in_force == before


def test_without_a_folder_it_works_until_the_end(board: Board) -> None:
    lone = Board(None)
    lone.live(LEARNED)
    assert lone.live(20, light=0.3)
    assert lone.following.relearn()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["live", "live", "live", "dark", "restart", "relearn", "off", "act", "advise"]),
        st.sampled_from([0.2, 0.5, 1.0]),
    ),
    max_size=6,
)


@given(steps=STEPS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_restart_at_any_time_changes_nothing(steps: list[tuple[str, float]], tmp_path_factory: Any) -> None:
    board = Board(tmp_path_factory.mktemp("state"))
    for step, light in [("live", 1.0), *steps]:
        if step == "restart":
            board.start()
        elif step == "relearn":
            if board.config.mode != "off":
                board.following.relearn()
        elif step in {"off", "act", "advise"}:
            board.config = msgspec.structs.replace(board.config, mode=step)
            board.following.reconfigure(board.config)
        else:
            board.live(LEARNED, light=light, camera="black" if step == "dark" else "streaming")
        before, told = board.in_force, len(board.told)
        state = board.following.status.state
        board.start()
        assert board.in_force == before
        assert board.following.status.state == state
        assert len(board.told) == told
        if board.config.mode != "act":
            assert board.in_force is None
        chain = [(change.previous, change.correction) for change in board.told if change.is_acted]
        assert [old for old, _ in chain] == [Correction(), *(new for _, new in chain)][: len(chain)], "none left out"


# ---- what is told

CHANGE = LightChange(
    1.0, "followed", Correction(), Correction(gain=2.123456), Correction(4.0, 3.0, 0.9, (1.1, 1.0, 0.95)), 0.456
)


def test_the_event_says_what_was_what_is_and_what_is_asked_for() -> None:
    data = corrected(CHANGE)
    assert data == {
        "why": "followed",
        "acted": True,
        "noise": 0.46,
        "gain": 2.1235,
        "target_black": 4.0,
        "target_gain": 3.0,
        "target_gamma": 0.9,
        "target_blue": 1.1,
        "target_red": 0.95,
    }
    assert msgspec.convert(data, Corrected).previous_gain == 1.0
    body = msgspec.json.encode(translate.event(stamp(), "corrected", data))
    assert not complaint("edge/v1/home/cam1/e/corrected", body)
    assert len(body) < 450
    body = msgspec.json.encode(translate.event(stamp(), "corrected", data | {"aim": 3.0}))
    assert "a field that Corrected does not know" in complaint("edge/v1/home/cam1/e/corrected", body)


def test_the_card_says_how_it_stands_and_nothing_where_nothing_is_corrected() -> None:
    def told(status: LightStatus) -> dict[str, Any]:
        card = translate.health(stamp(), replace(health(), light=status), QUEUE, TOTALS)
        found: dict[str, Any] = msgspec.to_builtins(card)
        return {name: value for name, value in found.items() if name.startswith("light") or name == "correction"}

    assert told(LightStatus()) == {}
    assert told(LightStatus("known", True)) == {}
    assert told(LightStatus("known", True, why="it made the picture worse")) == {}
    assert told(LightStatus("learning", True, 3, 30)) == {"light": "learning", "light_learned": 3}
    gain = Correction(gain=2.5)
    assert told(LightStatus("known", True, correction=gain, why="so")) == {
        "light": "corrected",
        "light_reason": "so",
        "correction": {"gain": 2.5},
    }
    assert told(LightStatus("known", False, correction=gain))["light"] == "advised"
    assert told(LightStatus("off", True, correction=gain))["light"] == "corrected"
    assert told(LightStatus("off", True, why="so", held=gain)) == {"light": "held", "light_reason": "so"}
    assert told(LightStatus("blocked", True, correction=gain)) == {"light": "blocked", "correction": {"gain": 2.5}}


def test_words_for_a_person() -> None:
    assert words(Correction(2.0, 1.0, 0.5)) == "black 2, gamma 0.5"
    assert "would correct the light by gain 2.12" in sentence(replace(CHANGE, is_acted=False))
    assert standing(LightStatus("known")) == "as it was learned"
    assert standing(LightStatus("known", True, correction=Correction(gain=2.0))) == "corrected by gain 2"


# ---- a correction that lies over the model

NIGHT = Correction(gain=5.0)
DAY = pack(look([np.rint(SCENE).astype(np.uint8)]))


@pytest.mark.parametrize("mode", ["off", "advise"])
@pytest.mark.parametrize("source", ["record", "shelf"])
def test_a_correction_of_the_model_is_held_back_by_day_and_back_at_night_whatever_the_mode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str, source: str
) -> None:
    caplog.set_level(logging.INFO, "agent.light")
    if source == "shelf":
        write_light(tmp_path, look([np.rint(SCENE).astype(np.uint8)]))
    board = Board(tmp_path, mode=mode, base=NIGHT, typical=DAY if source == "record" else "")
    assert board.live(20, light=0.2) == []
    assert board.in_force == NIGHT
    change = board.live(3)[0]
    assert (change.why, change.previous, change.correction) == ("released", NIGHT, Correction())
    assert change.is_acted
    assert board.in_force is None
    assert board.following.status.held == NIGHT
    held = "the correction that lies over the model (gain 5) is held back: it made the picture worse"
    assert standing(board.following.status) == held
    assert caplog.text.count("corrects the light by nothing, before by gain 5: it made the picture worse") == 1
    board.live(20)
    assert board.in_force is None
    acted = [each for each in board.live(3, light=0.2) if each.is_acted]
    assert [(each.why, each.correction) for each in acted] == [("resumed", NIGHT)]
    assert board.in_force == NIGHT
    assert board.following.status.held is None


@pytest.mark.parametrize("camera", ["down", "stalled", "frozen", "black"])
def test_a_camera_that_shows_nothing_takes_nothing_out_of_force(tmp_path: Path, camera: CameraState) -> None:
    board = Board(tmp_path, mode="off", base=NIGHT, typical=DAY)
    assert board.live(20, camera=camera) == []
    assert board.live(20, light=0.0) == []
    assert board.live(2) == []
    assert board.live(1, camera=camera) == []
    assert board.live(2) == [], "not three in a row"
    assert board.in_force == NIGHT


def test_what_no_reference_is_known_for_is_said_once_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board(tmp_path, mode="off", base=NIGHT)
    assert board.live(20) == []
    assert board.in_force == NIGHT
    board.following.reconfigure(msgspec.structs.replace(board.config, mode="act"))
    assert caplog.text.count("(gain 5) stays in force in any light") == 1
    assert board.following.status.state == "blocked"


def test_it_is_held_back_too_where_no_reference_may_be_learned(tmp_path: Path) -> None:
    board = Board(tmp_path, base=NIGHT, typical=DAY)
    assert [change.why for change in board.live(LEARNED)] == ["released"]
    assert board.following.status.state == "blocked"
    assert board.in_force is None
    assert not board.file(FILE_NAME).exists()


def test_what_is_held_back_stays_so_in_every_mode(tmp_path: Path) -> None:
    write_light(tmp_path, look([np.rint(SCENE).astype(np.uint8)] * 8))
    board = Board(tmp_path, mode="off", base=NIGHT, typical=DAY)
    board.live(3)
    told = len(board.told)
    for mode in ("advise", "off", "act"):
        board.following.reconfigure(msgspec.structs.replace(board.config, mode=mode))
        assert board.in_force is None
    assert len(board.told) == told, "nothing has changed"
    board.following.reconfigure(msgspec.structs.replace(board.config, mode="off"))
    assert board.in_force == NIGHT, "who followed knew of the base alone; it is watched again"
    assert [change.why for change in board.live(3)] == ["released"]


def test_advice_says_once_what_is_done(tmp_path: Path) -> None:
    write_light(tmp_path, look([np.rint(SCENE).astype(np.uint8)] * 8))
    board = Board(tmp_path, mode="advise", base=NIGHT, typical=DAY)
    (change,) = board.live(20)
    assert change.is_acted
    assert board.following.status.is_acted
