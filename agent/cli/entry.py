"""The command ``edge-agent``: puts the commands together, and turns what goes wrong into a line and an exit code."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Annotated

import typer

from agent import __version__
from agent.cli import benching, broker, health, local, model, parity, repair, running, samples, settings
from agent.cli.plain import PlainGroup
from agent.errors import AgentError

app = typer.Typer(
    name="edge-agent",
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run a quantized SSD on camera frames, and know how fast, how hot and how wrong it is.",
    epilog="Exit codes: 0 ok, 2 usage, 65 model, 66 camera, 69 broker, 70 bug, 74 disk, 75 try again, 78 settings.",
)
for command in (
    running.run,
    running.detect,
    running.check,
    health.doctor,
    benching.bench,
    parity.parity,
    repair.recalibrate,
    local.status,
    local.ask,
    broker.topics,
):
    app.command()(command)
app.add_typer(settings.config_app, name="config")
app.add_typer(broker.mqtt_app, name="mqtt")
app.add_typer(model.model_app, name="model")
app.add_typer(samples.samples_app, name="samples")


INTERRUPTED = 130
"""Ctrl-C where nothing had begun: what a shell says of it."""


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Run a quantized SSD on camera frames, and know how fast, how hot and how wrong it is."""


def main() -> None:
    """Run the command line, and turn whatever goes wrong into one line and an exit code."""
    code = _run_app()
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.name == "camera" for thread in threading.enumerate()):
        # It hangs in native code and cannot be interrupted; Python's own exit under it ends in SIGABRT.
        os._exit(code)
    sys.exit(code)


def _run_app() -> int:
    try:
        app()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(bool(left.code))
    except KeyboardInterrupt:  # before a command has taken the signal to itself
        return INTERRUPTED
    except AgentError as error:
        sys.stderr.write(f"edge-agent: {error}\n")
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # the supervisor: the one place where a bug ends as a sentence
        if os.environ.get("EDGE_AGENT_DEBUG"):
            traceback.print_exc()
        last = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
        sys.stderr.write(f"edge-agent: bug: {kind}: {error}; run it with EDGE_AGENT_DEBUG=1 and report what it says\n")
        return AgentError.exit_code
    return 0
