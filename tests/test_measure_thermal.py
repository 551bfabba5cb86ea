"""Heat, clock and power of every board, and the choices among its files."""

from __future__ import annotations

import doctest
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.measure import thermal
from agent.records import ThermalReading
from tests.measure_trees import ALARM, POLICY, TREES, WORD, ZONE, read, sensors, status, tree

ALL = {"throttle": "sysfs", "soc": "sysfs", "frequency": "sysfs"}
UNTHROTTLED = {"soc": "sysfs", "frequency": "sysfs"}


def heat(soc: float, bits: int | None, hertz: float, span: tuple[float, float], **more: object) -> ThermalReading:
    """What is expected of a tree without a mailbox."""
    low, high = span
    return ThermalReading(
        soc_celsius=soc,
        frequency_hz=hertz,
        frequency_max_hz=high,
        throttle_bits=bits,
        under_voltage=None if bits is None else bool(bits & 1),
        throttled=None if bits is None else bool(bits & 0xE),
        frequency_min_hz=low,
        sources=UNTHROTTLED if bits is None else ALL,
        **({"frequency_hardware_max_hz": high} | more),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pi3", heat(63.914, 0x80008, 1.4e9, (6e8, 1.4e9), throttle_seen_bits=8)),
        ("pi4", heat(48.686, 0x50005, 1.5e9, (6e8, 1.5e9), throttle_seen_bits=5)),
        ("pi5", heat(56.75, 0, 2.4e9, (1.5e9, 2.4e9), throttle_seen_bits=0)),
        ("zero2w", heat(52.616, 0, 1.0e9, (6e8, 1.0e9), throttle_seen_bits=0)),
        ("pc", heat(52.0, None, 2.401e9, (4e8, 4.2e9))),
        (
            "pc-apex",
            heat(
                51.25,
                None,
                3.4e9,
                (1.55e9, 2.8e9),
                accelerator_celsius=46.8,
                frequency_hardware_max_hz=3.4e9,
                nvme_celsius=38.85,
            ),
        ),
    ],
)
def test_each_boards_heat_clock_and_power(name: str, expected: ThermalReading) -> None:
    reading = read(TREES / name)
    assert reading.thermal == expected
    assert [s.error for s in reading.sensors if not s.ok] == []


@pytest.mark.parametrize(("millidegrees", "celsius"), [("-40000", -40.0), ("150000", 150.0), ("-1000", -1.0)])
def test_the_range_of_silicon_is_believed(tmp_path: Path, millidegrees: str, celsius: float) -> None:
    root = tree(tmp_path, "pi4")
    (root / ZONE).write_text(f"{millidegrees}\n")
    assert read(root).thermal.soc_celsius == celsius


@pytest.mark.parametrize("millidegrees", ["-40001", "150001"])
def test_beyond_the_range_of_silicon_is_not(tmp_path: Path, millidegrees: str) -> None:
    root = tree(tmp_path, "pi4")
    (root / ZONE).write_text(f"{millidegrees}\n")
    assert read(root).thermal.soc_celsius is None


@contextmanager
def unprivileged() -> Iterator[None]:
    """File permissions hold for everybody but root."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.fixture
def public_tree() -> Iterator[Callable[[str], Path]]:
    """Like ``tree``, where everybody may look; pytest's own folders are for their owner only."""
    with tempfile.TemporaryDirectory() as name:

        def copy(board: str) -> Path:
            root = Path(shutil.copytree(TREES / board, Path(name) / board))
            for path in (Path(name), root, *root.rglob("*")):
                path.chmod(0o755)
            return root

        yield copy


def test_without_root_the_clock_is_the_one_asked_for(public_tree: Callable[[str], Path]) -> None:
    root = public_tree("pc-apex")
    (root / POLICY / "cpuinfo_cur_freq").chmod(0)
    board_sensors = sensors(root)
    with unprivileged():
        reading = board_sensors.read()
    assert reading.thermal.frequency_hz == 2870196e3
    assert status(reading, "frequency").ok


