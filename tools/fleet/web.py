"""The page's server on a thread of its own, so that a command can go on beside it."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from agent.errors import UnavailableError

_TRIED = 20
"""Ports that are tried one after the other when none was asked for."""

_START_S = 10.0


def listen(port: int | None, first: int = 0) -> socket.socket:
    """A socket on 127.0.0.1.

    Args:
        port: exactly this one; None: a free one.
        first: where to begin to look for a free one; 0: anywhere.

    Raises:
        UnavailableError: it is taken, or none is free.
    """
    for candidate in [port] if port else [*range(first, first + _TRIED * bool(first)), 0]:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen()
        except OSError as error:
            listener.close()
            if port:
                raise UnavailableError(f"port {port}: {_why(error)}; leave --port out for a free one") from None
        else:
            return listener
    raise UnavailableError("no port is free on 127.0.0.1 for the page")


@contextlib.contextmanager
def serving(app: Starlette, listener: socket.socket) -> Iterator[str]:
    """Serve until the end of the block; gives the page's address.

    Raises:
        UnavailableError: it does not start.
    """
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=4, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="page", daemon=True)
    thread.start()
    try:
        deadline_s = time.monotonic() + _START_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline_s:
                raise UnavailableError("the page's server does not start")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        app.state.stopping.set()
        server.should_exit = True
        thread.join(_START_S)
        listener.close()


def _why(error: OSError) -> str:
    return "is taken" if error.errno == errno.EADDRINUSE else str(error.strerror)
