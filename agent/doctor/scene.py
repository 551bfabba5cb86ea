"""What the doctor looks at: the tree of ``/sys`` and ``/proc``, and what cannot be put into a tree, as arguments."""

from __future__ import annotations

import ctypes.util
import grp
import importlib.metadata
import importlib.util
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.config import Config
from agent.measure import disk, host
from agent.publish import wall_clock

PACKAGES = ("ai-edge-litert", "tflite-runtime", "numpy", "opencv-python", "opencv-python-headless", "picamera2")
COMMAND_S = 20.0
"""``systemd-analyze security`` takes one to two seconds on a small board."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How the try in a child process went, in a sentence, and the class that so many threads lose, if any."""

    seen: str
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """One machine as the doctor sees it; every field can be made up by a test.

    Attributes:
        config: the settings.
        device: the board's name in the fleet.
        root: folder in front of ``/sys``, ``/proc``, ``/dev``, ``/run`` and ``/usr``.
        state: folder that the agent keeps things in; None when none can be written.
        python: major and minor version.
        pointer_bits: 32 or 64, of this Python.
        machine: what the kernel calls the processor.
        packages: versions of what is installed of :data:`PACKAGES`.
        sees_system: this Python sees the distribution's packages.
        has_picamera2: picamera2 can be imported here.
        is_root: this process may do everything.
        groups: names of this process's groups.
        can_open: whether a device may be read and written.
        kernel_synced: see :func:`agent.measure.host.kernel_clock_synced`.
        space: room in the file system of a folder.
        library: where a shared library is, by name; None when the loader does not find it.
        run: what a command prints, or None when there is no such command.
        prove: tries the model once in a child process, and says how that went; raises as :func:`agent.infer.prove`.
        now_s: unix seconds.
    """

    config: Config
    device: str = "board"
    root: Path = Path("/")
    state: Path | None = None
    python: tuple[int, int] = (3, 11)
    pointer_bits: int = 64
    machine: str = "aarch64"
    packages: Mapping[str, str] = field(default_factory=dict)
    sees_system: bool = True
    has_picamera2: bool = False
    is_root: bool = False
    groups: frozenset[str] = frozenset()
    can_open: Callable[[Path], bool] = lambda path: path.exists()
    kernel_synced: Callable[[], bool | None] = lambda: None
    space: Callable[[Path], disk.Space | None] = disk.space
    library: Callable[[str], str | None] = lambda _: None
    run: Callable[[Sequence[str]], str | None] = lambda _: None
    prove: Callable[[], Tried] | None = None
    now_s: float = 0.0


def look_around(config: Config, *, device: str, folder: Path, prove: Callable[[], Tried] | None) -> Scene:
    """This machine."""
    return Scene(
        config=config,
        device=device,
        root=Path(config.measure.sys_root),
        state=folder if may_write(folder) else None,
        python=sys.version_info[:2],
        pointer_bits=8 * struct.calcsize("P"),
        machine=platform.machine(),
        packages=_packages(),
        sees_system=_sees_system(Path(sys.prefix)),
        has_picamera2=importlib.util.find_spec("picamera2") is not None,
        is_root=os.geteuid() == 0,
        groups=_groups(),
        can_open=lambda path: os.access(path, os.R_OK | os.W_OK),
        kernel_synced=host.kernel_clock_synced,
        library=ctypes.util.find_library,
        run=run_command,
        prove=prove,
        now_s=wall_clock(),
    )


def may_write(folder: Path) -> bool:
    """Whether this process could keep things there; makes nothing, so that no folder is left in another's name."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _sees_system(prefix: Path) -> bool:
    """Not in a closed environment: its ``pyvenv.cfg`` says whether it is one."""
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return True
    words = dict(row.lower().replace(" ", "").split("=", 1) for row in text.splitlines() if "=" in row)
    return words.get("include-system-site-packages") == "true"


def _groups() -> frozenset[str]:
    names = set()
    for number in {*os.getgroups(), os.getegid()}:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(names)


def run_command(words: Sequence[str]) -> str | None:
    """What a command prints, errors included; None when it is not there or does not end."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=COMMAND_S, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr
