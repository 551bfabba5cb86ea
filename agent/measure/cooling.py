"""What cools the board: fans and the kernel's cooling devices; and NVMe drives, which heat beside it.

In: the folder in front of ``/sys``. Out: turns a minute, shares, states; None or nothing where there is no such thing.
"""

from __future__ import annotations

from pathlib import Path

from agent.measure.files import read_line, read_number
from agent.measure.thermal import hwmon_chips, read_celsius
from agent.records import CoolingDevice

MOST_DEVICES = 16
"""A PC has one for each core; what is beyond them is not news."""

FAN_CHIPS = ("pwmfan", "gpio_fan", "rpi_poe_fan")
"""hwmon chips that are a board's fan, best first: ``drivers/hwmon/pwm-fan.c`` registers ``pwmfan``."""

MAX_PWM = 255
MAX_RPM = 100_000


def nvme_celsius(root: Path) -> float | None:
    """The hottest NVMe drive's composite temperature (``drivers/nvme/host/hwmon.c``: chip ``nvme``, input 1)."""
    heat = [read_celsius(chip / "temp1_input") for chip in hwmon_chips(root, "nvme")]
    return max((celsius for celsius in heat if celsius is not None), default=None)


def rp1_celsius(root: Path) -> float | None:
    """The I/O chip of a Pi 5 (``drivers/hwmon/rp1-adc.c``); it is not the power chip."""
    chips = hwmon_chips(root, "rp1_adc")
    return read_celsius(chips[0] / "temp1_input") if chips else None


def fan_rpm(root: Path) -> int | None:
    """Turns a minute of the board's fan; a fan without a tachometer tells none."""
    chip = _fan(root)
    rpm = None if chip is None else read_number(chip / "fan1_input")
    if rpm is not None and not 0 <= rpm <= MAX_RPM:
        raise ValueError(f"{chip}/fan1_input says {rpm}, which no fan turns at")
    return rpm


def fan_share(root: Path) -> float | None:
    """How hard the fan is driven, 0 to 1."""
    chip = _fan(root)
    pwm = None if chip is None else read_number(chip / "pwm1")
    if pwm is not None and not 0 <= pwm <= MAX_PWM:
        raise ValueError(f"{chip}/pwm1 says {pwm}, which is not within 0 to {MAX_PWM}")
    return None if pwm is None else pwm / MAX_PWM


def _fan(root: Path) -> Path | None:
    return next((chip for name in FAN_CHIPS for chip in hwmon_chips(root, name)), None)


def devices(root: Path) -> tuple[CoolingDevice, ...] | None:
    """The kernel's cooling devices (Documentation/driver-api/thermal/sysfs-api.rst), by number; None without any."""
    folders = sorted(
        (root / "sys/class/thermal").glob("cooling_device*"), key=lambda folder: (len(folder.name), folder)
    )
    found = [_device(folder) for folder in folders[:MOST_DEVICES]]
    return tuple(device for device in found if device is not None) or None


def _device(folder: Path) -> CoolingDevice | None:
    kind, state, most = read_line(folder / "type"), read_number(folder / "cur_state"), read_number(folder / "max_state")
    if kind is None or state is None or most is None:
        return None
    if not 0 <= state <= most:
        raise ValueError(f"{folder / 'cur_state'} says {state}, which is not within 0 to {most}")
    return CoolingDevice(kind[:40], state, most)
