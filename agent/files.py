"""A file that is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, data: bytes, *, safely: bool = True, mode: int | None = None) -> None:
    """Write beside the place, then move there: a reader, a kill and a power cut find the old file or the new one.

    Args:
        path: where; the folder must be there.
        data: what.
        safely: wait until the disk has the bytes and the name. Without, a power cut may leave an empty file.
        mode: permission bits; None: as the process's umask says.

    Raises:
        OSError: the disk refuses; nothing is left behind, and what was there stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb", opener=_open_own) as file:  # Path.open takes no opener
            file.write(data)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if safely:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
        if safely:
            sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's names: what was moved or removed there stays so.

    Raises:
        OSError: the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open_own(path: str, flags: int) -> int:
    # In a folder that others may write to, a link of this name would lead anywhere.
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
