"""Where the socket is, and who holds it.

Under systemd that is ``$RUNTIME_DIRECTORY`` (mode 0660: the service's group may ask), else the state folder (0600). A
path may be longer than the 107 bytes that a socket's address takes: it is then reached through its open folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.errors import UnavailableError

NAME = "agent.sock"
LOCK = "agent.lock"
MOST_ADDRESS_BYTES = 107
"""sizeof(sun_path) is 108 on Linux, a final NUL included (unix(7))."""

SYSTEM = Path("/run/edge-agent")
"""What systemd makes for ``RuntimeDirectory=edge-agent``."""


def runtime_folder() -> Path | None:
    """Systemd's folder for this service."""
    named = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(named) if named else None


def folder_of(state: Path | None) -> Path | None:
    """Where an agent with this state folder listens; None: nowhere."""
    return runtime_folder() or state


def candidates(named_state: str) -> list[Path]:
    """Where a person's agent may listen, best first.

    Args:
        named_state: ``device.state_dir`` of the settings; empty: the usual places.
    """
    if named_state:
        found = [Path(named_state), runtime_folder(), SYSTEM]
    else:
        state = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        home = Path.home() / ".local" / "state" / "edge-agent"
        found = [runtime_folder(), Path(state) if state else None, SYSTEM, home]
    return [folder for folder in found if folder is not None]


@contextmanager
def address(folder: Path, name: str = NAME) -> Iterator[str]:
    """The socket's address, short enough for the kernel whatever the folder is called.

    Raises:
        OSError: the folder cannot be opened.
    """
    path = str(folder / name)
    if len(os.fsencode(path)) <= MOST_ADDRESS_BYTES:
        yield path
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


class Claim:
    """This process alone answers for a folder; a dead one's claim is void.

    Raises:
        UnavailableError: another agent runs on it.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise UnavailableError(
                f"{folder}: another agent{f' (process {holder})' if holder.isdigit() else ''} runs on this state; "
                "stop it, or give this one a device.state_dir of its own"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let somebody else have it."""
        with suppress(OSError):  # let go already
            os.close(self._descriptor)
