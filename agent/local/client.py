"""Asks the agent on this board, and reads what it says."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import UnavailableError
from agent.local import place, wire
from agent.local.wire import Reply

GOES_ON = {"bench": "; it goes on: later `edge-agent ask bench-result --save FILE`"}
"""What is said to whoever gives up, by operation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way.

    Attributes:
        op: the operation.
        id: names it; a second one under the same id is not carried out again.
        args: what it takes.
    """

    op: str
    id: str
    args: dict[str, Any]


def ask(
    folders: list[Path],
    asked: Asked,
    *,
    timeout_s: float,
    grace_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Reply]:
    """Every reply, up to the last one.

    Args:
        folders: where the agent may be.
        asked: the request.
        timeout_s: for the last reply.
        grace_s: a reply that says ``left_s`` moves the end to so long after that; None: none does.
        clock: monotonic seconds.

    Raises:
        UnavailableError: no agent answers, or it ends before the last reply.
    """
    begun_s = clock()
    deadline_s = begun_s + timeout_s
    with _connect(folders) as link:
        line = msgspec.json.encode({"op": asked.op, "id": asked.id, "args": asked.args})
        try:
            link.settimeout(timeout_s)
            link.sendall(line + b"\n")
            for reply in _replies(link, deadline_s, grace_s, clock):
                yield reply
                if reply.is_final:
                    return
        except TimeoutError:
            within, then = f"within {round(clock() - begun_s, 2):g} s", GOES_ON.get(asked.op, "")
            raise UnavailableError(f"{asked.op}: the agent did not finish {within}{then}") from None
        except OSError as error:
            raise UnavailableError(f"{asked.op}: the agent cut the connection: {error.strerror}") from None
    raise UnavailableError(f"{asked.op}: the agent ended before it had answered")


def _replies(
    link: socket.socket, deadline_s: float, grace_s: float | None, clock: Callable[[], float]
) -> Iterator[Reply]:
    said = bytearray()
    while len(said) <= wire.MOST_REPLY_BYTES:
        link.settimeout(max(0.001, deadline_s - clock()))
        data = link.recv(65536)
        if not data:
            return
        said += data
        while b"\n" in said:
            line, _, rest = bytes(said).partition(b"\n")
            said = bytearray(rest)
            try:
                reply = msgspec.json.decode(line, type=Reply)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise UnavailableError("what answers there is no agent") from None
            left_s = reply.data.get("left_s")
            if grace_s is not None and isinstance(left_s, int | float):
                deadline_s = max(deadline_s, clock() + left_s + grace_s)
            yield reply


def _connect(folders: list[Path]) -> socket.socket:
    """The first place where an agent answers."""
    faults = []
    for folder in folders:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(5.0)
            with place.address(folder) as address:
                link.connect(address)
        except OSError as error:
            link.close()
            if not isinstance(error, FileNotFoundError | NotADirectoryError | ConnectionRefusedError):
                faults.append(f"{folder / place.NAME}: {error.strerror or error}")
        else:
            return link
    looked = ", ".join(str(folder) for folder in folders)
    mend = "give the --config it was started with, or --socket FOLDER"
    raise UnavailableError("; ".join(faults) or f"no agent found (looked in {looked}); {mend}")
