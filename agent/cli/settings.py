"""``config init``, ``config show`` and ``config explain``."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import AsJson, ConfigPath

config_app = typer.Typer(no_args_is_help=True, help="Write, show and explain the configuration.")


@config_app.command()
def init(
    path: Annotated[str, typer.Argument(help="File to write; - for the terminal.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a configuration to start from: every setting, with its meaning and its default."""
    from agent.config import template
    from agent.errors import StorageError
    from agent.files import write_whole

    if path == "-":
        typer.echo(template(), nl=False)
        return
    target = Path(path)
    try:
        if force and target.exists():
            write_whole(target, template().encode(), mode=target.stat().st_mode & 0o777)
        else:
            with target.open("x", encoding="utf-8") as file:
                file.write(template())
    except FileExistsError:
        raise StorageError(f"{target}: is there already; --force writes over it") from None
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}") from None
    typer.echo(f"{target}: written; next: edge-agent check --config {target}", err=True)


@config_app.command()
def show(config: ConfigPath = None) -> None:
    """Print the settings, defaults included, as TOML; what a bundle's manifest gives is left out."""
    from agent import config as settings

    typer.echo(settings.to_toml(settings.load(config)), nl=False)


@config_app.command()
def explain(
    key: Annotated[str, typer.Argument(help="A setting (camera.stall_s), a table (camera), or nothing for all.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what settings mean, their unit, their range and their default."""
    import msgspec

    from agent.config import settings
    from agent.errors import ConfigError

    rows = [row for row in settings() if not key or row.key == key or row.key.startswith((f"{key}.", f"{key}[]."))]
    if not rows:
        near = difflib.get_close_matches(key, [row.key for row in settings()], n=1)
        mend = f"did you mean {near[0]}?" if near else "`edge-agent config explain` lists all"
        raise ConfigError(f"no setting is called {key!r}; {mend}")
    for row in rows:
        if as_json:
            typer.echo(msgspec.json.encode(row).decode())
            continue
        facts = [
            row.kind,
            row.allowed,
            f"in {row.unit}" if row.unit else "",
            f"default {row.default}" if row.default else "",
        ]
        typer.echo(f"{row.key}\n    {row.description}\n    {'; '.join(fact for fact in facts if fact)}")
