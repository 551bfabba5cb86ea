"""Every sensor fails alone, with a sentence, and is never read as zero."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import MeasureConfig
from agent.errors import ConfigError
from agent.measure import Sensors
from agent.measure.process import CpuMeter
from agent.records import ThermalReading
from tests.measure_trees import ALARM, APEX, POLICY, TREES, WORD, ZONE, Ticking, read, sensors, status, tree, values


def test_memory_is_in_bytes() -> None:
    process = read(TREES / "pi4").process
    assert (process.rss_bytes, process.peak_rss_bytes) == (118404 * 1024, 121880 * 1024)
    assert (process.pss_bytes, process.available_bytes, process.threads) == (104212 * 1024, 3355020 * 1024, 7)


def test_this_machine_is_read_without_a_fault() -> None:
    reading = Sensors(MeasureConfig()).read()
    rss, peak = reading.process.rss_bytes, reading.process.peak_rss_bytes
    assert rss is not None
    assert peak is not None
    assert 5 * 2**20 < rss <= peak < 2**32
    assert (reading.process.available_bytes or 0) > 0
    assert status(reading, "process").ok
    assert status(reading, "pss").ok
    assert Sensors(MeasureConfig()).info().cores >= 1


def test_an_empty_board_has_no_readings_and_no_faults(tmp_path: Path) -> None:
    board = sensors(tmp_path)
    reading = board.read()
    assert reading.thermal == ThermalReading()
    assert [key for key, value in values(reading).items() if value not in (None, (), {})] == [
        "cpu_percent",
        "board_cpu_percent",
    ]
    assert all(s.ok and not s.error for s in reading.sensors)
    info = board.info()
    assert (info.model, info.memory_bytes) == ("unknown", None)
    assert info.cores == os.cpu_count()
    assert board.failures_total == {}


# What a broken file may hold, and a word of the sentence that tells of it.
BROKEN = [
    (b"", "empty"),
    (b" \n", "empty"),
    (b"\0\0\0\0", "empty"),
    (b"warm\n", "no number"),
    (b"48 686\n", "no number"),
    (b"4_8686\n", "no number"),
    (b"nan\n", "no number"),
    (b"0x48\n", "no number"),
    (b"486", "cut"),
    (b"\xff\xfe\x00\n", "no text"),
    (b"4" * 10_000 + b"\n", "longer"),
    (b"-87950\n", "-87.95 C"),
    (b"-89700\n", "-89.7 C"),
    (b"166050\n", "166.05 C"),
    (b"9999999999\n", "no working chip"),
]


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
@pytest.mark.parametrize("where", [("pi4", ZONE, "soc"), ("pc-apex", APEX, "accelerator")])
def test_a_temperature_that_cannot_be_is_a_fault_and_no_reading(
    tmp_path: Path, where: tuple[str, str, str], content: bytes, sentence: str
) -> None:
    board, file, name = where
    root = tree(tmp_path, board)
    (root / file).write_bytes(content)
    reading = read(root)
    assert getattr(reading.thermal, f"{name}_celsius") is None
    assert not status(reading, name).ok
    assert sentence in status(reading, name).error
    assert str(root / file) in status(reading, name).error
    assert [s.name for s in reading.sensors if not s.ok] == [name]


FIELDS_OF = {
    "soc": ["soc_celsius", "sources"],
    "frequency": ["frequency_hz", "sources"],
    "frequency_limit": ["frequency_max_hz"],
    "throttle": ["throttle_bits", "throttled", "throttle_seen_bits", "sources"],
    "voltage": [],  # the word still tells it
    "process": ["rss_bytes", "peak_rss_bytes", "threads"],
    "pss": ["pss_bytes", "uss_bytes"],
    "available_memory": ["available_bytes"],
}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (ZONE, "soc"),
        (f"{POLICY}/cpuinfo_cur_freq", "frequency"),
        (f"{POLICY}/scaling_max_freq", "frequency_limit"),
        (WORD, "throttle"),
        (ALARM, "voltage"),
        ("proc/self/status", "process"),
        ("proc/self/smaps_rollup", "pss"),
        ("proc/meminfo", "available_memory"),
    ],
)
@pytest.mark.parametrize("instead", ["folder", "garbage", "pipe"])
def test_a_sensor_breaks_alone(tmp_path: Path, file: str, name: str, instead: str) -> None:
    root = tree(tmp_path, "pi4")
    whole = read(root)
    (root / file).unlink()
    if instead == "folder":
        (root / file).mkdir()
    elif instead == "pipe":
        os.mkfifo(root / file)
    else:
        (root / file).write_bytes(b"garbage")
    reading = read(root)
    broken = status(reading, name)
    assert not broken.ok
    assert str(root / file) in broken.error
    assert [s.name for s in reading.sensors if not s.ok] == [name]
    lost = [key for key, value in values(whole).items() if values(reading)[key] != value]
    assert lost == FIELDS_OF[name]


@given(junk=st.binary(max_size=64))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30, deadline=None
)
def test_no_content_of_any_file_makes_a_reading_fail(tmp_path: Path, junk: bytes) -> None:
    root = tmp_path / "junk"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(TREES / "pi4", root)
    for file in root.rglob("*"):
        if file.is_file():
            file.write_bytes(junk)
    board = sensors(root)
    thermal_reading = board.read().thermal
    assert thermal_reading.soc_celsius is None
    assert board.info().cores >= 1


@pytest.mark.parametrize(
    ("file", "content", "name", "sentence"),
    [
        (f"{POLICY}/cpuinfo_cur_freq", "0\n", "frequency", "no processor runs at"),
        (f"{POLICY}/cpuinfo_cur_freq", "4294967295000\n", "frequency", "no processor runs at"),
        (WORD, "123456789\n", "throttle", "32 bits"),
        (WORD, "-1\n", "throttle", "no number"),
        (ALARM, "2\n", "voltage", "0 or 1"),
        ("proc/meminfo", "MemTotal: 12 kB\nMemAvail", "available_memory", "MemAvailable"),
        ("proc/self/status", "VmHWM: 5 kB\nVmRSS: 0 kB\nThreads: 1\n", "process", "VmRSS"),
        ("proc/self/status", "VmHWM: 5 kB\nVmRSS: 5 kB\nThreads: 1", "process", "Threads"),
    ],
)
def test_an_impossible_value_is_a_fault(tmp_path: Path, file: str, content: str, name: str, sentence: str) -> None:
    root = tree(tmp_path, "pi4")
    (root / file).write_text(content)
    assert sentence in status(read(root), name).error


def test_a_read_that_fails_names_its_file(tmp_path: Path) -> None:
    root = tree(tmp_path, "pi4")
    (root / ZONE).unlink()
    (root / ZONE).symlink_to("/proc/self/mem")  # opens, and fails when read, as a sensor on a dead bus does
    assert status(read(root), "soc").error == f"{root / ZONE} cannot be read: Input/output error"


def test_the_log_speaks_of_changes_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree(tmp_path, "pc-apex")
    board_sensors = sensors(root)
    with caplog.at_level(logging.INFO, logger="agent.measure"):
        for content in ("46800\n", "-87950\n", "-89700\n", "-87950\n", "46800\n", "46800\n"):
            (root / APEX).write_text(content)
            board_sensors.read()
    assert [(r.levelname, r.getMessage().split(":")[0]) for r in caplog.records] == [
        ("WARNING", "sensor accelerator"),
        ("INFO", "sensor accelerator works again"),
    ]
    assert board_sensors.failures_total == {"accelerator": 3}


def test_what_was_there_and_is_gone_is_a_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree(tmp_path, "pc-apex")
    board_sensors = sensors(root)
    board_sensors.read()
    shutil.rmtree(root / "sys/class/apex")
    with caplog.at_level(logging.INFO, logger="agent.measure"):
        readings = [board_sensors.read() for _ in range(3)]
    assert [r.thermal.accelerator_celsius for r in readings] == [None] * 3
    assert "is gone" in status(readings[-1], "accelerator").error
    assert len(caplog.records) == 1


def test_each_sensor_tells_its_own_duration() -> None:
    reading = read(TREES / "pi4")
    assert {s.duration_s for s in reading.sensors} == {0.25}
    assert len({s.name for s in reading.sensors}) == len(reading.sensors) == 18


def test_a_clock_that_goes_back_gives_no_negative_duration() -> None:
    reading = Sensors(MeasureConfig(sys_root=str(TREES / "pi4")), Ticking(-1.0), Ticking()).read()
    assert all(s.duration_s == 0.0 for s in reading.sensors)
    assert reading.process.cpu_percent is None


def test_the_board_s_load_is_asked_once_before_it_counts() -> None:
    answers = iter([0.0, 37.5])
    board = Sensors(MeasureConfig(sys_root=str(TREES / "pi4")), Ticking(), Ticking(), lambda: next(answers))
    assert board.read().process.board_cpu_percent == 37.5


def test_cpu_percent_is_work_over_time() -> None:
    moments, work = iter([10.0, 12.0, 12.0, 16.0]), iter([1.0, 2.0, 2.0, 8.0])
    cpu = CpuMeter(lambda: next(moments), lambda: next(work))
    assert [cpu.percent(), cpu.percent(), cpu.percent()] == [50.0, None, 150.0]


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_a_root_that_is_no_folder_is_a_wrong_setting(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    if kind == "file":
        root.write_text("")
    with pytest.raises(ConfigError, match=r"measure\.sys_root"):
        sensors(root)
