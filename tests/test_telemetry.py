"""The telemetry thread: the camera's alarms, the health card, and a model that hangs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agent.config import Config, override
from agent.diary import Diary
from agent.measure import Sensors
from agent.records import CameraStatus, Detections, Frame, FrameResult, Health, StageTimes
from agent.telemetry import Telemetry
from tests.servers.mosquitto import wait_until


class Broker:
    """Takes down what is published."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def alarm(self, alarm_id: str, message: str | None) -> None:
        self.said.append(("alarm", alarm_id, message))

    def board(self, reading: object) -> None: ...

    def event(self, kind: str, data: object = None) -> None: ...

    def health(self, health: Health) -> None:
        self.said.append(("health", health.camera.state))

    def state(self, state: str, reason: str = "") -> None:
        self.said.append(("state", state, reason))


def telemetry(broker: Broker) -> Telemetry:
    config = Config()
    return Telemetry(config, Sensors(config.measure), broker, lambda: CameraStatus("down"))  # type: ignore[arg-type]


def test_a_camera_fault_raises_its_alarm_and_its_end_clears_it() -> None:
    broker = Broker()
    one = telemetry(broker)
    one.camera_changed(CameraStatus("streaming"))
    one.camera_changed(CameraStatus("frozen", "the same picture for 10 s"))
    one.camera_changed(CameraStatus("down", "connection refused"))
    one.camera_changed(CameraStatus("streaming"))
    assert broker.said == [
        ("state", "online", ""),
        ("alarm", "frozen-picture", "camera frozen: the same picture for 10 s"),
        ("state", "degraded", "the same picture for 10 s"),
        ("alarm", "frozen-picture", None),
        ("alarm", "camera", "camera down: connection refused"),
        ("state", "degraded", "connection refused"),
        ("alarm", "camera", None),
        ("state", "online", ""),
    ]


def test_a_camera_fault_is_on_the_card_soon_and_not_after_minutes() -> None:
    broker = Broker()
    config = override(Config(), {"measure.sensors_s": 0.5, "mqtt.health_s": 3600.0})
    sensors = Sensors(config.measure)
    one = Telemetry(config, sensors, broker, lambda: CameraStatus("down"))  # type: ignore[arg-type]

    def cards() -> int:
        return sum(said[0] == "health" for said in broker.said)

    one.start()
    try:
        assert wait_until(lambda: cards() == 1)
        one.camera_changed(CameraStatus("streaming"))
        one.camera_changed(CameraStatus("down", "unplugged"))
        assert wait_until(lambda: cards() == 2)
    finally:
        one.stop()


def test_a_fault_that_comes_while_the_card_is_made_is_not_missed() -> None:
    broker = Broker()
    config = override(Config(), {"measure.sensors_s": 0.5, "mqtt.health_s": 3600.0})
    states = iter([CameraStatus("streaming"), *[CameraStatus("down")] * 100])

    def camera() -> CameraStatus:
        status = next(states)
        if status.state == "streaming":
            one.camera_changed(CameraStatus("down"))
        return status

    one = Telemetry(config, Sensors(config.measure), broker, camera)  # type: ignore[arg-type]
    one.start()
    try:
        assert wait_until(lambda: ("health", "down") in broker.said)
    finally:
        one.stop()


def test_no_card_before_the_first_reading() -> None:
    one = telemetry(Broker())
    assert one.health() is None
    one.stop()


def test_the_diary_is_closed_with_the_reason(tmp_path: Path) -> None:
    config = override(Config(), {"measure.sensors_s": 0.5})
    one = Telemetry(
        config,
        Sensors(config.measure),
        None,
        lambda: CameraStatus("streaming"),
        diary=Diary(tmp_path),
    )
    one.start()
    assert wait_until(lambda: one.reading is not None)
    one.stop("memory-limit")
    page = Diary(tmp_path).former
    assert page is not None
    assert page.ended == "memory-limit"
    assert page.marked_s > 0.0


def test_a_model_that_hangs_is_an_alarm_and_a_degraded_board() -> None:
    broker, now_s, frames = Broker(), [100.0], [1]
    config = Config()
    camera = lambda: CameraStatus("streaming", frames_total=frames[0])  # noqa: E731
    one = Telemetry(config, Sensors(config.measure), broker, camera, lambda: now_s[0])  # type: ignore[arg-type]
    one.camera_changed(CameraStatus("streaming"))
    reading = Sensors(config.measure).read()

    def answer() -> None:
        picture = Frame(np.zeros((2, 2, 3), np.uint8), now_s[0] - 0.05, 1, np.zeros((36, 64), np.uint8))
        one.answered(FrameResult(picture, Detections.empty(), StageTimes(0.05, 0.0, 0.04, 0.0)))

    answer()
    one._judge(reading)
    now_s[0], frames[0] = 111.0, 100
    one._judge(reading)
    one._judge(reading)
    now_s[0] = 120.0
    answer()
    one._judge(reading)
    sentence = "no answer for 10 s: the model or its thread hangs"
    assert broker.said == [
        ("state", "online", ""),
        ("alarm", "latency", sentence),
        ("state", "degraded", sentence),
        ("alarm", "latency", None),
        ("state", "online", ""),
    ]
    one.reading = reading
    card = one.health()
    assert card is not None
    assert card.blind == {"start": 0.0, "invoke": 20.0}
    assert card.blind_s == 20.0
