"""Recorded boards for the tests of agent.measure: copies to break, and clocks that move when asked."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from agent.config import MeasureConfig
from agent.measure import Sensors
from agent.records import BoardReading, SensorStatus

TREES = Path(__file__).parent / "fixtures" / "sysfs"
NAMES = ("pi3", "pi4", "pi5", "zero2w", "pc", "pc-apex")
ZONE = "sys/class/thermal/thermal_zone0/temp"
APEX = "sys/class/apex/apex_0/temp"
POLICY = "sys/devices/system/cpu/cpufreq/policy0"
WORD = "sys/devices/platform/soc/soc:firmware/get_throttled"
ALARM = "sys/class/hwmon/hwmon1/in0_lcrit_alarm"


class Ticking:
    """A clock that moves by a fixed step each time it is asked."""

    def __init__(self, step_s: float = 0.25) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def tree(folder: Path, name: str) -> Path:
    """A copy of one board's tree, to be broken."""
    return Path(shutil.copytree(TREES / name, folder / name))


def sensors(root: Path) -> Sensors:
    return Sensors(MeasureConfig(sys_root=str(root)), Ticking(), Ticking(), lambda: 12.5)


def read(root: Path) -> BoardReading:
    return sensors(root).read()


def status(reading: BoardReading, name: str) -> SensorStatus:
    return next(s for s in reading.sensors if s.name == name)


def values(reading: BoardReading) -> dict[str, object]:
    return asdict(reading.process) | asdict(reading.thermal)
