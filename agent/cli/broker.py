"""``topics`` and ``mqtt purge``: what travels, and what the broker keeps."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from agent.cli.options import AsJson, ConfigPath, load_settings

mqtt_app = typer.Typer(no_args_is_help=True, help="Look after what the broker keeps.")


def topics(
    as_json: AsJson = False,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="Print the contract as an AsyncAPI 3 document.")] = False,
    schema: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Print the JSON Schema of one topic's payload (m/perf).")
    ] = None,
) -> None:
    """Print what travels over MQTT: every topic, what is sent there, and how.

    Example: edge-agent topics --schema m/perf
    """
    from agent.publish import asyncapi as document
    from agent.publish import listing

    if asyncapi:
        typer.echo(document.shipped(), nl=False)
    elif schema is not None:
        typer.echo(json.dumps(listing.schema_of(schema)))
    else:
        typer.echo(listing.lines() if as_json else listing.table())


@mqtt_app.command()
def purge(
    config: ConfigPath = None,
    site: Annotated[str | None, typer.Option(help="The board's site, when it is another one.")] = None,
    device: Annotated[str | None, typer.Option(help="The board's id, when it is another one.")] = None,
) -> None:
    """Empty what the broker keeps of a board that is taken out of service: state, birth, health, alarms, discovery."""
    from agent import publish
    from agent.board import device_id

    settings = load_settings(config, {"device.site": site, "device.id": device})
    prefix, board = settings.homeassistant.prefix, device_id(settings)
    typer.echo(publish.purge(settings.mqtt, prefix, site=settings.device.site, device=board))
