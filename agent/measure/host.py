"""What the operating system is set to, for the doctor: governor, clock, cgroups, watchdog.

In: the folder in front of ``/sys``, ``/proc``, ``/run`` and ``/dev``. Out: words and truths, or None where the kernel
is silent; raises as :func:`agent.measure.files.read_text`. Read once by whoever asks, never in the loop.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from agent.measure.files import TABLE_BYTES, read_line, read_text

TIME_ERROR = 5
"""What adjtimex(2) returns while the kernel's clock was never set by a time server."""

MAILBOX = "dev/vcio"
"""The Raspberry Pi firmware's mailbox: measured clock, throttle word, voltages."""


def governor(root: Path) -> str | None:
    """How the kernel chooses the processor's clock: ``performance``, ``ondemand``, ``schedutil``, ``powersave``."""
    return read_line(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor")


def chooses_itself(root: Path) -> bool:
    """The processor chooses its clock: intel_pstate and amd-pstate call their normal, fast mode ``powersave``."""
    return "pstate" in (read_line(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_driver") or "")


def kernel_words(root: Path) -> list[str]:
    """The kernel's command line, word by word; the firmware of a Raspberry Pi adds its own in front."""
    return (read_text(root / "proc/cmdline", TABLE_BYTES) or "").split()


def memory_cgroup(root: Path) -> bool | None:
    """Whether the kernel counts and limits memory by group, which ``MemoryMax=`` of a unit needs; None: cannot tell."""
    unified = root / "sys/fs/cgroup/cgroup.controllers"
    if unified.exists():
        return "memory" in unified.read_text(encoding="utf-8").split()
    table = read_text(root / "proc/cgroups", TABLE_BYTES)
    if table is None:
        return None
    rows = [line.split() for line in table.splitlines() if not line.startswith("#")]
    return any(len(row) == 4 and row[0] == "memory" and row[3] == "1" for row in rows)


def clock_synced(root: Path) -> bool | None:
    """Whether systemd-timesyncd has set the clock since boot; None where another program, or none, looks after it."""
    folder = root / "run/systemd/timesync"
    return (folder / "synchronized").exists() if folder.is_dir() else None


def kernel_clock_synced() -> bool | None:
    """Whether any program keeps this machine's clock, by the kernel's own word; None where it cannot be asked."""
    timex = ctypes.create_string_buffer(1024)  # struct timex takes 208 bytes; all zero asks and sets nothing
    try:
        state = int(ctypes.CDLL(None).adjtimex(timex))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR


def has_battery_clock(root: Path) -> bool:
    """A real-time clock that a driver has found; whether it has a battery it does not tell."""
    return any((root / "sys/class/rtc").glob("rtc*"))


def watchdog(root: Path) -> str | None:
    """Name of the hardware watchdog, None without one."""
    for device in sorted((root / "sys/class/watchdog").glob("watchdog*")):
        return read_line(device / "identity") or device.name
    return None
