"""Rules: what counts as an object under the settings in force, made whole or not at all."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from agent import config as settings
from agent import service
from agent.board import ready_model
from agent.camera import Camera
from agent.config import Config
from agent.desired import FILE_NAME
from agent.errors import ConfigError
from agent.measure import Meter
from agent.parts import Parts
from agent.pipeline import Model, Pipeline
from agent.records import Desired, Detections, Outputs, Placement
from agent.rules import in_force, make_rules
from tests.servers.mosquitto import free_port, wait_until

BROKER = settings.override(Config(), {"mqtt.host": "broker", "detections.mode": "change", "model.bundle": "demo:"})


@pytest.fixture(scope="module")
def model() -> Model:
    """One whose manifest says 0.6."""
    found = ready_model(BROKER)
    return replace(found, settings=msgspec.structs.replace(found.settings, score_threshold=0.6))


def wished(**changes: Any) -> tuple[Config, dict[str, Any]]:
    wish = {key.replace("__", "."): value for key, value in changes.items()}
    return settings.overlaid(BROKER, wish), wish


def counted(model: Model, **changes: Any) -> int:
    """How many of three objects of one class, of 0.9, 0.55 and 0.3, count."""
    rules = make_rules(model, *wished(**changes))
    boxes = np.array([[[0.1, 0.1, 0.2, 0.2], [0.3, 0.3, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9]]], np.float32)
    scores = np.array([[0.9, 0.55, 0.3]], np.float32)
    answer = Outputs(boxes, scores, np.zeros((1, 3), np.float32), np.array([3], np.float32))
    return len(rules.postprocess(answer, Placement(320, 240)))


def test_what_is_desired_wins_over_file_and_manifest_even_where_it_is_the_default(model: Model) -> None:
    first = sorted(set(model.labels.names.values()))
    name, other = model.labels.name(0), next(label for label in first if label != model.labels.name(0))
    assert counted(model) == 1
    assert counted(model, model__score_threshold=0.5) == 2
    assert counted(model, model__score_threshold=0.2) == 3
    assert counted(model, model__score_threshold=0.2, model__min_size=0.2) == 1
    assert counted(model, model__class_thresholds={name: 0.2}) == 3
    assert counted(model, model__classes=[other]) == 0


def test_what_really_counts_shows_in_the_digest(model: Model) -> None:
    def digest(**changes: Any) -> str:
        config, wish = wished(**changes)
        return settings.digest(in_force(config, make_rules(model, config, wish)))

    found = [
        digest(),
        digest(model__score_threshold=0.5),
        digest(model__score_threshold=0.2),
        digest(model__min_size=0.2),
        digest(model__classes=[model.labels.name(0)]),
        digest(model__class_thresholds={model.labels.name(0): 0.2}),
    ]
    assert len(set(found)) == len(found)
    assert digest(model__score_threshold=0.6) == found[0]


@pytest.mark.parametrize("key", ["model__classes", "detections__classes"])
def test_a_class_that_the_model_does_not_know_makes_no_rules(model: Model, key: str) -> None:
    with pytest.raises(ConfigError, match="unicorn"):
        make_rules(model, *wished(**{key: ["unicorn"]}))


def test_what_is_told_goes_on_where_only_the_judging_changes(model: Model) -> None:
    before = make_rules(model, BROKER, {})
    assert before.presence is not None
    assert make_rules(model, *wished(model__score_threshold=0.2), before).presence is before.presence
    assert make_rules(model, *wished(detections__hold_s=9.0), before).presence is not before.presence
    assert make_rules(model, *wished(detections__mode="off"), before).presence is None


@pytest.mark.parametrize("wish", [{"model.classes": ["unicorn"]}, {"detections.classes": ["unicorn"]}])
def test_a_wish_of_another_model_does_not_keep_the_board_from_its_start(
    wish: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"rev": 7, "config": wish}))
    changes = {"device.state_dir": str(tmp_path), "camera.uri": "demo:", "mqtt.host": "127.0.0.1"}
    config = settings.override(BROKER, {**changes, "mqtt.port": free_port()})
    summary = service.run(config, limits=service.Limits(frames=2))
    assert summary.perf.frames == 2
    assert "what was desired before is not in force" in caplog.text
    with pytest.raises(ConfigError, match="unicorn"):
        service.run(settings.override(config, wish), limits=service.Limits(frames=2))


@pytest.mark.parametrize(("wish", "counts"), [({}, True), ({"model.score_threshold": 1.0}, False)])
def test_a_wish_of_before_is_in_force_from_the_first_frame(wish: dict[str, Any], counts: bool, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"rev": 7, "config": wish}))
    changes = {"device.state_dir": str(tmp_path), "camera.uri": "demo:", "camera.pace": "fast"}
    config = settings.override(BROKER, {**changes, "mqtt.host": "127.0.0.1", "mqtt.port": free_port()})
    assert bool(service.run(config, limits=service.Limits(frames=60)).perf.detections) == counts


def test_all_of_a_revision_is_put_in_force_or_nothing(tmp_path: Path) -> None:
    changes = {"device.state_dir": str(tmp_path), "camera.uri": "demo:", "mqtt.host": "127.0.0.1"}
    config = settings.override(BROKER, {**changes, "mqtt.port": free_port()})
    with Parts(config, time.monotonic) as parts:
        first = parts.rules
        digests = [parts.identity().config_sha256]
        wish = {"model.score_threshold": 0.9, "detections.hold_s": 7.0, "measure.window_s": 3.0, "camera.black_s": 0.0}
        parts.overlay.take(Desired(1, wish))
        assert (parts.meter.window_s, parts.config.measure.window_s) == (3.0, 3.0)
        assert parts.presence is first.presence, "the main thread has not taken them yet"
        assert wait_until(lambda: parts.camera.read(0.1) is not None and parts.camera.status().state == "streaming")
        taken = parts.take_rules()
        assert taken.presence is not None
        assert not taken.presence._trouble, "it is told at once how the camera is"
        assert not parts.fresh
        assert (taken.judging.score_threshold, taken.telling.hold_s) == (0.9, 7.0)
        assert parts.presence is taken.presence is not first.presence
        digests.append(parts.identity().config_sha256)

        parts.overlay.take(Desired(2, {"measure.window_s": 9.0, "model.classes": ["unicorn"]}))
        assert not parts.fresh
        assert (parts.meter.window_s, parts.config.measure.window_s) == (3.0, 3.0)
        assert parts.identity().config_sha256 == digests[1]

        parts.overlay.take(Desired(3, {"detections.mode": "off"}))
        parts.overlay.take(Desired(4, {"detections.mode": "off", "measure.window_s": 4.0}))
        assert len(parts.fresh) == 1, "only the newest counts"
        assert parts.take_rules().presence is parts.presence is None
        parts.overlay.take(Desired(None))
        assert parts.take_rules().judging == first.judging
        assert parts.identity().config_sha256 == digests[0] != digests[1]
        assert parts.meter.window_s == config.measure.window_s
    assert json.loads((tmp_path / FILE_NAME).read_bytes())["config"] == {}


def test_every_part_hears_of_it(tmp_path: Path) -> None:
    changes = {"device.state_dir": str(tmp_path), "camera.uri": "demo:", "mqtt.host": "127.0.0.1"}
    config = settings.override(BROKER, {**changes, "mqtt.port": free_port(), "homeassistant.enabled": True})
    with Parts(config, time.monotonic) as parts:
        publisher, pictures, watch = parts.publisher, parts.remote._pictures, parts.camera._feed.watch
        assert publisher is not None
        assert pictures is not None
        assert publisher._session._home is not None
        home = publisher._session._home
        assert (pictures._period_s, watch._black_s, home._plan.health_s) == (0.0, 5.0, 300.0)
        wish = {"homeassistant.snapshot_s": 9.0, "camera.black_s": 2.0, "mqtt.health_s": 60.0, "mqtt.profile": "live"}
        parts.overlay.take(Desired(1, wish))
        assert (pictures._period_s, watch._black_s) == (9.0, 2.0)
        assert wait_until(lambda: home._plan.health_s == 60.0), "announced anew"
        assert wait_until(lambda: not publisher._session._order._profile.batch_s)
        parts.overlay.take(Desired(None))
        assert (pictures._period_s, watch._black_s) == (0.0, 5.0)
        assert wait_until(lambda: home._plan.health_s == 300.0)
    with Parts(settings.override(config, {"homeassistant.snapshot_s": 7.0}), time.monotonic) as parts:
        assert parts.remote._pictures is not None
        assert parts.remote._pictures._period_s == 7.0


def test_the_loop_judges_by_new_rules_from_the_next_frame_on(model: Model) -> None:
    camera = Camera(settings.override(BROKER, {"camera.uri": "demo:", "camera.pace": "fast"}).camera)
    camera.start()
    try:
        pipeline = Pipeline(camera, model, Meter(time.monotonic, 10.0))
        assert any(len(found(pipeline)) for _ in range(60)), "something lies on the belt"
        pipeline.judge_by(make_rules(model, *wished(model__score_threshold=1.0)).postprocess)
        assert not any(len(found(pipeline)) for _ in range(60))
    finally:
        camera.stop()


def found(pipeline: Pipeline) -> Detections:
    result = pipeline.step(5.0)
    assert result is not None
    return result.detections