def test_a_file_that_may_not_be_read_is_a_fault(public_tree: Callable[[str], Path]) -> None:
    root = public_tree("pi4")
    (root / ZONE).chmod(0)
    board_sensors = sensors(root)
    with unprivileged():
        reading = board_sensors.read()
    assert status(reading, "soc").error == f"{root / ZONE} cannot be read: Permission denied"


def test_a_driver_that_does_not_know_the_clock_is_passed_over(tmp_path: Path) -> None:
    root = tree(tmp_path, "pc-apex")
    (root / POLICY / "cpuinfo_cur_freq").write_text("<unknown>\n")
    assert read(root).thermal.frequency_hz == 2870196e3


def test_the_hardwares_limit_stands_in_for_the_policys(tmp_path: Path) -> None:
    root = tree(tmp_path, "pc-apex")
    (root / POLICY / "scaling_max_freq").unlink()
    assert read(root).thermal.frequency_max_hz == 3.4e9


def test_a_pi_5_without_the_word_still_tells_under_voltage(tmp_path: Path) -> None:
    root = tree(tmp_path, "pi5")
    shutil.rmtree(root / "sys/devices/platform")
    (root / ALARM).write_text("1\n")
    thermal_reading = read(root).thermal
    assert (thermal_reading.throttle_bits, thermal_reading.throttled) == (None, None)
    assert thermal_reading.under_voltage is True


def test_the_word_alone_tells_under_voltage_too(tmp_path: Path) -> None:
    root = tree(tmp_path, "pi4")
    shutil.rmtree(root / "sys/class/hwmon")
    assert read(root).thermal.under_voltage is True


@pytest.mark.parametrize(
    ("word", "under_voltage", "throttled"),
    [("1", True, False), ("2", False, True), ("4", False, True), ("8", False, True), ("f0000", False, False)],
)
def test_each_bit_of_the_word(tmp_path: Path, word: str, under_voltage: bool, throttled: bool) -> None:
    root = tree(tmp_path, "zero2w")
    (root / WORD).write_text(f"{word}\n")
    thermal_reading = read(root).thermal
    assert (thermal_reading.under_voltage, thermal_reading.throttled) == (under_voltage, throttled)
    assert thermal_reading.throttle_bits == int(word, 16)


@pytest.mark.parametrize("kind", ["cpu_thermal", "soc-thermal", "x86_pkg_temp", "bcm2835_thermal"])
def test_the_processors_zone_is_found_by_its_type_not_its_number(tmp_path: Path, kind: str) -> None:
    root = tree(tmp_path, "pi4")
    shutil.rmtree(root / "sys/class/hwmon")
    (root / "sys/class/thermal/thermal_zone0/type").write_text("iwlwifi_1\n")
    zone = root / "sys/class/thermal/thermal_zone1"
    zone.mkdir()
    (zone / "type").write_text(f"{kind}\n")
    (zone / "temp").write_text("61500\n")
    assert read(root).thermal.soc_celsius == 61.5


def test_the_mainboards_zone_is_not_the_processor(tmp_path: Path) -> None:
    root = tree(tmp_path, "pc")
    shutil.rmtree(root / "sys/class/thermal/thermal_zone1")
    shutil.rmtree(root / "sys/class/hwmon/hwmon1")
    assert read(root).thermal.soc_celsius is None


def test_a_chip_stands_in_for_the_zone(tmp_path: Path) -> None:
    root = tree(tmp_path, "pc")
    shutil.rmtree(root / "sys/class/thermal")
    assert read(root).thermal.soc_celsius == 52.0


def test_the_die_is_preferred_to_the_control_value(tmp_path: Path) -> None:
    root = tree(tmp_path, "pc-apex")
    assert read(root).thermal.soc_celsius == 51.25
    (root / "sys/class/hwmon/hwmon1/temp2_label").unlink()
    assert read(root).thermal.soc_celsius == 71.25


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(thermal).failed == 0
    assert doctest.testmod(thermal).attempted > 0
