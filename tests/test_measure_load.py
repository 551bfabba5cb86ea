"""Who else ran, and what it cost: from a made-up /proc and /sys, and from this machine's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.bench.observe import Observer
from agent.config import MeasureConfig
from agent.measure import EnergyMeter, Load, Sensors, read_load
from tests.bench_fakes import Time, tree

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
STAT = "cpu  100 20 30 4000 50 6 7 80 9 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n"
RAPL = "sys/class/powercap/intel-rapl"


def test_busy_time_is_that_of_all_and_neither_idle_nor_stolen(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/stat": STAT, "proc/self/task/1/schedstat": "5 1000000000 3\n"})
    tree(tmp_path, {"proc/self/task/2/schedstat": "5 500000000 3\n"})
    found = read_load(tmp_path, lambda: 7.0)
    assert found.busy_s == pytest.approx((100 + 20 + 30 + 6 + 7) * TICK_S)
    assert found.stolen_s == pytest.approx(80 * TICK_S)
    assert (found.own_s, found.waited_s) == (7.0, 1.5)


@pytest.mark.parametrize("text", ["", "cpu  1 2\n", "cpu  a b c d e f g h\n", "cpu  1 2 3 4 5 6 7 8", "\xff" * 9])
def test_a_table_that_is_damaged_is_not_believed(tmp_path: Path, text: str) -> None:
    tree(tmp_path, {"proc/stat": text, "proc/self/task/1/schedstat": "5 6\n"})
    assert read_load(tmp_path, lambda: 0.0) == Load(None, None, 0.0, None)


def test_a_kernel_without_these_files_tells_nothing(tmp_path: Path) -> None:
    assert read_load(tmp_path, lambda: 1.0) == Load(None, None, 1.0, None)


def test_this_machine_tells() -> None:
    found = read_load(Path("/"))
    assert found.busy_s is not None
    assert found.busy_s > found.own_s


def test_energy_is_the_packages_sum_and_survives_an_overflow(tmp_path: Path) -> None:
    for number in (0, 1):
        tree(tmp_path, {f"{RAPL}:{number}/name": f"package-{number}\n"})
        tree(tmp_path, {f"{RAPL}:{number}/max_energy_range_uj": "999999\n"})
        tree(tmp_path, {f"{RAPL}:{number}/energy_uj": "900000\n"})
    tree(tmp_path, {f"{RAPL}:0:0/name": "core\n", f"{RAPL}:0:0/energy_uj": "5\n"})
    meter = EnergyMeter(tmp_path)
    tree(tmp_path, {f"{RAPL}:0/energy_uj": "950000\n", f"{RAPL}:1/energy_uj": "100000\n"})
    assert meter.joules() == pytest.approx(0.05 + 0.2)
    assert meter.joules() == 0.0


def test_no_energy_is_none_and_a_refusal_is_none(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path).joules() is None
    tree(tmp_path, {f"{RAPL}:0/name": "package-0\n", f"{RAPL}:0/max_energy_range_uj": "9\n"})
    tree(tmp_path, {f"{RAPL}:0/energy_uj": "garbage\n"})
    assert EnergyMeter(tmp_path).joules() is None


def test_others_are_what_is_left_when_our_own_time_is_taken_away(tmp_path: Path) -> None:
    clock = Time()
    loads = iter([Load(0.0, 0.0, 0.0, 0.0), Load(100.0, 5.0, 10.0, 1.0), Load(104.0, 5.2, 11.0, 1.1)])
    sensors = Sensors(MeasureConfig(sys_root=str(tmp_path)), clock)
    observer = Observer(sensors, tmp_path, clock, lambda _: next(loads))
    observer.begin()
    clock.now_s += 2.0
    seen = observer.end()
    assert seen.own_cores == pytest.approx(0.5)
    assert seen.others_cores == pytest.approx(1.5)
    assert seen.stolen_share == pytest.approx(0.1)
    assert seen.waited_share == pytest.approx(0.05)


def test_no_time_has_passed_no_share_is_told(tmp_path: Path) -> None:
    clock = Time()
    sensors = Sensors(MeasureConfig(sys_root=str(tmp_path)), clock)
    observer = Observer(sensors, tmp_path, clock, lambda _: Load(1.0, 1.0, 1.0, 1.0))
    assert observer.end().others_cores is None
