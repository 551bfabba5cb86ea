"""The text format, as its own parser reads it; the file and the page that carry it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent import config as settings
from agent import service
from agent.config import Config, PrometheusConfig, parse
from agent.errors import ConfigError, UnavailableError
from agent.prometheus import Exposition
from agent.publish import PublisherStatus
from agent.records import (
    BoardReading,
    CameraStatus,
    EpisodeTotal,
    Health,
    MemoryGrowth,
    ProcessReading,
    SensorStatus,
    ThermalReading,
)
from tests.publish_fakes import Clock, health, perf_report
from tests.servers.mosquitto import free_port

FACTS = {"version": "0.1.0", "site": "home", "device": "cam1", "model": 'a "b"\n'}
CARD = replace(health(), stages=perf_report().stages)
BARE = Health(1.0, None, CameraStatus("down"), BoardReading(1.0, ProcessReading(), ThermalReading()), 0.0)
MQTT = PublisherStatus(connected=True, queue_rows=3, dropped={"m/perf": 2}, bytes_out={"health": 500, "d": 7})

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def plain(found: Samples) -> dict[str, float]:
    return {name: value for (name, labels), value in found.items() if not labels}


def read(path: Path) -> Samples:
    return samples(path.read_text())


def exposition(clock: Clock | None = None, **changes: object) -> Exposition:
    return Exposition(PrometheusConfig(**changes), FACTS, clock or Clock())  # type: ignore[arg-type]


def test_the_file_has_every_figure_of_the_card(tmp_path: Path) -> None:
    path = tmp_path / "edge.prom"
    exposition(textfile=str(path)).take(CARD, MQTT)
    found = read(path)
    figures = plain(found)
    assert figures["edge_agent_frames_per_second"] == 12.4
    assert figures["edge_agent_soc_temperature_celsius"] == 61.3
    assert figures["edge_agent_camera_frames_total"] == 744
    assert figures["edge_agent_blind_seconds_total"] == 1.5
    assert figures["edge_agent_camera_up"] == 1.0
    assert figures["edge_agent_mqtt_queue_messages"] == 3
    assert found["edge_agent_mqtt_dropped_total", (("class", "m/perf"),)] == 2
    assert found["edge_agent_mqtt_sent_bytes_total", (("class", "d"),)] == 7
    p99 = CARD.stages["total"].p99_s
    assert found["edge_agent_stage_seconds", (("quantile", "0.99"), ("stage", "total"))] == p99
    assert found["edge_agent_info", tuple(sorted(FACTS.items()))] == 1


def test_what_was_judged_is_shown_by_cause(tmp_path: Path) -> None:
    path = tmp_path / "edge.prom"
    heat = ThermalReading(pmic_celsius=44.9, fan_rpm=2900, frequency_max_hz=1.5e9)
    failed = SensorStatus("accelerator", False, 0.0, "-89.7 C", 3)
    card = replace(
        CARD,
        board=BoardReading(1.0, ProcessReading(uss_bytes=5, cgroup_bytes=7), heat, (failed,)),
        blind={"camera": 12.5},
        episodes={"throttled": EpisodeTotal(2, 61.0)},
        growth=MemoryGrowth(10.0, -5.0, 25.0, 7200.0),
        planned_restarts=1,
    )
    exposition(textfile=str(path)).take(card, None)
    found, figures = read(path), plain(read(path))
    assert found["edge_agent_blind_cause_seconds_total", (("cause", "camera"),)] == 12.5
    assert found["edge_agent_held_episodes_total", (("cause", "throttled"),)] == 2
    assert found["edge_agent_held_seconds_total", (("cause", "throttled"),)] == 61.0
    assert found["edge_agent_sensor_failures_total", (("sensor", "accelerator"),)] == 3
    assert (figures["edge_agent_pmic_temperature_celsius"], figures["edge_agent_fan_rpm"]) == (44.9, 2900)
    assert (figures["edge_agent_private_memory_bytes"], figures["edge_agent_cgroup_memory_bytes"]) == (5, 7)
    assert figures["edge_agent_memory_growth_bytes_per_hour"] == 10.0
    assert figures["edge_agent_planned_restarts_total"] == 1


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "edge.prom"
    exposition(textfile=str(path)).take(BARE, None)
    figures = plain(read(path))
    assert figures["edge_agent_camera_up"] == 0.0
    assert not [name for name in figures if "celsius" in name or "per_second" in name or "mqtt" in name]


def test_the_file_is_replaced_whole_readable_for_others_and_not_too_often(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "edge.prom"
    one = exposition(clock, textfile=str(path), interval_s=15.0)
    before = os.umask(0o077)  # as a unit may have it
    try:
        one.take(CARD, None)
    finally:
        os.umask(before)
    first = path.stat()
    assert first.st_mode & 0o777 == 0o644
    clock.now_s += 14.0
    one.take(replace(CARD, uptime_s=70.0), None)
    assert plain(read(path))["edge_agent_uptime_seconds"] == 60.0
    clock.now_s += 1.0
    one.take(replace(CARD, uptime_s=75.0), None)
    assert plain(read(path))["edge_agent_uptime_seconds"] == 75.0
    assert path.stat().st_ino != first.st_ino, "renamed, not written over"
    assert list(tmp_path.iterdir()) == [path]
    one.stop()
    assert not path.exists(), "what has ended is not shown as present"


def test_a_file_that_cannot_be_written_is_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, folder = Clock(), tmp_path / "later"
    one = exposition(clock, textfile=str(folder / "edge.prom"), interval_s=1.0)
    nowhere = exposition(clock, textfile=str(tmp_path / "absent" / "edge.prom"))
    nowhere.take(CARD, None)
    nowhere.stop()
    caplog.clear()
    for _ in range(3):
        one.take(CARD, None)
        clock.now_s += 1.0
    assert len([record for record in caplog.records if "No such file" in record.message]) == 1
    folder.mkdir()
    with caplog.at_level(logging.INFO):
        one.take(CARD, None)
    assert "written again" in caplog.text
    assert plain(read(folder / "edge.prom"))["edge_agent_textfile_failures_total"] == 3


def test_the_page_is_on_loopback_and_goes_with_the_agent() -> None:
    port = free_port()
    one = exposition(listen=f"localhost:{port}")
    one.start()
    try:
        one.take(CARD, None)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
            assert plain(samples(page.read().decode()))["edge_agent_uptime_seconds"] == 60.0
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}: Address already in use"):
            exposition(listen=f"127.0.0.1:{port}").start()
    finally:
        one.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30)


@pytest.mark.parametrize("listen", ["0.0.0.0:9101", "192.168.1.7:9101", "9101", "127.0.0.1", "[::]:80", "127.0.0.1:0"])
def test_an_address_beyond_loopback_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"prometheus\.listen: .*give a port on loopback"):
        parse(f'[prometheus]\nlisten = "{listen}"')


@pytest.mark.parametrize("listen", ["127.0.0.1:9101", "localhost:9101", "[::1]:9101", "127.9.9.9:1"])
def test_an_address_on_loopback_is_taken(listen: str) -> None:
    assert parse(f'[prometheus]\nlisten = "{listen}"').prometheus.address[1] in {9101, 1}


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prometheus\.textfile"):
        parse('[prometheus]\ntextfile = "/run/edge.txt"')


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UnavailableError, match=r"pip install 'edge-agent\[prometheus\]'") as refused:
        exposition(textfile="x.prom")
    assert refused.value.exit_code == 75


def test_a_running_agent_shows_itself_without_a_broker(tmp_path: Path) -> None:
    path, port = tmp_path / "edge.prom", free_port()
    config = settings.override(
        Config(),
        {
            "model.bundle": "demo:",
            "camera.uri": "demo:",
            "device.state_dir": str(tmp_path / "state"),
            "measure.window_s": 1.0,
            "measure.sensors_s": 0.5,
            "prometheus.textfile": str(path),
            "prometheus.interval_s": 1.0,
            "prometheus.listen": f"127.0.0.1:{port}",
        },
    )
    shown: list[Samples] = []

    def look(_: object) -> None:
        if not shown and path.exists() and "edge_agent_frames_per_second" in path.read_text():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
                shown.append(samples(page.read().decode()))
            signal.raise_signal(signal.SIGINT)

    service.run(config, limits=service.Limits(seconds=60.0), on_result=look)
    assert plain(shown[0])["edge_agent_frames_per_second"] > 0
    assert any(labels and dict(labels).get("model", "").startswith("demo-parts") for _, labels in shown[0])
    assert not path.exists()
