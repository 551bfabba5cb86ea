"""The service: limits, state folder, board id, and the whole way to a real broker."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent import board, service
from agent import config as settings
from agent.bundle import Manifest, generate_key, make
from agent.config import Config
from agent.errors import CameraError, ModelError, RestartError
from agent.parts import Parts
from agent.records import FrameResult
from tests.cases import COCO, make_clip
from tests.conftest import NewThreads
from tests.servers.mosquitto import free_port, wait_until


@pytest.fixture(scope="module")
def clip(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "dogs.avi", assets / "images/misc/pets.jpg", 10)


def config_for(assets: Path, clip: Path, **changes: object) -> Config:
    base = {"model.path": str(assets / COCO), "camera.uri": str(clip), "camera.pace": "fast"}
    return settings.override(Config(), base | {key.replace("__", "."): value for key, value in changes.items()})


def test_every_frame_of_a_file_is_answered_once_and_in_order(assets: Path, clip: Path) -> None:
    results: list[FrameResult] = []
    summary = service.run(config_for(assets, clip), on_result=results.append)
    assert [result.frame.sequence for result in results] == list(range(1, 11))
    assert (summary.perf.frames, summary.ended, summary.camera.dropped_total) == (10, "end of file", 0)
    assert summary.perf.detections == sum(len(result.detections) for result in results)
    assert summary.first_detection_s is not None


def test_no_thread_is_left_behind(assets: Path, clip: Path, new_threads: NewThreads) -> None:
    service.run(config_for(assets, clip), limits=service.Limits(frames=2))
    assert not [name for name in ("camera", "telemetry", "mqtt") if new_threads(name)]


def test_memory_over_its_limit_ends_the_run_between_two_frames(
    assets: Path, clip: Path, new_threads: NewThreads
) -> None:
    later_s, results = [0.0], []

    def answer(result: FrameResult) -> None:
        results.append(result)
        later_s[0] = 4000.0

    config = config_for(assets, clip, camera__loop=True, measure__memory_limit_bytes=1, measure__sensors_s=0.5)
    with pytest.raises(RestartError, match=r"measure\.memory_limit_bytes") as ended:
        service.run(config, on_result=answer, clock=lambda: time.monotonic() + later_s[0])
    assert ended.value.exit_code == 75
    assert results
    assert not [name for name in ("camera", "telemetry", "mqtt") if new_threads(name)]


def test_a_main_thread_that_hangs_is_noticed_from_the_telemetry_thread(
    assets: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = 0

    def hang(_: FrameResult) -> None:
        nonlocal frames
        frames += 1
        if frames == 3:
            assert wait_until(lambda: "latency: no answer for 1 s" in caplog.text, 20.0)

    config = config_for(assets, clip, camera__loop=True, measure__hung_s=1.0, measure__sensors_s=0.5)
    summary = service.run(config, on_result=hang, limits=service.Limits(frames=10))
    assert summary.blind_s > 1.0
    assert summary.perf.frames == 10


def test_an_error_in_the_callback_still_stops_every_thread(assets: Path, clip: Path, new_threads: NewThreads) -> None:
    def fail(_: FrameResult) -> None:
        raise CameraError("as if")

    with pytest.raises(CameraError, match="as if"):
        service.run(config_for(assets, clip), on_result=fail)
    assert not [name for name in ("camera", "telemetry", "mqtt") if new_threads(name)]


def test_a_bundle_runs_like_its_files(assets: Path, clip: Path, tmp_path: Path) -> None:
    key = generate_key()
    (tmp_path / "key.pub").write_text(key.public.text())
    manifest = Manifest(name="coco-ssd", version="1.0", seq=1, files={}, score_threshold=0.6)
    files = {"model.tflite": assets / COCO, "labels.txt": assets / "labels/coco_labels.txt"}
    bundle = make(tmp_path / "coco-ssd-1.0.bundle", manifest, files, key).path
    changes = {"model__path": "", "model__bundle": str(bundle), "device__state_dir": str(tmp_path / "state")}
    config = config_for(assets, clip, **changes, model__trusted_keys=[str(tmp_path / "key.pub")])
    results: list[FrameResult] = []
    summary = service.run(config, on_result=results.append)
    assert summary.model == "coco-ssd 1.0"
    scores = [float(score) for result in results for score in result.detections.confidence]
    assert scores
    assert min(scores) >= 0.6, "the manifest's threshold holds"

    (tmp_path / "other.pub").write_text(generate_key().public.text())
    with pytest.raises(ModelError, match="signed by key"):
        board.ready_model(settings.override(config, {"model.trusted_keys": [str(tmp_path / "other.pub")]}))


def test_the_board_id_is_the_setting_or_made_from_host_and_machine(tmp_path: Path) -> None:
    named = settings.override(Config(), {"device.id": "door-7"})
    assert board.device_id(named) == "door-7"
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("0123456789abcdef\n")
    second.write_text("fedcba9876543210\n")
    one, other = board.device_id(Config(), first), board.device_id(Config(), second)
    assert one != other, "two boards with one host name do not take each other's place"
    assert one == board.device_id(Config(), first)
    assert set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert board.device_id(Config(), tmp_path / "none")


def test_a_state_folder_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    good = settings.override(Config(), {"device.state_dir": str(tmp_path / "a" / "b")})
    assert board.state_dir(good) == tmp_path / "a" / "b"
    (tmp_path / "file").touch()
    bad = settings.override(Config(), {"device.state_dir": str(tmp_path / "file" / "b")})
    assert board.state_dir(bad) is None
    assert board.state_trouble(good) == ""
    assert board.state_trouble(bad).endswith("/file/b: Not a directory")


def test_a_state_folder_that_cannot_be_written_is_an_alarm(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    changes = {"device.state_dir": str(tmp_path / "file" / "state"), "camera.uri": "demo:", "model.bundle": "demo:"}
    mqtt = {"mqtt.host": "127.0.0.1", "mqtt.port": free_port()}
    with Parts(settings.override(Config(), {**changes, **mqtt}), time.monotonic) as parts:
        assert parts.publisher is not None
        alarms = parts.publisher._session._cards.alarms
        assert wait_until(lambda: "disk" in alarms)
    good = {"device.state_dir": str(tmp_path / "state")}
    with Parts(settings.override(Config(), {**changes, **mqtt, **good}), time.monotonic) as parts:
        assert parts.publisher is not None
        parts.publisher.alarm("marker", "said after it")
        alarms = parts.publisher._session._cards.alarms
        assert wait_until(lambda: "marker" in alarms)
        assert "disk" not in alarms


def test_a_bundle_that_cannot_be_unpacked_there_goes_into_a_passing_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "slots").touch()
    config = settings.override(Config(), {"device.state_dir": str(tmp_path), "model.bundle": "demo:"})
    placed = Path(board.placed_model(config).config.model.path)
    assert placed.is_file()
    assert tmp_path not in placed.parents
    assert "it is unpacked into a temporary folder" in caplog.text
