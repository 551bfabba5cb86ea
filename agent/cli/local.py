"""``status`` and ``ask``: what is said with the agent that runs on this board."""

from __future__ import annotations

import json
import secrets
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli import saved
from agent.cli.options import AsJson, ConfigPath, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.local import Asked
    from agent.local.wire import Reply

SocketFolder = Annotated[
    Path | None, typer.Option("--socket", help="Folder of the agent's socket, when it is unusual.")
]

EXIT = {"bad-args": 2, "unsupported": 2, "bad-request": 2, "no-camera": 66, "bug": 70, "disk": 74, "off": 78}
"""By the code of the last reply; anything else that did not succeed is 75, try again."""

USUAL_S = 60.0
GRACE_S = 240.0
"""Of a benchmark, beyond what it said was left: a slow model says little on its way."""


def status(
    config: ConfigPath = None,
    socket: SocketFolder = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until Ctrl-C.")] = False,
) -> None:
    """Say how the agent on this board is: state, model, camera, frames, heat, pace, broker.

    Exits with 75 when none runs.
    """
    from agent.errors import UnavailableError
    from agent.local import lines

    folders = _folders(config, socket)
    while True:
        last = _last(folders, "status", {}, 10.0)
        if last.status != "succeeded":
            raise UnavailableError(f"status: {last.message}")
        typer.echo(json.dumps(last.data) if as_json else "\n".join(lines(last.data)))
        if not watch:
            return
        time.sleep(2.0)
        if not as_json:
            typer.echo()


def ask(
    op: Annotated[
        str,
        typer.Argument(
            help="What is asked: snapshot, diag, restart, loglevel, relearn; what is unknown is answered by the list."
        ),
    ],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="What it takes.")] = None,
    config: ConfigPath = None,
    socket: SocketFolder = None,
    name: Annotated[str, typer.Option("--id", help="Names the request; the same id is not carried out twice.")] = "",
    timeout: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds to wait for the last reply; else 60, and of bench as long as it lasts."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="snapshot: write the picture to this file; bench-result: the whole result.")
    ] = None,
) -> None:
    """Ask something of the agent on this board, as over MQTT, and print its replies, one line of JSON each.

    Exits with 0 when it succeeded, 2 when the request was wrong, 75 when a benchmark is not valid, else 75 or the
    fault's own code.

    Example: edge-agent ask loglevel level=debug for_s=60
    """
    from agent.local import Asked

    asked = Asked(op, name or f"cli-{secrets.token_hex(6)}", dict(map(_argument, arguments or [])))
    code = 75
    folders = _folders(config, socket)
    for reply in _replies(folders, asked, timeout):
        if save is not None and reply.status == "succeeded":
            saved.save(save, reply, partial(_part, folders, reply))
        typer.echo(json.dumps(saved.shown(reply, save, is_terminal=sys.stdout.isatty())))
        code = _exit_code(reply)
    raise typer.Exit(code)


def _exit_code(reply: Reply) -> int:
    """A benchmark that is not to be believed ends as ``edge-agent bench`` does."""
    if reply.status == "succeeded":
        return 75 if reply.code == "not-valid" else 0
    return EXIT.get(reply.code, 75)


def _replies(folders: list[Path], asked: Asked, timeout_s: float | None) -> Iterator[Reply]:
    """All replies; the last one to ``restart`` is given by the next start, to the same id."""
    from agent.errors import UnavailableError
    from agent.local import ask

    grace_s = GRACE_S if asked.op == "bench" and timeout_s is None else None
    deadline_s, begun = time.monotonic() + (timeout_s or _patience_s(asked)), False
    is_over = False
    while not is_over:
        try:
            for reply in ask(folders, asked, timeout_s=max(0.1, deadline_s - time.monotonic()), grace_s=grace_s):
                is_over = reply.is_final
                if is_over or not begun or asked.op != "restart":
                    yield reply
                    begun = True
        except UnavailableError:
            if asked.op != "restart" or not begun or time.monotonic() >= deadline_s:
                raise
            time.sleep(0.5)


def _patience_s(asked: Asked) -> float:
    """How long a request may take: of ``bench`` by what it asks for; what is wrong is refused at once."""
    if asked.op != "bench":
        return USUAL_S
    import msgspec

    from agent.bench import Plan
    from agent.commands.benching import longest_s

    try:
        return longest_s(msgspec.convert(asked.args, Plan)) + GRACE_S
    except msgspec.ValidationError:
        return USUAL_S


def _part(folders: list[Path], first: Reply, part: int) -> Reply:
    """A further part of the result whose first part came."""
    return _last(folders, "bench-result", {"name": first.data.get("name", ""), "part": part}, USUAL_S)


def _folders(config: Path | None, socket: Path | None) -> list[Path]:
    from agent.local import candidates

    if socket is not None:
        return [socket.parent if socket.name == "agent.sock" else socket]
    return candidates(load_settings(config, {}).device.state_dir)


def _last(folders: list[Path], op: str, args: dict[str, Any], timeout_s: float) -> Reply:
    from agent.local import Asked, ask

    return list(ask(folders, Asked(op, f"cli-{secrets.token_hex(6)}", args), timeout_s=timeout_s))[-1]


def _argument(word: str) -> tuple[str, Any]:
    """``lines=5`` is the number 5, ``level=debug`` the word."""
    name, sign, text = word.partition("=")
    if not sign or not name:
        raise typer.BadParameter(f"{word!r} is no NAME=VALUE")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text
