"""What several integration tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.servers.volume import Volume, Volumes, why_not


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    """Makes small disks of the test's own, mounted; they go with the test."""
    made: list[Volume] = []

    def make(size_kib: int = 512, *, ext4: bool = False) -> Volume:
        if why_not():
            missing(why_not())
        image = tmp_path / "image" if ext4 else None
        made.append(Volume(tmp_path / f"disk{len(made)}", size_kib, image))
        try:
            return made[-1].mount()
        except subprocess.CalledProcessError as error:
            missing(f"no right to mount: {error.stderr.strip()}")
            raise

    yield make
    for volume in made:
        volume.unmount()
