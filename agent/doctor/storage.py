"""The card, the disk and the state folder."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.record import Check, Finding, Trap, fine
from agent.doctor.scene import Scene
from agent.measure import disk

LEAST_BYTES, LEAST_SHARE, LEAST_INODES = 512 << 20, 0.05, 0.05

NO_STATE = Trap(
    "state-unwritable",
    "problem",
    "Without a writable folder nothing survives a restart: messages, kept frames, models.",
    "Set device.state_dir to a folder that this user may write, or StateDirectory=edge-agent in the unit.",
    74,
)
READ_ONLY = Trap(
    "root-read-only",
    "warning",
    "The kernel mounts a damaged file system read-only; unless you did that yourself, the card is failing.",
    "Look at `dmesg | grep -i -e mmc -e ext4`; copy what matters and replace the card.",
)
ERRORS = Trap(
    "file-system-errors",
    "problem",
    "The file system has met errors since its last repair: the card fails, or power was cut.",
    "sudo touch /forcefsck && sudo reboot; where they come again, replace the card.",
    74,
)
WORN = Trap(
    "flash-worn",
    "warning",
    "The eMMC says that most of its life is used; it will turn read-only.",
    "Plan its replacement; lower what is written (mqtt.disk_bytes, journald's SystemMaxUse).",
)
FULL = Trap(
    "disk-full",
    "problem",
    "A full disk stops the outbox, kept frames and the system's own log.",
    "sudo apt clean; sudo journalctl --vacuum-size=50M; or take a larger card.",
    74,
)
NO_INODES = Trap(
    "inodes-full",
    "problem",
    "No more files can be made although there is room: many small files have used up the inodes.",
    "Find the folder with `sudo du --inodes -x / | sort -n | tail`, and empty it.",
    74,
)
SWAP = Trap(
    "swap-on-card",
    "note",
    "Swap on an SD card wears it out, and every swapped page costs milliseconds of latency.",
    "sudo systemctl disable --now dphys-swapfile (bookworm), or use zram (the default of trixie)",
)


def state(scene: Scene) -> Iterator[Finding]:
    """A folder to keep things in, with room."""
    if scene.state is None:
        yield NO_STATE.found("the state folder cannot be written")
        return
    room = scene.space(scene.state)
    if room is None:
        return
    told = f"{room.free_bytes / 2**30:.1f} GiB free ({room.free_share:.0%}) under {scene.state}"
    if room.free_bytes < LEAST_BYTES or room.free_share < LEAST_SHARE:
        yield FULL.found(told)
    elif room.inodes_share is not None and room.inodes_share < LEAST_INODES:
        yield NO_INODES.found(f"{room.inodes_share:.1%} of the inodes are free under {scene.state}")
    else:
        yield fine("state", told)


def card(scene: Scene) -> Iterator[Finding]:
    """The root file system and the flash under it."""
    table = disk.mounts(scene.root)
    base = disk.mount_of(table, "/")
    errors = disk.ext4_errors(scene.root)
    worn = [item for item in disk.wear(scene.root) if item.life_percent >= 80 or item.pre_eol >= 2]
    if base is not None and base.read_only and base.kind in {"ext4", "f2fs", "btrfs", "xfs"}:
        yield READ_ONLY.found(f"/ ({base.kind}) is mounted read-only")
    for name, count in errors.items():
        yield ERRORS.found(f"{name}: {count} errors since its last repair")
    for item in worn:
        yield WORN.found(f"{item.device}: up to {item.life_percent} % of its life used, spare blocks: {item.pre_eol}")
    if base is not None and not errors and not worn and not base.read_only:
        kind = "SD card or eMMC" if disk.is_on_card(base.device) else base.kind
        yield fine("card", f"/ is on {kind}, no errors counted")


def swap(scene: Scene) -> Iterator[Finding]:
    """Where memory is swapped to."""
    table = disk.mounts(scene.root)
    for place in disk.swaps(scene.root):
        under = disk.mount_of(table, place)
        if disk.is_on_card(place) or (not place.startswith("/dev/") and under and disk.is_on_card(under.device)):
            yield SWAP.found(f"swap on the card: {place}")
            return
    yield fine("swap", ", ".join(disk.swaps(scene.root)) or "none")


CHECKS = (
    Check("state", "The state folder", state, (NO_STATE, FULL, NO_INODES)),
    Check("card", "Card and file system", card, (READ_ONLY, ERRORS, WORN)),
    Check("swap", "Swap", swap, (SWAP,)),
)
