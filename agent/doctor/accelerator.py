"""The Coral, its library, and the delegate tried in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.doctor.record import Check, Finding, Trap, fine
from agent.doctor.scene import Scene
from agent.errors import ConfigError, ModelError, UnavailableError
from agent.measure import coral

PACKAGE_INFO = ("var/lib/dpkg/status",)
_MOST_STATUS = 32 << 20

NO_LIBRARY = Trap(
    "coral-no-library",
    "problem",
    "A Coral is asked for or plugged in, and nothing here can speak to it.",
    "Install a libedgetpu build for this runtime: docs/coral.md.",
)
NO_DEVICE = Trap(
    "coral-no-device",
    "problem",
    "runtime.delegate asks for a Coral, and none is on USB or PCIe.",
    "Plug it in, by a short cable and a supply that can feed it; then look at `lsusb` and `dmesg`.",
)
OLD_LIBRARY = Trap(
    "coral-old-library",
    "warning",
    "libedgetpu 16.0 of Google's package archive (2021) is built for TensorFlow 2.5; "
    "beside tflite-runtime 2.12 and later, and LiteRT, it dies of a segmentation fault.",
    "Install a build for TensorFlow 2.13 or later (16.0tf2.19.1-1 for LiteRT): docs/coral.md.",
)
USB_2 = Trap(
    "coral-usb-2",
    "warning",
    "On USB 2 an invoke takes three to four times as long (docs/coral.md).",
    "Use a blue (USB 3) port and the Coral's own cable; on a Pi 3 or Zero there is none.",
)
RAW = Trap(
    "coral-not-initialised",
    "note",
    "1a6e:089a is a Coral that no program has loaded its firmware into since it was plugged in; it then becomes "
    "18d1:9302. A container or a VM that was given only the first of the two loses it there.",
    "Nothing, when the agent runs on the board itself; else hand on both ids.",
)
CLOSED = Trap(
    "coral-closed",
    "problem",
    "The device is there, and this user may not open it.",
    "sudo usermod -aG plugdev $USER (USB) or apex (PCIe), log in anew; without the udev rules see docs/coral.md.",
)
NO_DRIVER = Trap(
    "coral-no-driver",
    "problem",
    "A Coral on PCIe needs the gasket and apex drivers; Google's gasket-dkms does not build on kernels from 6.5 on.",
    "Build the driver from a maintained fork: docs/coral.md.",
)
CRASH = Trap(
    "delegate-crashes",
    "problem",
    "The delegate's library was built for another runtime: it would take the agent with it at the first invoke.",
    'Install the build that fits this runtime (docs/coral.md), or set runtime.delegate = "" to run on the CPU.',
    65,
)
HANGS = Trap(
    "delegate-hangs",
    "problem",
    "The delegate does not come back: a device that hangs, or a driver that waits for it for ever.",
    "Unplug the device and plug it in again; raise runtime.prove_timeout_s where the board is only slow.",
    65,
)
REFUSED = Trap(
    "model-refused",
    "problem",
    "The model, the runtime and the delegate do not work together.",
    "Follow the sentence; docs/models.md lists them all.",
    65,
)
LOST_CLASS = Trap(
    "threads-lose-class",
    "warning",
    "A graph that suppresses class by class loses all objects of one class when it runs on more than one and fewer "
    "threads than it has classes (tensorflow issue 56058; LiteRT 2.3.0 and tflite-runtime 2.14). The agent runs it on "
    "one thread instead and says so.",
    "Set runtime.num_threads = 1, or export the model with raw heads or fast suppression.",
)
ABSENT = Trap(
    "delegate-absent",
    "problem",
    "The library or the device is not there.",
    "Follow the sentence; docs/coral.md says what to install.",
)


def device(scene: Scene) -> Iterator[Finding]:
    """Corals on USB and PCIe, their port, driver and rights."""
    usb, pci = coral.on_usb(scene.root), coral.on_pci(scene.root)
    nodes = coral.apex_nodes(scene.root)
    if not usb and not pci and not nodes:
        if scene.config.runtime.delegate == "edgetpu":
            yield NO_DEVICE.found("no Coral on USB or PCIe")
        return
    for item in usb:
        yield from _usb(scene, item)
    if pci and not nodes:
        yield NO_DRIVER.found(f"{pci} on PCIe, and no /dev/apex_*")
    for node in nodes:
        if scene.can_open(node):
            yield fine("coral", f"PCIe, /dev/{node.name}")
        else:
            yield CLOSED.found(f"/dev/{node.name} may not be opened")


def _usb(scene: Scene, item: coral.UsbCoral) -> Iterator[Finding]:
    if item.node is not None and not scene.can_open(item.node):
        yield CLOSED.found(f"USB {item.id} may not be opened")
    if item.id == coral.RAW:
        yield RAW.found(f"USB {item.id}: not initialised yet")
    if item.speed_mbps is not None and item.speed_mbps < coral.USB3_MBPS and item.id == coral.READY:
        yield USB_2.found(f"USB {item.id} at {item.speed_mbps} Mbit/s")
    elif item.id == coral.READY:
        yield fine("coral", f"USB {item.id} at {item.speed_mbps or '?'} Mbit/s")


def library(scene: Scene) -> Iterator[Finding]:
    """libedgetpu, where something asks for it."""
    there = scene.library("edgetpu")
    wanted = scene.config.runtime.delegate == "edgetpu" or coral.on_usb(scene.root) or coral.on_pci(scene.root)
    if there is None:
        if wanted:
            yield NO_LIBRARY.found("libedgetpu.so.1 is not installed")
        return
    version = packaged(scene.root)
    modern = "ai-edge-litert" in scene.packages or "tflite-runtime" in scene.packages
    if version is not None and "tf" not in version.lower() and modern:
        yield OLD_LIBRARY.found(f"{there}, package {version}")
    else:
        yield fine("coral-library", f"{there}, package {version or 'unknown'}")


def packaged(root: Path) -> str | None:
    """Version of the distribution's package with the library, from dpkg's own table."""
    table = root / PACKAGE_INFO[0]
    if not table.is_file() or table.stat().st_size > _MOST_STATUS:
        return None
    for entry in table.read_text(encoding="utf-8", errors="replace").split("\n\n"):
        rows = dict(row.split(": ", 1) for row in entry.splitlines() if ": " in row and not row.startswith(" "))
        if rows.get("Package", "").startswith("libedgetpu1") and "installed" in rows.get("Status", "").split():
            return rows.get("Version")
    return None


def delegate(scene: Scene) -> Iterator[Finding]:
    """The model, run once in a child process with the delegate that the settings name."""
    if scene.prove is None:
        yield Finding("delegate", "note", "no model is configured, so that none was tried")
        return
    try:
        tried = scene.prove()
        yield fine("delegate", tried.seen)
        if tried.lost:
            would = f"runtime.num_threads = {scene.config.runtime.num_threads} would lose {tried.lost}"
            yield LOST_CLASS.found(f"{would}; the agent runs it on one thread")
    except ModelError as error:
        yield _trap(str(error), has_delegate=bool(scene.config.runtime.delegate)).found(str(error))
    except (UnavailableError, ConfigError) as error:
        if _is_said_already(scene):
            yield Finding("delegate", "note", f"{error} (counted above)")
        else:
            yield ABSENT.found(str(error))


def _is_said_already(scene: Scene) -> bool:
    """A Coral is asked for whose library or device is missing: the checks before have counted that."""
    if scene.config.runtime.delegate != "edgetpu":
        return False
    plugged = coral.on_usb(scene.root) or coral.on_pci(scene.root) or coral.apex_nodes(scene.root)
    return scene.library("edgetpu") is None or not plugged


def _trap(message: str, *, has_delegate: bool) -> Trap:
    if has_delegate and "crashes the runtime" in message:
        return CRASH
    if has_delegate and "did not load and run once within" in message:
        return HANGS
    return REFUSED


CHECKS = (
    Check("coral", "Coral", device, (NO_DEVICE, CLOSED, RAW, USB_2, NO_DRIVER)),
    Check("coral-library", "The Coral's library", library, (NO_LIBRARY, OLD_LIBRARY)),
    Check("delegate", "Model and delegate, tried once", delegate, (CRASH, HANGS, REFUSED, ABSENT, LOST_CLASS)),
)
