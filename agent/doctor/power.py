"""Power, heat and the processor's clock."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.record import Check, Finding, Trap, fine
from agent.doctor.scene import Scene
from agent.measure import board, host, thermal

SLOW_GOVERNOR = Trap(
    "governor-powersave",
    "warning",
    "The governor powersave of a board keeps the processor at its lowest clock: latency doubles or worse.",
    "echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
)
UNDER_VOLTAGE = Trap(
    "under-voltage-now",
    "problem",
    "The supply cannot feed the board: it slows down to half its speed, and cards and cameras fail at random.",
    "Use the maker's supply and a short, thick cable; take power-hungry USB devices to a powered hub.",
)
WAS_UNDER_VOLTAGE = Trap(
    "under-voltage-before",
    "warning",
    "The supply was too weak at least once; measurements of that time are worth nothing.",
    "Use the maker's supply and a short, thick cable.",
)
HELD_BACK = Trap(
    "throttled-now",
    "warning",
    "The firmware holds the clock down for heat or voltage; the kernel's own clock reading does not show it.",
    "Add a heat sink or a fan, open the case, or run fewer frames a second.",
)
HOT = Trap(
    "hot",
    "warning",
    "A Raspberry Pi starts to slow down at 80 C (the 3B+ at 60 C).",
    "Add a heat sink or a fan, or run fewer frames a second.",
)
NO_MAILBOX = Trap(
    "mailbox-closed",
    "warning",
    "Throttling and the measured clock of a Raspberry Pi come from its firmware by /dev/vcio, for group video.",
    "sudo usermod -aG video $USER (and log in anew), or SupplementaryGroups=video in the unit",
)


def governor(scene: Scene) -> Iterator[Finding]:
    """How the clock is chosen."""
    name = host.governor(scene.root)
    if name == "powersave" and not host.chooses_itself(scene.root):
        yield SLOW_GOVERNOR.found("governor powersave")
    elif name is not None:
        yield fine("governor", f"governor {name}")


def voltage(scene: Scene) -> Iterator[Finding]:
    """Under-voltage and throttling, now and remembered."""
    bits, alarm = thermal.throttle_bits(scene.root), thermal.voltage_alarm(scene.root)
    if bits is None and alarm is None:
        yield Finding("power", "note", "this board does not tell whether its supply is strong enough")
        return
    told = f"throttle word 0x{bits or 0:x}" if bits is not None else "the voltage driver"
    if thermal.is_under_voltage(alarm, bits):
        yield UNDER_VOLTAGE.found(f"under-volted now ({told})")
    elif (bits or 0) & 1 << 16:
        yield WAS_UNDER_VOLTAGE.found(f"under-volted before ({told})")
    if thermal.is_throttled(bits):
        yield HELD_BACK.found(f"held back now ({told})")
    elif not (bits or 0) & (1 | 1 << 16) and not alarm:
        yield fine("power", f"strong enough ({told})")


def heat(scene: Scene) -> Iterator[Finding]:
    """How hot it is while nothing much runs."""
    celsius = thermal.soc_celsius(scene.root)
    if celsius is None:
        yield Finding("heat", "note", "no temperature sensor")
    elif celsius >= 75.0:
        yield HOT.found(f"{celsius:.0f} C")
    else:
        yield fine("heat", f"{celsius:.0f} C")


def mailbox(scene: Scene) -> Iterator[Finding]:
    """Whether the firmware may be asked."""
    if "Raspberry Pi" not in (board.model(scene.root) or ""):
        return
    node = scene.root / host.MAILBOX
    if scene.can_open(node):
        yield fine("mailbox", "/dev/vcio may be opened")
    else:
        yield NO_MAILBOX.found("/dev/vcio is closed to this user" if node.exists() else "there is no /dev/vcio")


CHECKS = (
    Check("power", "Supply and throttling", voltage, (UNDER_VOLTAGE, WAS_UNDER_VOLTAGE, HELD_BACK)),
    Check("heat", "Temperature", heat, (HOT,)),
    Check("governor", "The processor's clock", governor, (SLOW_GOVERNOR,)),
    Check("mailbox", "The Raspberry Pi's firmware", mailbox, (NO_MAILBOX,)),
)
