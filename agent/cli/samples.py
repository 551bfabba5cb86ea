"""``samples``: the frames that the agent kept, listed, shown, taken along and removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.options import AsJson, ConfigPath, load_settings

samples_app = typer.Typer(no_args_is_help=True, help="Look at the frames that were kept, take them along, remove them.")

StoreFolder = Annotated[
    Path | None, typer.Option("--folder", help="Where they lie, when not where the settings say: a copy, for example.")
]
Why = Annotated[
    Literal["command", "evidence", "coverage", "threshold", "audit"] | None,
    typer.Option(help="Only those kept for this reason."),
]
Last = Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Whole names, or their numbers.")]

_SHEETS = {".jpg", ".jpeg", ".png"}
_DAY_S = 86_400.0


@samples_app.command(name="list")
def list_frames(
    config: ConfigPath = None, folder: StoreFolder = None, why: Why = None, last: Last = None, as_json: AsJson = False
) -> None:
    """Say which frames are kept: when, why, what the model saw.

    Example: edge-agent samples list --config agent.toml --why evidence --last 20
    """
    from agent import samples

    picked = samples.pick(_folder(config, folder), (), why, last)
    lines = [json.dumps(samples.as_json(picked.folder, kept)) for kept in picked.kept]
    if text := "\n".join(lines if as_json else samples.listed(picked)):
        typer.echo(text)


@samples_app.command()
def show(
    name: Annotated[str, typer.Argument(help="Its whole name, or its number.")],
    config: ConfigPath = None,
    folder: StoreFolder = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the picture with its boxes to this file (.jpg, .png).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell everything about one frame.

    Example: edge-agent samples show 17 --save boxes.jpg
    """
    from agent import samples
    from agent.annotate import write_picture
    from agent.sample import picture

    picked = samples.pick(_folder(config, folder), [name])
    kept = picked.kept[0]
    if save is not None:
        write_picture(save, samples.with_boxes(picture(picked.folder, kept.record), kept.record))
    if as_json:
        typer.echo(json.dumps(samples.as_json(picked.folder, kept)))
    else:
        typer.echo("\n".join(samples.shown(picked.folder, kept)))


@samples_app.command()
def export(
    target: Annotated[
        Path, typer.Argument(help="A new folder for a data set; or a .jpg or .png file for a contact sheet.")
    ],
    config: ConfigPath = None,
    folder: StoreFolder = None,
    why: Why = None,
    last: Last = None,
) -> None:
    """Take frames along: pictures, COCO annotations and a manifest in a folder, or one picture of them all.

    The folder can be given to `edge-agent recalibrate`. The boxes are the model's answers, not the truth.

    Example: edge-agent samples export kept/ --last 60
    """
    from agent import samples

    picked = samples.pick(_folder(config, folder), (), why, last)
    if target.suffix.lower() in _SHEETS:
        count = samples.write_sheet(picked.folder, picked.kept, target)
        typer.echo(f"{target}: {count} of {samples.frames(len(picked.kept))}")
        return
    written = samples.write_dataset(picked.folder, picked.kept, target)
    typer.echo(f"{target}: {written.frames} of {samples.frames(len(picked.kept))}")
    for left, told in written.left_out.items():
        typer.echo(f"left out: {left}: {told}", err=True)


@samples_app.command()
def purge(
    names: Names = None,
    config: ConfigPath = None,
    folder: StoreFolder = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of them, and what is damaged or half written.")
    ] = False,
    older_than_days: Annotated[float | None, typer.Option(min=0, help="Only those kept longer ago.")] = None,
    why: Why = None,
) -> None:
    """Remove frames for good; a running agent notices.

    Example: edge-agent samples purge --older-than-days 7
    """
    from datetime import UTC, datetime

    from agent import samples

    place = _folder(config, folder)
    if everything and (names or why or older_than_days is not None):
        raise typer.BadParameter("--all stands alone", param_hint="--all")
    if everything:
        count, rest = samples.purge_all(place)
        typer.echo(f"{samples.frames(count)} removed{rest and '; '}{rest}")
        return
    if not names and why is None and older_than_days is None:
        raise typer.BadParameter("say which frames: names, --why, --older-than-days, or --all", param_hint="NAME")
    picked = samples.pick(place, names or (), why)
    meant = [kept.name for kept in picked.kept]
    if older_than_days is not None:
        old = set(samples.older_than(picked.shelf, older_than_days * _DAY_S, datetime.now(UTC).timestamp()))
        meant = [each for each in meant if each in old]
    typer.echo(f"{samples.frames(samples.purge(place, meant))} removed")


def _folder(config: Path | None, folder: Path | None) -> Path:
    from agent.samples import store_folder

    return folder if folder is not None else store_folder(load_settings(config, {}))
