"""A file that is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

_DEVICES = Path("/dev")

_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}
"""What a network share says, or a folder that may be written to and not listed: its names are safe when it likes."""


def write_whole(path: Path, data: bytes, *, safely: bool = True, mode: int | None = None) -> None:
    """Write beside the place, then move there: a reader, a kill and a power cut find the old file or the new one.

    What lies in /dev is written to as it is: root would put a file in the place of /dev/null.

    Args:
        path: where; the folder must be there.
        data: what.
        safely: wait until the disk has the bytes and the name. Without, a power cut may leave an empty file.
        mode: permission bits; None: as the process's umask says.

    Raises:
        OSError: the disk refuses; nothing is left behind, and what was there stays.
    """
    if path.parent == _DEVICES:
        path.write_bytes(data)
        return
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


def remove(path: Path) -> bool:
    """Remove a file, and wait until the disk has forgotten its name; False when there was none.

    Raises:
        OSError: the disk refuses.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's names: what was moved or removed there stays so, where that can be asked.

    Raises:
        OSError: the disk refuses.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _open_own(path: str, flags: int) -> int:
    # In a folder that others may write to, a link of this name would lead anywhere.
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
