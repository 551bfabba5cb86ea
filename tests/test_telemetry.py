"""Blind seconds, alarms and the health card."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.config import Config, override
from agent.measure import Sensors
from agent.records import CameraStatus, Health
from agent.telemetry import Blindness, Telemetry
from tests.servers.mosquitto import wait_until


def test_blind_seconds_count_while_there_is_no_picture() -> None:
    blind = Blindness()
    blind.update("starting", 10.0)
    blind.update("streaming", 12.0)
    blind.update("stalled", 20.0)
    blind.update("down", 23.0)
    assert blind.total_s(25.0) == 2.0 + 5.0
    blind.update("streaming", 30.0)
    assert blind.total_s(99.0) == 2.0 + 10.0


@given(st.lists(st.tuples(st.sampled_from(["streaming", "down", "frozen", "ended"]), st.floats(0, 10)), max_size=20))
def test_blind_seconds_never_shrink_and_never_outrun_the_clock(steps: list[tuple[str, float]]) -> None:
    blind, now_s, before_s = Blindness(), 0.0, 0.0
    for state, wait_s in steps:
        blind.update(state, now_s)  # type: ignore[arg-type]
        now_s += wait_s
        total_s = blind.total_s(now_s)
        assert before_s - 1e-9 <= total_s <= now_s + 1e-9
        before_s = total_s


class Broker:
    """Takes down what is published."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def alarm(self, alarm_id: str, message: str | None) -> None:
        self.said.append(("alarm", alarm_id, message))

    def board(self, reading: object) -> None: ...

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
        assert wait_until(lambda: cards() == 2, 5.0)
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
        assert wait_until(lambda: ("health", "down") in broker.said, 5.0)
    finally:
        one.stop()


def test_no_card_before_the_first_reading() -> None:
    one = telemetry(Broker())
    assert one.health() is None
    one.stop()
