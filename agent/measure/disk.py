"""The disk under the agent, for the doctor: what is mounted where, worn flash, errors of the file system, swap.

In: the folder in front of ``/proc`` and ``/sys``. Out: records, or nothing where the kernel is silent. Wear is told by
eMMC only (``life_time`` and ``pre_eol_info``, JEDEC eMMC 5.0: torvalds/linux ``Documentation/driver-api/mmc/
mmc-dev-attrs.rst``): an SD card does not tell how worn it is.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import TABLE_BYTES, read_line, read_number, read_text

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One row of ``/proc/self/mounts``."""

    device: str
    folder: str
    kind: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Wear:
    """What an eMMC says of itself: ``life_percent`` of its life used (the worse of two areas, upper end of the step).

    ``pre_eol``: 1 normal, 2 four fifths of its spare blocks are used, 3 nine tenths.
    """

    device: str
    life_percent: int
    pre_eol: int


@dataclass(frozen=True, slots=True)
class Space:
    """Room in a file system; ``inodes_share`` is None where inodes are made as needed (btrfs)."""

    free_bytes: int
    free_share: float
    inodes_share: float | None


def mounts(root: Path) -> list[Mount]:
    """Everything mounted, in the kernel's order; rows that are cut are left out."""
    rows = [line.split() for line in (read_text(root / "proc/self/mounts", TABLE_BYTES) or "").splitlines()]
    return [Mount(_plain(row[0]), _plain(row[1]), row[2], "ro" in row[3].split(",")) for row in rows if len(row) >= 4]


def _plain(word: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), word)


def mount_of(table: list[Mount], folder: str) -> Mount | None:
    """The file system that a folder lies on; of two mounted on one place the later counts."""
    over = [mount for mount in table if mount.folder == "/" or f"{folder}/".startswith(f"{mount.folder}/")]
    return max(reversed(over), key=lambda mount: len(mount.folder), default=None)


def swaps(root: Path) -> list[str]:
    """Files and partitions that memory is written out to."""
    rows = (read_text(root / "proc/swaps", TABLE_BYTES) or "").splitlines()[1:]
    return [_plain(row.split()[0]) for row in rows if row.strip()]


def is_on_card(device: str) -> bool:
    """An SD card or an eMMC, by the kernel's name for both."""
    return device.startswith("/dev/mmcblk")


def ext4_errors(root: Path) -> dict[str, int]:
    """Errors that each ext4 has counted in its superblock since it was last repaired; by device name, above 0 only."""
    found = {path.parent.name: read_number(path) or 0 for path in sorted(root.glob("sys/fs/ext4/*/errors_count"))}
    return {name: count for name, count in found.items() if count}


def wear(root: Path) -> list[Wear]:
    """Each eMMC that tells its wear."""
    found = []
    for device in sorted(root.glob("sys/block/mmcblk*/device")):
        life, eol = read_line(device / "life_time"), read_number(device / "pre_eol_info", 16)
        steps = [int(word, 16) for word in re.findall(r"0x[0-9a-fA-F]{1,2}", life or "")]
        if any(steps) or eol:
            found.append(Wear(device.parent.name, 10 * max([*steps, 0]), eol or 0))
    return found


def space(folder: Path) -> Space | None:
    """Room for us in the file system of ``folder``, or of the nearest folder above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    told = os.statvfs(folder)
    if not told.f_blocks:
        return None
    inodes = told.f_favail / told.f_files if told.f_files else None
    return Space(told.f_bavail * told.f_frsize, told.f_bavail / told.f_blocks, inodes)
