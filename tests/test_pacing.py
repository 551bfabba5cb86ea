"""The governor's word on its way: to the camera, the card, the broker and the log."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from agent.config import GovernorConfig
from agent.pacing import Pacing, heat_of
from agent.publish import contract, translate
from agent.records import BoardReading, CameraStatus, Health, Pace, ProcessReading, ThermalReading
from tests.publish_fakes import perf_report, stamp

QUEUE = contract.QueueCard(rows=0, bytes=0, oldest_s=0.0)
TOTALS: Any = {
    "published": 0,
    "acked": 0,
    "merged": 0,
    "dropped": {},
    "refused": {},
    "bytes_out": {},
    "disk_bytes_written": 0,
    "disk_faults": 0,
}


class Broker:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))


def card(at_s: float, celsius: float | None, pace: Pace | None = None) -> Health:
    reading = BoardReading(at_s, ProcessReading(), ThermalReading(soc_celsius=celsius, throttled=False))
    return Health(at_s, 20.0, CameraStatus("streaming"), reading, 0.0, perf_report().stages, pace=pace or Pace())


def run(mode: str, celsius: list[float | None]) -> tuple[Any, Broker, Pacing]:
    camera, broker = SimpleNamespace(interval_s=0.0), Broker()
    pacing = Pacing(GovernorConfig(mode=mode), "Raspberry Pi 4", camera, broker)  # type: ignore[arg-type]
    for tick, value in enumerate(celsius):
        pacing.take(card(5.0 * tick, value))
    return camera, broker, pacing


def test_act_paces_the_camera_and_tells_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "agent.governor"):
        camera, broker, pacing = run("act", [82.0] * 6)
    assert camera.interval_s == pacing.pace.interval_s > 1 / 20
    (kind, data), *more = broker.events
    assert kind == "paced"
    assert not more
    assert data["acted"] is True
    assert data["state"] == "paced"
    assert data["fps"] < 20
    assert "C is the target" in data["why"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "takes at most" in caplog.text


def test_its_end_is_told_too_and_the_camera_is_free() -> None:
    camera, broker, _ = run("act", [82.0] * 6 + [60.0] * 60)
    assert camera.interval_s == 0.0
    assert [data["state"] for _, data in broker.events] == ["paced", "free"]


def test_advice_leaves_the_camera_alone() -> None:
    camera, broker, _ = run("advise", [82.0] * 30)
    assert camera.interval_s == 0.0
    assert [(data["state"], data["acted"]) for _, data in broker.events] == [("paced", False)]


def test_a_machine_without_a_sensor_hears_of_it_once() -> None:
    camera, broker, _ = run("act", [None] * 200)
    assert [data["state"] for _, data in broker.events] == ["blind"]
    assert camera.interval_s == 0.0


def test_the_governor_is_told_what_the_board_says() -> None:
    heat = heat_of(card(7.0, 66.0))
    assert (heat.at_s, heat.soc_celsius, heat.throttled, heat.fps) == (7.0, 66.0, False, 20.0)
    assert heat.invoke_p50_s == perf_report().stages["invoke"].p50_s


def test_the_card_tells_the_pace_and_says_nothing_while_there_is_none() -> None:
    pace = Pace("paced", 0.1, 0.7, True, "80 C; 79 C is the target")
    told = msgspec.to_builtins(translate.health(stamp(), card(1.0, 80.0, pace), QUEUE, TOTALS))
    assert (told["pace"], told["pace_fps"], told["pace_acted"]) == ("paced", 10.0, True)
    assert told["pace_reason"] == pace.why
    free = msgspec.to_builtins(translate.health(stamp(), card(1.0, 60.0), QUEUE, TOTALS))
    assert not [name for name in free if name.startswith("pace")]


def test_other_settings_are_taken_with_the_next_reading_and_what_was_held_back_is_let_go() -> None:
    camera, broker, pacing = run("act", [82.0] * 6)
    held_s = camera.interval_s
    pacing.reconfigure(GovernorConfig(mode="off"))
    assert camera.interval_s == held_s, "on the thread of the readings, not on whoever's called"
    pacing.take(card(31.0, 82.0))
    assert camera.interval_s == 0.0
    assert [data["state"] for _, data in broker.events] == ["paced", "free"]
    pacing.reconfigure(GovernorConfig(mode="off"))
    pacing.reconfigure(GovernorConfig(mode="act"))
    for tick in range(6):
        pacing.take(card(40.0 + 5.0 * tick, 84.0))
    assert camera.interval_s == pacing.pace.interval_s > 0.0, "the newest word counts"


def test_an_event_tells_the_rate_and_the_share_that_are_in_force() -> None:
    _, broker, _ = run("act", [82.0] * 6)
    data = broker.events[0][1]
    assert data["share"] < 1.0
    assert data["fps"] == pytest.approx(20.0 * data["share"], abs=0.02)
