"""Wakes the mqtt thread, which sleeps on sockets: a byte through a pair of them."""

from __future__ import annotations

import select
import socket
import weakref
from contextlib import suppress


class Wake:
    """``set`` from any thread, about a microsecond; the rest from the thread that sleeps."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._is_set = False
        # Threads may still wake a network that has ended, so the pair closes with its last user and not before.
        for end in (self._reader, self._writer):
            weakref.finalize(self, end.close)

    def fileno(self) -> int:
        """What a poll waits for."""
        return self._reader.fileno()

    def set(self) -> None:
        """Ends the sleep, or the next one."""
        if not self._is_set:
            self._is_set = True
            with suppress(BlockingIOError):
                self._writer.send(b"\0")

    def clear(self) -> None:
        """Before looking at what came in: what comes later sets it anew."""
        self._is_set = False
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def wait(self, timeout_s: float) -> None:
        """Sleeps until set, at most ``timeout_s``."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        poll.poll(max(0.0, timeout_s) * 1000)
