"""Which Corals are plugged in, from ``/sys``.

In: the folder in front of ``/sys`` and ``/dev``. Out: records. USB: a Coral is ``1a6e:089a`` (Global Unichip) until a
program has loaded its firmware, then ``18d1:9302`` (Google); PCIe and M.2: ``1ac1:089a``, and ``/dev/apex_0`` once the
driver has it (google-coral/libedgetpu ``debian/edgetpu-accelerator.rules``; tensorflow/tensorflow issue 34135).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import read_line, read_number

RAW, READY, PCI = "1a6e:089a", "18d1:9302", "1ac1:089a"
USB3_MBPS = 5000


@dataclass(frozen=True, slots=True)
class UsbCoral:
    """One Coral on USB.

    Attributes:
        id: ``vendor:product``.
        speed_mbps: what the port and the cable made of it: 480 is USB 2, 5000 USB 3; None when untold.
        node: the device's file, below the root.
    """

    id: str
    speed_mbps: int | None
    node: Path | None


def on_usb(root: Path) -> list[UsbCoral]:
    """Every Coral on USB."""
    found = []
    for device in sorted((root / "sys/bus/usb/devices").glob("*")):
        name = f"{_word(device / 'idVendor')}:{_word(device / 'idProduct')}"
        if name in {RAW, READY}:
            bus, number = read_number(device / "busnum"), read_number(device / "devnum")
            node = root / f"dev/bus/usb/{bus:03}/{number:03}" if bus and number else None
            found.append(UsbCoral(name, read_number(device / "speed"), node))
    return found


def on_pci(root: Path) -> int:
    """How many Corals are on PCIe or M.2, with a driver or without."""
    devices = (root / "sys/bus/pci/devices").glob("*")
    names = [f"{_word(item / 'vendor')}:{_word(item / 'device')}" for item in devices]
    return names.count(PCI)


def apex_nodes(root: Path) -> list[Path]:
    """The device files of those that the driver has."""
    return [root / "dev" / device.name for device in sorted((root / "sys/class/apex").glob("apex_*"))]


def _word(path: Path) -> str:
    return (read_line(path) or "").removeprefix("0x")
