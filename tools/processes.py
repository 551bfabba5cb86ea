"""Child processes that end with us: on leaving the block, and also when we are killed."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

from agent.errors import UnavailableError

_END_S = 10.0
"""For a child to end by itself after it was asked to."""


@contextlib.contextmanager
def running(command: list[str], *, quiet: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; at the end of the block it is asked to end (SIGTERM), and killed after ten seconds.

    It gets a session of its own: Ctrl-C in the terminal reaches us alone, and we end the children in their order.

    Args:
        command: the program and its arguments.
        quiet: throw away what it writes.

    Raises:
        UnavailableError: it cannot be started.
    """
    output = subprocess.DEVNULL if quiet else None
    try:
        child = subprocess.Popen(
            [*_bound(), *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    except OSError as error:
        raise UnavailableError(f"{command[0]}: cannot be started: {error.strerror}") from None
    try:
        yield child
    finally:
        end(child)


def end(child: subprocess.Popen[bytes]) -> int:
    """Ask a child to end and wait for it; returns its exit code, negative for a signal."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def wait_until(ready: Callable[[], bool], child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for something that a child is to bring about; False when it ended first or took too long."""
    deadline_s = time.monotonic() + timeout_s
    while not ready():
        if child.poll() is not None or time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


def _bound() -> list[str]:
    # The kernel ends the child when this process is killed and can end nothing any more (prctl(2), PR_SET_PDEATHSIG).
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
