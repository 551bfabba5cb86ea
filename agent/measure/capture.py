"""A board's sensors as a tree of small files that tests can use as ``measure.sys_root``, without what names the board.

In: the folder in front of ``/sys``, ``/proc`` and ``/etc``. Out: relative path -> bytes. Nothing is copied but what the
table ``SHAPES`` names, and of it only what has the shape that the kernel gives it: a file of numbers cannot carry a
serial number, of ``/proc/cmdline`` only known words are kept. What has another shape becomes ``<other>``, which is no
reading either. Free text (names of models and sensors) goes through :class:`Scrub`.

Bounded: files, bytes, and time; a file that blocks its reader is left behind and named in ``blocked``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import TABLE_BYTES, read_text

MOST_FILES = 2000
MOST_BYTES = 1 << 20
READ_S = 2.0
"""How long one file may take: a sensor on a slow bus answers within a tenth of a second."""

OTHER = "<other>\n"

_NUMBER = re.compile(r"\s*-?[0-9]{1,12}\s*")
_STEPS = re.compile(r"\s*0x[0-9a-f]{2}( 0x[0-9a-f]{2})?\s*")
_WORD32 = re.compile(r"\s*(0x)?[0-9a-f]{1,8}\s*")
_LIST = re.compile(r"[0-9]{1,4}([-,][0-9]{1,4}){0,32}\n")
_VENDOR = re.compile(r"(0x)?[0-9a-f]{4}\n")
_CLOCK = re.compile(r"\s*([0-9]{1,9}|<unknown>)\s*")
_TABLE_ROW = re.compile(
    r"((Mem|Swap)(Total|Free|Available)|Vm(RSS|HWM|Peak|Size|Swap)|Rss|Pss|Swap|Private_(Clean|Dirty)|Threads)"
    r":[ \t]+[0-9]{1,15}( kB)?"
)
_OS_ROW = re.compile(r"(PRETTY_NAME|ID|VERSION_ID|VERSION_CODENAME)=.{0,80}")
_ROLLUP = "00000000-7fffffffffff ---p 00000000 00:00 0                          [rollup]"
_KERNEL_WORDS = re.compile(r"(cgroup_(disable|enable|memory)=(memory|cpuset|1|0)|(isolcpus|maxcpus)=[0-9,-]{1,24})")


def _whole(pattern: re.Pattern[str]) -> Callable[[str], str]:
    return lambda text: text if pattern.fullmatch(text) else OTHER


def _rows(pattern: re.Pattern[str]) -> Callable[[str], str]:
    return lambda text: "".join(f"{row}\n" for row in text.splitlines() if pattern.fullmatch(row)) or OTHER


_os_rows = _rows(_OS_ROW)


def _free(text: str) -> str:
    return text if re.fullmatch(r"[ -~]{1,127}[\n\0]{0,2}", text) else OTHER


def _words(text: str) -> str:
    return " ".join(word for word in text.split() if _KERNEL_WORDS.fullmatch(word)) + "\n"


def _rollup(text: str) -> str:
    rows = _rows(_TABLE_ROW)(text)
    return rows if rows == OTHER else f"{_ROLLUP}\n{rows}"


SHAPES: dict[str, Callable[[str], str]] = {
    "proc/device-tree/model": _free,
    "sys/firmware/devicetree/base/model": _free,
    "proc/meminfo": _rows(_TABLE_ROW),
    "proc/self/status": _rows(_TABLE_ROW),
    "proc/self/smaps_rollup": _rollup,
    "proc/sys/kernel/osrelease": _free,
    "proc/cmdline": _words,
    "etc/os-release": _os_rows,
    "usr/lib/os-release": _os_rows,
    "sys/class/dmi/id/sys_vendor": _free,
    "sys/class/dmi/id/product_name": _free,
    "sys/class/dmi/id/board_vendor": _free,
    "sys/class/dmi/id/board_name": _free,
    "sys/devices/system/cpu/online": _whole(_LIST),
    "sys/devices/system/cpu/cpufreq/policy*/*_freq": _whole(_CLOCK),
    "sys/devices/system/cpu/cpufreq/policy*/scaling_governor": _free,
    "sys/devices/platform/soc*/soc*:firmware/get_throttled": _whole(_WORD32),
    "sys/class/thermal/thermal_zone*/type": _free,
    "sys/class/thermal/thermal_zone*/temp": _whole(_NUMBER),
    "sys/class/thermal/thermal_zone*/trip_point_*_temp": _whole(_NUMBER),
    "sys/class/thermal/cooling_device*/type": _free,
    "sys/class/thermal/cooling_device*/*_state": _whole(_NUMBER),
    "sys/class/hwmon/hwmon*/name": _free,
    "sys/class/hwmon/hwmon*/*_label": _free,
    "sys/class/hwmon/hwmon*/*_input": _whole(_NUMBER),
    "sys/class/hwmon/hwmon*/*_alarm": _whole(_NUMBER),
    "sys/class/hwmon/hwmon*/pwm[0-9]": _whole(_NUMBER),
    "sys/class/apex/apex_*/temp": _whole(_NUMBER),
    "sys/class/apex/apex_*/*_temp": _whole(_NUMBER),
    "sys/class/watchdog/watchdog*/identity": _free,
    "sys/block/mmcblk*/device/life_time": _whole(_STEPS),
    "sys/block/mmcblk*/device/pre_eol_info": _whole(_STEPS),
    "sys/fs/cgroup/cgroup.controllers": _free,
    "sys/bus/usb/devices/*/idVendor": _whole(_VENDOR),
    "sys/bus/usb/devices/*/idProduct": _whole(_VENDOR),
    "sys/bus/usb/devices/*/speed": _whole(_NUMBER),
    "sys/bus/pci/devices/*/vendor": _whole(_VENDOR),
    "sys/bus/pci/devices/*/device": _whole(_VENDOR),
}
"""Every file that may be copied, with what is kept of its text."""

SECRETS = (
    *("proc/sys/kernel/hostname", "etc/hostname", "etc/machine-id", "var/lib/dbus/machine-id"),
    *("proc/device-tree/serial-number", "sys/firmware/devicetree/base/serial-number"),
    *("sys/class/dmi/id/product_serial", "sys/class/dmi/id/board_serial", "sys/class/dmi/id/product_uuid"),
    *("sys/class/dmi/id/chassis_serial", "sys/class/net/*/address", "sys/block/mmcblk*/device/serial"),
    *("sys/block/mmcblk*/device/cid", "sys/bus/usb/devices/*/serial", "sys/devices/soc0/serial_number"),
)
"""Files that name the board: never copied, and what they hold is cut out of all else."""

_USERS = "etc/passwd"
_BY_SHAPE = re.compile(
    r"(?i)(?<![0-9a-z])(?:[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}"  # MAC
    r"|\d{1,3}(?:\.\d{1,3}){3}"  # IPv4
    r"|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}"  # IPv6
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{12,64})(?![0-9a-z])"  # UUID; serial, machine id, MAC
)


class Scrub:
    """Takes out of a text what names a board or its owner: known words, and anything of such a shape.

    Args:
        words: host name, user names, serial numbers; shorter than three characters are too common to be cut out.
    """

    def __init__(self, words: Sequence[str]) -> None:
        known = sorted({word for word in words if len(word) >= 3}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known)), re.IGNORECASE) if known else None

    def __call__(self, text: str) -> str:
        """The text with ``***`` in their place.

        >>> Scrub(["anna"])("6.12.0-anna eth 02:00:5e:10:00:01 at 10.0.0.7")
        '6.12.0-*** eth *** at ***'
        """
        text = _BY_SHAPE.sub("***", text)
        return self._known.sub("***", text) if self._known else text


@dataclass(frozen=True, slots=True)
class Capture:
    """What was copied: relative path -> bytes; files that blocked; whether a bound cut it short."""

    files: dict[str, bytes]
    blocked: tuple[str, ...]
    is_cut: bool


def secrets(root: Path) -> list[str]:
    """What this machine is known by: the content of ``SECRETS``, and its users' names."""
    found = [word for pattern in SECRETS for path in sorted(root.glob(pattern)) for word in _told(path).split("\n")]
    people = [row.split(":") for row in _told(root / _USERS).splitlines()]
    users = [row[0] for row in people if len(row) > 2 and row[2].isdigit() and int(row[2]) >= 1000]
    return [word.strip("\0 ") for word in (*found, *users) if word.strip("\0 ") not in {"nobody", "None", "0"}]


