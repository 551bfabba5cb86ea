"""A small disk of a test's own that can become full, read-only or vanish. Needs root, and the right to mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


def why_not() -> str:
    """Why there can be no such disk here; empty when there can."""
    return "" if os.geteuid() == 0 else "mounting a disk takes root"


def run(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)


@dataclass
class Volume:
    """Mounted at ``path`` from ``mount`` to ``unmount``; a tmpfs, or (``image``) an ext4 in a loop device."""

    path: Path
    size_kib: int = 512
    image: Path | None = None
    held: list[Path] = field(default_factory=list)

    def mount(self) -> Volume:
        self.path.mkdir(parents=True, exist_ok=True)
        if self.image is None:
            run("mount", "-t", "tmpfs", "-o", f"size={self.size_kib}k", "none", self.path)
            return self
        if not self.image.exists():
            with self.image.open("wb") as file:
                file.truncate(self.size_kib * 1024)
            run("mkfs.ext4", "-q", "-e", "remount-ro", self.image)
        run("mount", "-o", "loop", self.image, self.path)
        return self

    def unmount(self) -> None:
        if os.path.ismount(self.path):
            run("umount", "-l", self.path)

    def fill(self, leave_kib: int = 0) -> None:
        """Takes all room but so much."""
        size = 0
        with (self.path / "filler").open("wb", buffering=0) as file:
            for step in (2**20, 2**16, 2**10):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), size, step)  # taken, and not written
                        size += step
            file.truncate(max(0, size - leave_kib * 1024))

    def free(self) -> None:
        (self.path / "filler").unlink()

    def break_down(self) -> None:
        """The file system finds a fault in itself and goes read-only under whoever has it open, as a worn card does."""
        device = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(self.path)], check=True, capture_output=True, text=True
        ).stdout.strip()
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")

    def remount(self, how: str) -> None:
        run("mount", "-o", f"remount,{how}", self.path)


Volumes = Callable[..., Volume]
"""Makes one: its size in KiB, and whether it is an ext4."""
