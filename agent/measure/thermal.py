"""Heat, clock and power, from ``/sys``.

In: the folder in front of ``/sys``. Out: degrees Celsius, hertz, bits; None where this board has no such sensor. A
reading outside what silicon survives is a sensor that lies, not a temperature: ``ValueError`` with the sentence.

What these files cannot tell on a Raspberry Pi (sources: ``tests/fixtures/sysfs/*/PROVENANCE.md``):

- ``get_throttled`` is the word of the last poll of the ``raspberrypi-hwmon`` driver (every 2 s), which asks the
  firmware to clear the sticky bits each time: bits 16 to 19 mean "since the last poll" there, not "since boot". Without
  that driver the word stays as it was at boot. Its first read makes the kernel log one warning with a stack trace.
  Kernels without the file exist, on the Pi 5 at least: there the bits are None.
- The clock is what the kernel asked for. The firmware's own throttling does not show in it: where there is a mailbox
  (:mod:`agent.measure.mailbox`), clock and word come from there.
- Below freezing the Pi 4 and 5 say 0: their driver cuts there.
"""

from __future__ import annotations

from pathlib import Path

from agent.measure.files import parse_number, read_line, read_number

COLDEST_CELSIUS = -40.0
HOTTEST_CELSIUS = 150.0
"""The industrial range of silicon and then some: a Coral whose register reads as all ones says -89.7, zero 166.05."""

SOC_ZONES = ("cpu-thermal", "x86-pkg-temp", "soc-thermal", "package-thermal", "bcm2835-thermal", "cpu0-thermal")
"""Thermal zones that are the processor, best first, with ``_`` as ``-``; ``acpitz`` is the mainboard's."""

SOC_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""The same among hwmon chips, for boards without such a zone."""

CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0"
THROTTLE_FILES = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
"""``soc/soc:firmware`` up to the Pi 4, ``soc@107c000000/soc@107c000000:firmware`` on a Pi 5."""

UNDER_VOLTAGE = 1 << 0
HELD_BACK = 1 << 1 | 1 << 2 | 1 << 3
"""Frequency capped, throttled, soft temperature limit (which lowers a 3B+ from 1.4 to 1.2 GHz): now."""


def soc_celsius(root: Path) -> float | None:
    """The processor's temperature, from its thermal zone, else from its hwmon chip."""
    zones: dict[str, Path] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        kind = read_line(zone / "type")
        zones.setdefault((kind or "").replace("_", "-"), zone / "temp")
    for kind in SOC_ZONES:
        if kind in zones:
            return read_celsius(zones[kind])
    for name in SOC_CHIPS:
        chips = hwmon_chips(root, name)
        if chips:
            return read_celsius(_chip_input(chips[0]))
    return None


def accelerator_celsius(root: Path) -> float | None:
    """The hottest Coral on PCIe or M.2; one on USB has no such file, nor with the mainline kernel's driver."""
    heat = [read_celsius(chip / "temp") for chip in sorted((root / "sys/class/apex").glob("apex_*"))]
    return max((celsius for celsius in heat if celsius is not None), default=None)


def read_celsius(path: Path) -> float | None:
    """One file of thousandths of a degree.

    Raises:
        ValueError: not plausible, or see :func:`~agent.measure.files.read_number`.
    """
    number = read_number(path)
    if number is None:
        return None
    return plausible_celsius(number / 1000, str(path))


def plausible_celsius(celsius: float, origin: str) -> float:
    """The temperature, if silicon can have it.

    Raises:
        ValueError: it cannot.
    """
    if not COLDEST_CELSIUS <= celsius <= HOTTEST_CELSIUS:
        raise ValueError(f"{origin} says {celsius} C, which no working chip has: the sensor or its bus fails")
    return celsius


def hwmon_chips(root: Path, name: str) -> list[Path]:
    """Folders of all chips with this name; their numbers change from boot to boot."""
    chips = sorted((root / "sys/class/hwmon").glob("hwmon*"))
    return [chip for chip in chips if read_line(chip / "name") == name]


