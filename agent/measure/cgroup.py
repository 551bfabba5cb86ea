"""What the kernel charges to the service, and where it would stop it: control groups, version 2 and 1.

In: the folder in front of ``/proc`` and ``/sys``. Out: bytes, or None where there is no such group or limit. The charge
holds page cache too, so it is not the process's memory; it is what the limits are held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import TABLE_BYTES, parse_number, read_line, read_text

MOUNT = "sys/fs/cgroup"
NO_LIMIT = 1 << 62
"""Version 1 writes the greatest number of pages where there is no limit: about 2^63 bytes."""


@dataclass(frozen=True, slots=True)
class Group:
    """One service's share of the memory, in bytes; None: no such limit."""

    used_bytes: int
    high_bytes: int | None
    max_bytes: int | None


def group(root: Path) -> Group | None:
    """The nearest group of this process that counts memory.

    Raises:
        OSError, ValueError: as :func:`agent.measure.files.read_text`.
    """
    text = read_text(root / "proc/self/cgroup", TABLE_BYTES)
    for line in (text or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found = None
        if controllers == "":
            found = _read(root / MOUNT, path, "memory.current", ("memory.high", "memory.max"))
        elif "memory" in controllers.split(","):
            names = ("memory.soft_limit_in_bytes", "memory.limit_in_bytes")
            found = _read(root / MOUNT / "memory", path, "memory.usage_in_bytes", names)
        if found is not None:
            return found
    return None


def _read(mount: Path, path: str, used: str, limits: tuple[str, str]) -> Group | None:
    """``path`` may lead out of what a container sees: then its own root is the group."""
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    for folder in (mount.joinpath(*parts), mount):
        count = _bytes(folder / used)
        if count is not None:
            return Group(count, _bytes(folder / limits[0]), _bytes(folder / limits[1]))
    return None


def _bytes(path: Path) -> int | None:
    line = read_line(path)
    if line is None or line == "max":
        return None
    number = parse_number(line, path)
    if number < 0:
        raise ValueError(f"{path} says {number}: no group uses less than nothing")
    return number if number < NO_LIMIT else None
