"""A TCP proxy on the way to a server: it can be shut, and it can cut every connection through it with a reset."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

RESET = b"\1\0\0\0\0\0\0\0"
"""struct linger {1, 0}: close() sends RST instead of FIN."""


class Gate:
    """Listens on a free loopback port; open at first."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._is_open = True
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Gate:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="gate", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.shut()

    def open(self) -> None:
        self._is_open = True

    def shut(self) -> None:
        self._is_open = False
        self.cut()

    def cut(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for sock in sockets:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_open:
                    self._connect(near)
                else:
                    near.close()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._upstream))
        except OSError:
            near.close()
            return
        with self._lock:
            self._sockets += [near, far]
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=_carry, args=(source, target), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
