"""Rights, limits, watchdog and the unit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.doctor.record import Check, Finding, Trap, fine
from agent.doctor.scene import Scene
from agent.measure import host

UNIT = "edge-agent.service"
MOST_EXPOSURE = 4.0
"""systemd calls more than 4.0 medium."""

VIDEO = Trap(
    "group-video",
    "problem",
    "Cameras belong to group video; without it opening one is refused.",
    "sudo usermod -aG video $USER, then log in anew; in a unit SupplementaryGroups=video",
    66,
)
NO_MEMORY_GROUP = Trap(
    "memory-cgroup-off",
    "warning",
    "MemoryMax= of the unit does nothing: a leak takes the whole board down. The firmware of a Raspberry Pi passes "
    "cgroup_disable=memory.",
    "Add `cgroup_enable=memory cgroup_memory=1` to the one line of /boot/firmware/cmdline.txt and reboot.",
)
NO_WATCHDOG = Trap(
    "watchdog-missing",
    "note",
    "A board whose kernel hangs stays dead until somebody pulls the plug.",
    "dtparam=watchdog=on in /boot/firmware/config.txt and RuntimeWatchdogSec=15 in /etc/systemd/system.conf",
)
EXPOSED = Trap(
    "unit-exposed",
    "warning",
    "The service may do more than it needs: what breaks into it owns the board.",
    "Install the unit that comes with the agent, and look at `systemd-analyze security edge-agent.service`.",
)


def devices(scene: Scene) -> Iterator[Finding]:
    """Whether this user may open the cameras that are there."""
    nodes = sorted((scene.root / "dev").glob("video[0-9]*"))
    closed = [node.name for node in nodes if not scene.can_open(node)]
    if closed:
        yield VIDEO.found(f"may not open {_some(closed)}; groups: {' '.join(sorted(scene.groups)) or 'none'}")
    elif nodes:
        yield fine("devices", f"may open {_some([node.name for node in nodes])}")
    else:
        yield Finding("devices", "note", "no /dev/video*: no USB or Pi camera that V4L2 sees")


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def memory_group(scene: Scene) -> Iterator[Finding]:
    """Whether a memory limit would hold."""
    is_on = host.memory_cgroup(scene.root)
    if is_on is False:
        words = [word for word in host.kernel_words(scene.root) if word == "cgroup_disable=memory"]
        yield NO_MEMORY_GROUP.found(f"no memory controller ({words[0]})" if words else "no memory controller")
    elif is_on:
        yield fine("memory-limit", "the kernel limits memory by group")


def watchdog(scene: Scene) -> Iterator[Finding]:
    """A watchdog in hardware."""
    name = host.watchdog(scene.root)
    yield NO_WATCHDOG.found("no hardware watchdog") if name is None else fine("watchdog", name)


def exposure(scene: Scene) -> Iterator[Finding]:
    """What systemd thinks of the unit, where both are there."""
    told = scene.run(("systemd-analyze", "security", "--no-pager", UNIT)) or ""
    found = re.search(r"Overall exposure level for \S+: ([0-9.]{1,5}) ", told)
    if found is None:
        yield Finding("exposure", "note", f"systemd knows no {UNIT} here")
    elif float(found[1]) > MOST_EXPOSURE:
        yield EXPOSED.found(f"{UNIT}: exposure {found[1]} of 10")
    else:
        yield fine("exposure", f"{UNIT}: exposure {found[1]} of 10")


CHECKS = (
    Check("devices", "Rights to cameras", devices, (VIDEO,)),
    Check("memory-limit", "Memory limit", memory_group, (NO_MEMORY_GROUP,)),
    Check("watchdog", "Hardware watchdog", watchdog, (NO_WATCHDOG,)),
    Check("exposure", "The unit's exposure", exposure, (EXPOSED,)),
)