def _chip_input(chip: Path) -> Path:
    # k10temp: Tctl is a control value that carries an offset on some processors, Tdie is the temperature.
    # coretemp: input 1 is the package.
    labels = {read_line(label): label for label in sorted(chip.glob("temp*_label"))}
    label = labels.get("Tdie", chip / "temp1_label")
    return label.with_name(label.name.replace("_label", "_input"))


def frequency_hz(root: Path) -> float | None:
    """The clock that the kernel believes in, of the first core's group."""
    measured, asked = root / CPUFREQ / "cpuinfo_cur_freq", root / CPUFREQ / "scaling_cur_freq"
    try:
        # Only root may read it, and it is <unknown> where the driver cannot ask the hardware.
        return _hertz(measured) or _hertz(asked)
    except PermissionError:
        return _hertz(asked)


def frequency_max_hz(root: Path) -> float | None:
    """The highest clock that the kernel may ask for now, else the highest that the hardware has."""
    return _hertz(root / CPUFREQ / "scaling_max_freq") or _hertz(root / CPUFREQ / "cpuinfo_max_freq")


def frequency_hardware_max_hz(root: Path) -> float | None:
    """The highest clock that the hardware has."""
    return _hertz(root / CPUFREQ / "cpuinfo_max_freq")


def frequency_min_hz(root: Path) -> float | None:
    """The lowest clock that the kernel may ask for."""
    return _hertz(root / CPUFREQ / "scaling_min_freq") or _hertz(root / CPUFREQ / "cpuinfo_min_freq")


def _hertz(path: Path) -> float | None:
    line = read_line(path)
    if line in {None, "<unknown>"}:
        return None
    return plausible_hertz(parse_number(str(line), path) * 1000.0, str(path))


def plausible_hertz(hertz: float, origin: str) -> float:
    """The clock, if a processor can have it.

    Raises:
        ValueError: it cannot.
    """
    if not 1e6 <= hertz <= 20e9:
        raise ValueError(f"{origin} says {hertz / 1000:.0f} kHz, which no processor runs at: the driver fails")
    return hertz


def throttle_bits(root: Path) -> int | None:
    """The firmware's word (hexadecimal, without 0x); see the module for what it cannot tell."""
    path = next(iter(sorted(root.glob(THROTTLE_FILES))), None)
    word = None if path is None else read_number(path, 16)
    if word is not None and word > 0xFFFFFFFF:
        raise ValueError(f"{path} says {word:x}, which is more than the firmware's 32 bits")
    return word


def voltage_alarm(root: Path) -> bool | None:
    """Under-voltage within the last poll (2 s) of the Raspberry Pi's voltage driver."""
    chips = hwmon_chips(root, "rpi_volt")
    if not chips:
        return None
    alarm = read_number(chips[0] / "in0_lcrit_alarm")
    if alarm not in {None, 0, 1}:
        raise ValueError(f"{chips[0] / 'in0_lcrit_alarm'} says {alarm}: an alarm is 0 or 1")
    return None if alarm is None else alarm == 1


def is_under_voltage(alarm: bool | None, bits: int | None) -> bool | None:
    """Under-volted now, when either source says so; None when there is neither.

    >>> is_under_voltage(None, 0x50005), is_under_voltage(False, 0x50000), is_under_voltage(None, None)
    (True, False, None)
    """
    if alarm is None and bits is None:
        return None
    return bool(alarm) or bool((bits or 0) & UNDER_VOLTAGE)


def seen_bits(word: int | None) -> int:
    """Which of the causes, bits 0 to 3, a word tells of: now, or since somebody cleared it.

    >>> seen_bits(0x50000), seen_bits(0x80002), seen_bits(None)
    (5, 10, 0)
    """
    return ((word or 0) | (word or 0) >> 16) & 0xF


def is_throttled(bits: int | None) -> bool | None:
    """Throttled, capped or at the soft temperature limit now.

    >>> is_throttled(0x80008), is_throttled(0x60000), is_throttled(None)
    (True, False, None)
    """
    return None if bits is None else bool(bits & HELD_BACK)
