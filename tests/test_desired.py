"""Desired and reported: the newest word counts, all of it or nothing, over restarts; a bad one changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import LIVE, Config, MqttConfig, not_live, overlaid
from agent.config import settings as all_settings
from agent.desired import FILE_NAME, Overlay
from agent.errors import ConfigError
from agent.publish import translate
from agent.records import Desired, Standing

BASE = Config(mqtt=MqttConfig(host="broker", health_s=60.0))


class Board:
    """An overlay, and what it did."""

    def __init__(self, folder: Path | None = None, base: Config = BASE) -> None:
        self.applied: list[Config] = []
        self.wishes: list[dict[str, Any]] = []
        self.said: list[Standing] = []
        self.overlay = Overlay(base, folder, "coco 1.0")
        self.overlay.start(self.apply, self.said.append)

    def apply(self, config: Config, changes: Mapping[str, Any]) -> None:
        if "unicorn" in config.model.classes:
            raise ConfigError("model.classes: the model has no 'unicorn'")
        self.applied.append(config)
        self.wishes.append(dict(changes))

    def want(self, rev: int | None, **config: Any) -> Standing:
        self.overlay.take(Desired(rev, {key.replace("__", "."): value for key, value in config.items()}))
        return self.said[-1]

    @property
    def health_s(self) -> float:
        return self.overlay.config.mqtt.health_s


def test_a_wish_is_put_in_force_and_reported() -> None:
    board = Board()
    assert (board.said[0].phase, board.said[0].rev_applied, board.said[0].bundle) == ("idle", 0, "coco 1.0")
    standing = board.want(3, mqtt__health_s=5, log__level="debug")
    assert (standing.phase, standing.rev_seen, standing.rev_applied) == ("applied", 3, 3)
    assert standing.config == {"mqtt.health_s": 5, "log.level": "debug"}
    assert board.applied[-1].mqtt.health_s == 5.0
    assert board.applied[-1].mqtt.host == "broker"


def test_a_wish_that_is_the_files_own_value_is_a_wish_all_the_same() -> None:
    board = Board()
    board.want(1, mqtt__health_s=60.0)
    assert board.wishes == [{"mqtt.health_s": 60.0}], "it may win over what is in neither: a bundle's manifest"
    board.want(2, mqtt__health_s=60.0)
    assert len(board.wishes) == 1, "the same again changes nothing"
    board.want(3)
    assert board.wishes[-1] == {}


def test_each_wish_stands_for_itself_over_the_file() -> None:
    board = Board()
    board.want(1, mqtt__health_s=5)
    board.want(2, log__level="debug")
    assert board.health_s == 60.0, "what is not named any more is the file's again"
    assert board.overlay.config.log.level == "debug"


@pytest.mark.parametrize("rev", [1, 2])
def test_an_old_or_equal_revision_is_ignored(rev: int) -> None:
    board = Board()
    board.want(2, mqtt__health_s=5)
    said = len(board.said)
    board.want(rev, mqtt__health_s=7)
    assert board.health_s == 5.0
    assert len(board.said) == said


@pytest.mark.parametrize(
    ("desired", "code", "words"),
    [
        (Desired(9, {"mqtt.health_s": 0.0}), "bad-config", "mqtt.health_s"),
        (Desired(9, {"mqtt.health_s": "often"}), "bad-config", "mqtt.health_s"),
        (Desired(9, {"log.level": None}), "bad-config", "log.level"),
        (Desired(9, {"mqtt.host": "evil"}), "unsupported", "mqtt.host"),
        (Desired(9, {"model.iou_threshold": 0.1}), "unsupported", "model.iou_threshold"),
        (Desired(9, {"model.score_threshold": 1.1}), "bad-config", "model.score_threshold"),
        (Desired(9, {"mqtt.health_s": 5, "model.classes": ["unicorn"]}), "bad-config", "no 'unicorn'"),
        (Desired(9, {"model.class_thresholds": {"person": 2}}), "bad-config", "model.class_thresholds"),
        (Desired(9, {"detections.zones": ["nowhere"]}), "bad-config", "detections.zones"),
        (Desired(9, {"homeassistant.snapshot_s": 60}), "bad-config", "needs homeassistant.enabled"),
        (Desired(9, {"mqtt.health_s": 5, "no.such": 1}), "unsupported", "unknown setting 'no.such'"),
        (Desired(9, {"model.scorethreshold": 1}), "unsupported", "did you mean 'model.score_threshold'?"),
        (Desired(9, {"model": {"score_threshold": 1}}), "unsupported", "give settings by dotted name, as 'model."),
        (Desired(9, {"mqtt.health_s": 5}, ("bundle",)), "unsupported", "bundle"),
        (Desired(None, problem="it is no JSON object"), "bad-desired", "no JSON object"),
    ],
)
def test_a_bad_one_is_reported_and_the_old_stays(tmp_path: Path, desired: Desired, code: str, words: str) -> None:
    board = Board(tmp_path)
    board.want(2, mqtt__health_s=7)
    board.overlay.take(desired)
    standing = board.said[-1]
    assert (standing.phase, standing.error_code, standing.rev_applied) == ("failed", code, 2)
    assert words in standing.error_message
    assert board.health_s == 7.0
    assert Board(tmp_path).health_s == 7.0
    assert board.want(10, mqtt__health_s=8).phase == "applied"


def test_it_survives_a_restart_and_is_forgotten_when_emptied(tmp_path: Path) -> None:
    Board(tmp_path).want(5, mqtt__health_s=7)
    second = Board(tmp_path)
    assert (second.health_s, second.overlay.is_active) == (7.0, True)
    assert (second.said[0].phase, second.said[0].rev_applied) == ("applied", 5)
    second.want(5, mqtt__health_s=9)
    assert second.health_s == 7.0, "the broker brings what it retained"
    standing = second.want(None)
    assert (standing.phase, standing.rev_seen, second.health_s) == ("idle", 0, 60.0)
    assert second.applied[-1] == BASE
    assert not Board(tmp_path).overlay.is_active
    assert second.want(1, mqtt__health_s=9).phase == "applied", "revisions begin anew"


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"{", b"\xff", b"[" * 9000, b'{"rev": 3, "config": {"mqtt.health_s": -1}}', b'{"config": {"a.b": 1}}'],
)
def test_a_damaged_file_leaves_the_settings_of_the_file(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(rubbish)
    board = Board(tmp_path)
    assert board.overlay.config == BASE
    assert (board.said[0].phase, board.said[0].error_code) == ("failed", "not-restored")
    assert board.want(1, mqtt__health_s=9).phase == "applied"
    assert Board(tmp_path).health_s == 9.0


def test_a_wish_that_the_model_cannot_take_is_given_up_until_it_is_said_again(tmp_path: Path) -> None:
    Board(tmp_path).want(5, mqtt__health_s=7.0)
    overlay, said = Overlay(BASE, tmp_path), list[Standing]()
    assert overlay.changes == {"mqtt.health_s": 7.0}
    overlay.give_up(ConfigError("model.classes: the model has no 'unicorn'"))
    assert (overlay.config, overlay.changes, overlay.is_active) == (BASE, {}, False)
    overlay.start(lambda _config, _changes: None, said.append)
    assert (said[-1].phase, said[-1].error_code, said[-1].rev_seen, said[-1].rev_applied) == (
        "failed",
        "not-restored",
        0,
        0,
    )
    overlay.take(Desired(5, {"mqtt.health_s": 7.0}))
    assert (said[-1].phase, said[-1].rev_applied) == ("applied", 5), "the broker says the same again"


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    board = Board(tmp_path / "gone")
    assert board.want(1, mqtt__health_s=9).phase == "applied"
    assert board.health_s == 9.0


def test_nothing_on_the_list_can_cut_the_board_off() -> None:
    known = {row.key for row in all_settings()}
    assert set(LIVE) <= known
    reached_by = ("device.", "runtime.", "zones", "prometheus.", "camera.uri", "model.path", "model.bundle")
    assert not [key for key in LIVE if key.startswith(reached_by) or "host" in key or "_file" in key]
    assert {key for key in LIVE if key.startswith("mqtt.")} == {"mqtt.health_s", "mqtt.profile", "mqtt.resolution_s"}
    assert not_live([*LIVE, "mqtt.host"]) == ["mqtt.host"]
    with pytest.raises(ValueError, match=r"mqtt\.host"):
        overlaid(BASE, {"mqtt.host": "evil"})


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.lists(st.none()))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(LIVE)), values))
def test_any_value_of_a_live_setting_is_taken_or_refused_by_name(changes: dict[str, Any]) -> None:
    board = Board()
    board.overlay.take(Desired(1, changes))
    if board.said[-1].error_code:
        assert board.said[-1].error_code == "bad-config"
        assert any(key in board.said[-1].error_message for key in changes)
        assert board.overlay.config == BASE
    else:
        assert overlaid(board.overlay.config, {}) == board.overlay.config, "what is taken is valid"


@given(st.binary(max_size=80))
def test_rubbish_is_a_problem_not_a_crash(body: bytes) -> None:
    wish = translate.desired(body)
    assert wish.rev is None or json.loads(body)["rev"] == wish.rev
    assert wish.rev is not None or wish.problem or not body


NO_WISH = [
    b"{}",
    b'{"rev": 0}',
    b'{"rev": 1.5}',
    b'{"rev": 1e30}',
    b'{"rev": 1, "config": {"a": {"b": {}}}}',
    b'{"rev": 1, "config": {"a": [["b"]]}}',
    b'{"rev": 1, "x":' + b"[" * 8000,
    b'{"rev": 1}' + b" " * 9000,
]


@pytest.mark.parametrize("body", NO_WISH)
def test_what_is_no_desired_state_is_a_problem(body: bytes) -> None:
    assert translate.desired(body).problem


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"rev": 7, "confg": {"mqtt.health_s": 5}}', "unknown field 'confg'; did you mean 'config'?"),
        (b'{"config": {}}', "'rev' is missing"),
        (b'{"rev": 1, "config": {"log": {"level": "debug"}}}', "give settings by dotted name"),
        (b'{"rev": 1}' + b" " * 9000, "it has 9010 bytes; at most 8192 are read"),
    ],
)
def test_half_a_wish_takes_nothing_back_and_is_told(body: bytes, words: str) -> None:
    board = Board()
    board.want(2, mqtt__health_s=7)
    board.overlay.take(translate.desired(body))
    standing = board.said[-1]
    assert (standing.error_code, standing.rev_applied, board.health_s) == ("bad-desired", 2, 7.0)
    assert words in standing.error_message


def test_parts_that_are_not_built_yet_are_named() -> None:
    assert translate.desired(b'{"rev": 4, "bundle": {}, "sampling": {}}').unsupported == ("sampling", "bundle")
    assert translate.desired(b"") == Desired(None)