def _told(path: Path) -> str:
    try:
        return _timed(path, READ_S) or ""
    except (OSError, ValueError):
        return ""


def capture(root: Path, scrub: Scrub | None = None, *, read_s: float = READ_S) -> Capture:
    """Copies the sensors of the board at ``root``; what cannot be read is left out."""
    scrub = scrub or Scrub(secrets(root))
    files: dict[str, bytes] = {}
    blocked: list[str] = []
    size = 0
    for path, keep in _named(root):
        name = str(path.relative_to(root))
        if len(files) >= MOST_FILES or size >= MOST_BYTES:
            return Capture(files, tuple(blocked), is_cut=True)
        try:
            text = _timed(path, read_s)
        except TimeoutError:
            blocked.append(name)
        except OSError:
            continue
        except ValueError:
            files[name] = OTHER.encode()
        else:
            if text is not None:
                kept = keep(text)
                files[name] = (scrub(kept) if keep in _FREE else kept).encode()
                size += len(files[name])
    return Capture(files, tuple(blocked), is_cut=False)


_BY_NAME = re.compile(r"[^\x21-\x7e]|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}|[0-9a-fA-F]{13}")
"""The kernel names what it has by kind, number and bus address: what looks otherwise is not copied."""

_FREE = (_free, _os_rows)


def _named(root: Path) -> Iterator[tuple[Path, Callable[[str], str]]]:
    inside = root.resolve()
    for pattern, keep in SHAPES.items():
        for path in sorted(root.glob(pattern)):
            # a link may lead anywhere inside the tree, as those of /sys do, and not out of it
            names = not _BY_NAME.search(str(path.relative_to(root)))
            if names and path.is_file() and path.resolve().is_relative_to(inside):
                yield path, keep


def _timed(path: Path, read_s: float) -> str | None:
    """The text of a file, or TimeoutError; the thread that blocks in the kernel is left behind."""
    answers: list[str | None] = []
    faults: list[OSError | ValueError] = []

    def read() -> None:
        try:
            answers.append(read_text(path, TABLE_BYTES))
        except (OSError, ValueError) as error:
            faults.append(error)

    reader = threading.Thread(target=read, name="capture", daemon=True)
    reader.start()
    reader.join(read_s)
    if reader.is_alive():
        raise TimeoutError(f"{path} does not answer within {read_s:g} s")
    if faults:
        raise faults[0]
    return answers[0] if answers else None
