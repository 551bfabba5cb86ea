"""What this machine is: fixed while the agent runs.

In: the folder in front of ``/sys``, ``/proc`` and ``/etc``. Out: names and numbers, or None where a board is silent.
``machine`` is the kernel's word: a 64-bit kernel under a 32-bit system says ``aarch64``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import TABLE_BYTES, read_kilobytes, read_line, read_text

PI_TYPES = {
    0x00: "A", 0x01: "B", 0x02: "A+", 0x03: "B+", 0x04: "2B", 0x06: "CM1", 0x08: "3B", 0x09: "Zero", 0x0A: "CM3",
    0x0C: "Zero W", 0x0D: "3B+", 0x0E: "3A+", 0x10: "CM3+", 0x11: "4B", 0x12: "Zero 2 W", 0x13: "400", 0x14: "CM4",
    0x15: "CM4S", 0x17: "5", 0x18: "CM5", 0x19: "500", 0x1A: "CM5 Lite", 0x1B: "CM0",
}  # fmt: skip
"""raspberrypi/documentation ``documentation/asciidoc/computers/raspberry-pi/revision-codes.adoc`` @0456a78c93ba."""

CHIPS = {0: "BCM2835", 1: "BCM2836", 2: "BCM2837", 3: "BCM2711", 4: "BCM2712"}
WITH_PMIC = {"BCM2711", "BCM2712"}
"""Boards whose power chip has a thermometer that the firmware reads."""
WITH_RAILS = {"BCM2712"}
"""And which tells volts and amps of its outputs."""

MOST_SIZE_CODE = 6

CORAL_PCIE = ("0x1ac1", "0x089a")
CORAL_USB = {("1a6e", "089a"), ("18d1", "9302")}
"""The first before its first use, when it waits for its firmware, the second after (google-coral/edgetpu issue 906)."""

UNNAMED = {"", "none", "default string", "system product name", "to be filled by o.e.m."}
"""What makers of mainboards forget to fill in."""


def model(root: Path) -> str | None:
    """The board's name, from the device tree (ARM), else from the firmware's tables (PC)."""
    for path in ("proc/device-tree/model", "sys/firmware/devicetree/base/model"):
        text = read_text(root / path)
        if text is not None:
            return text.strip("\0\n ")
    dmi = root / "sys/class/dmi/id"
    for maker, name in (("sys_vendor", "product_name"), ("board_vendor", "board_name")):
        words = [_named(dmi / maker), _named(dmi / name)]
        if words[1]:
            return " ".join(word for word in words if word)
    return None


def _named(path: Path) -> str | None:
    # An empty name is common here, and no fault of the file.
    if not path.exists() or not path.read_bytes().strip():
        return None
    line = read_line(path)
    return None if line is None or line.lower() in UNNAMED else line


def cores(root: Path) -> int | None:
    """How many cores are switched on, from a list such as ``0-3`` or ``0,2-3``."""
    path = root / "sys/devices/system/cpu/online"
    line = read_line(path)
    if line is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*", line):
        raise ValueError(f"{path} holds {line[:32]!r}, which is no list of cores")
    spans = [[int(end) for end in span.split("-")] for span in line.split(",")]
    return sum(span[-1] - span[0] + 1 for span in spans)


def memory_bytes(root: Path) -> int | None:
    """Memory that the kernel has to give, somewhat less than what is soldered on."""
    return read_kilobytes(root / "proc/meminfo", "MemTotal")


def os_name(root: Path) -> str | None:
    """The distribution's name for people."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        text = read_text(root / path, TABLE_BYTES)
        found = re.search(r"^PRETTY_NAME=(['\"]?)(.+)\1$", text or "", re.MULTILINE)
        if found:
            return found[2]
    return None


@dataclass(frozen=True, slots=True)
class Revision:
    """A Raspberry Pi's revision code in words.

    Attributes:
        code: as the firmware tells it.
        model: type and revision of the board, such as ``4B 1.4``; None for codes of the first boards.
        chip: the processor; None likewise.
        memory_bytes: memory that is soldered on; None likewise, and for sizes that the code has no number for.
    """

    code: int
    model: str | None = None
    chip: str | None = None
    memory_bytes: int | None = None

    @property
    def text(self) -> str:
        """The code as ``/proc/cpuinfo`` writes it."""
        return f"{self.code:x}"


def decode_revision(code: int) -> Revision:
    """What a revision code says.

    >>> decode_revision(0xC03114)
    Revision(code=12595476, model='4B 1.4', chip='BCM2711', memory_bytes=4294967296)
    >>> decode_revision(0x0010).model is None
    True
    """
    if not code >> 23 & 1:
        return Revision(code)
    kind, size = PI_TYPES.get(code >> 4 & 0xFF, f"type {code >> 4 & 0xFF:#x}"), code >> 20 & 7
    memory = 256 * 2**20 << size if size <= MOST_SIZE_CODE else None
    return Revision(code, f"{kind} 1.{code & 0xF}", CHIPS.get(code >> 12 & 0xF), memory)


def revision(root: Path) -> Revision | None:
    """The board's revision, from the device tree, where the firmware writes it, else from ``/proc/cpuinfo``."""
    path = root / "proc/device-tree/system/linux,revision"
    if path.exists():
        with path.open("rb") as file:
            raw = file.read(5)
        if len(raw) != 4:
            raise ValueError(f"{path} does not have the 4 bytes of a revision code")
        return decode_revision(int.from_bytes(raw, "big"))
    text = read_text(root / "proc/cpuinfo", TABLE_BYTES) if (root / "proc/cpuinfo").exists() else None
    found = re.search(r"^Revision[ \t]*: ([0-9a-fA-F]{1,8})$", text or "", re.MULTILINE)
    return decode_revision(int(found[1], 16)) if found else None


def governor(root: Path) -> str | None:
    """How the kernel chooses the clock: ``ondemand``, ``performance``, ..."""
    return read_line(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_governor")


def accelerators(root: Path) -> tuple[str, ...]:
    """Corals that are attached, one word each: ``pcie`` or ``usb``; whether its driver works is another question."""
    pcie = [
        "pcie"
        for device in sorted((root / "sys/bus/pci/devices").glob("*"))
        if (read_line(device / "vendor"), read_line(device / "device")) == CORAL_PCIE
    ]
    if not pcie:  # a driver in a container may show the class alone
        pcie = ["pcie" for _ in sorted((root / "sys/class/apex").glob("apex_*"))]
    usb = [
        "usb"
        for device in sorted((root / "sys/bus/usb/devices").glob("*"))
        if (read_line(device / "idVendor"), read_line(device / "idProduct")) in CORAL_USB
    ]
    return (*pcie, *usb)


def boot_id(root: Path) -> str | None:
    """The kernel's random name for this boot; another one says that the machine was started anew."""
    return read_line(root / "proc/sys/kernel/random/boot_id")


def kernel(root: Path) -> str | None:
    """The kernel's release."""
    return read_line(root / "proc/sys/kernel/osrelease")
