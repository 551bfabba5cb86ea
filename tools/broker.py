"""A broker on loopback for as long as it is needed: mosquitto where it is installed, else one in Python."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.errors import UnavailableError
from tools.processes import running, wait_until

_START_S = 15.0
_SBIN = "/usr/sbin:/usr/local/sbin"
"""Where Debian puts mosquitto; not on the PATH of everybody."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that runs.

    Attributes:
        name: ``mosquitto`` or ``amqtt``.
        port: on 127.0.0.1.
    """

    name: str
    port: int


@contextlib.contextmanager
def local_broker(folder: Path) -> Iterator[Broker]:
    """Run a broker that only this machine reaches.

    Args:
        folder: takes its configuration; nothing is kept there.

    Raises:
        UnavailableError: there is none, or it does not start; the sentence says what to install.
    """
    port = free_port()
    name, command = choose(folder, port)
    with started(name, command, port) as broker:
        yield broker


@contextlib.contextmanager
def started(name: str, command: list[str], port: int) -> Iterator[Broker]:
    """Run this broker.

    Raises:
        UnavailableError: it does not listen on its port.
    """
    with running(command, quiet=True) as child:
        if not wait_until(lambda: _listens(port), child, _START_S):
            raise UnavailableError(f"{name} does not start on port {port}; try it by hand: {' '.join(command)}")
        yield Broker(name, port)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now.

    Raises:
        UnavailableError: the machine has none left.
    """
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            raise UnavailableError(f"no port is free on 127.0.0.1: {error.strerror}") from None
        return int(probe.getsockname()[1])


def find_mosquitto() -> str | None:
    """Where it is installed."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def choose(folder: Path, port: int, mosquitto: Callable[[], str | None] = find_mosquitto) -> tuple[str, list[str]]:
    """Name and command line of the broker to run.

    Raises:
        UnavailableError: none is installed.
    """
    program = mosquitto()
    if program is not None:
        config = folder / "mosquitto.conf"
        # Changing its user, it would no longer be ended with us (prctl(2)), and could not read the folder.
        user = "user root\n" if os.geteuid() == 0 else ""
        lines = f"{user}listener {port} 127.0.0.1\nallow_anonymous true\nlog_type error\n"
        config.write_text(lines, encoding="utf-8")
        return "mosquitto", [program, "-c", str(config)]
    if importlib.util.find_spec("amqtt") is not None:
        return "amqtt", [sys.executable, "-m", "tools.broker", str(port)]
    raise UnavailableError("no MQTT broker: apt install mosquitto, or pip install 'edge-agent[demo]'")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serve(port: int) -> None:
    """Be the broker in Python until a signal ends it. MQTT 3.1.1, in memory, for a demonstration."""
    from amqtt.broker import Broker as Amqtt  # noqa: PLC0415  # an extra, and only this process needs it

    async def run() -> None:
        broker = Amqtt(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        await asyncio.Event().wait()

    logging.disable(logging.ERROR)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    serve(int(sys.argv[1]))
