"""What this machine is: fixed while the agent runs.

In: the folder in front of ``/sys``, ``/proc`` and ``/etc``. Out: names and numbers, or None where a board is silent.
``machine`` is the kernel's word: a 64-bit kernel under a 32-bit system says ``aarch64``.
"""

from __future__ import annotations

import re
from pathlib import Path

from agent.measure.files import TABLE_BYTES, read_kilobytes, read_line, read_text

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


def kernel(root: Path) -> str | None:
    """The kernel's release."""
    return read_line(root / "proc/sys/kernel/osrelease")
