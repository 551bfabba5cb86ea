"""The command that repairs a deployed model: ``recalibrate``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from agent.cli.options import (
    AsJson,
    BackendName,
    BundlePath,
    ConfigPath,
    LabelsPath,
    ModelPath,
    Threads,
    Threshold,
    load_settings,
    log_to,
    model_options,
    runtime_options,
)

_MOST_BLOCK = 512
"""Pictures that are looked at, at most."""


def recalibrate(
    frames: Annotated[
        Path | None, typer.Argument(help="Folder of pictures from this camera, named in the order they were taken.")
    ] = None,
    config: ConfigPath = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    threshold: Threshold = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of pictures from when the model was right; else the light kept here.")
    ] = None,
    rung: Annotated[
        Literal["correct", "recalibrate"] | None, typer.Option(help="Try this one only: the light, or the ranges.")
    ] = None,
    ranges: Annotated[
        Literal["wide", "twin"], typer.Option(help="Measure with the quantized model alone, or with its float twin.")
    ] = "wide",
    estimator: Annotated[
        Literal["mse", "min-max", "percentile"], typer.Option(help="How inner ranges are chosen; heads keep all.")
    ] = "mse",
    block: Annotated[
        str, typer.Option(help="Consecutive pictures that count as one piece of evidence; auto: as their light says.")
    ] = "auto",
    float_model: Annotated[
        Path | None, typer.Option("--float", help="The float model it was made from; else the bundle's.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with pictures to this .html file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take away what was learned about this model.")] = False,
    as_json: AsJson = False,
) -> None:
    """Repair the deployed model from kept pictures: correct the light, measure the ranges anew, prove each.

    Half of the pictures fit and measure, the other half judges. A gain that may be chance is not applied, and each
    rung says why. Labels, TensorFlow and the float model are not needed. In force at the next start.

    Example: edge-agent recalibrate kept/ --model ssd.tflite --reference good/ --report repair.html
    """
    settings = load_settings(
        config,
        {**model_options(model, labels, bundle, threshold), **runtime_options(backend, threads, None)},
    )
    from agent import console

    log_to(settings, console.LogLines(console.StatusLine()))
    from agent.repair import Job, repair, take_back

    if undo and dry_run:
        raise typer.BadParameter("give one of --undo and --dry-run", param_hint="--undo")
    if undo:
        typer.echo(take_back(settings))
        return
    if frames is None:
        raise typer.BadParameter("give a folder of pictures", param_hint="FRAMES")
    from agent.recalibrate.application import Plan

    job = Job(
        frames=frames,
        plan=Plan(ranges, estimator, _block(block)),
        reference=reference,
        float_model=float_model,
        rungs=(rung,) if rung else ("correct", "recalibrate"),
        report=report,
        dry_run=dry_run,
    )
    with _progress(quiet=as_json) as tick:
        done = repair(settings, job, tick)
    typer.echo(json.dumps(done.as_json) if as_json else done.text)


def _block(given: str) -> int | None:
    if given == "auto":
        return None
    is_number = given.isascii() and given.isdigit() and len(given) <= len(str(_MOST_BLOCK))
    if not is_number or not 1 <= int(given) <= _MOST_BLOCK:
        raise typer.BadParameter(f"give auto, or a number from 1 to {_MOST_BLOCK}", param_hint="--block")
    return int(given)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere; called with how many frames there are in all."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    bars: list[Any] = []

    def tick(total: int) -> None:
        if not bars:
            bars.append(typer.progressbar(length=total, label="proving", file=sys.stderr))
            bars[0].__enter__()
        bars[0].update(1)

    try:
        yield tick
    finally:
        if bars:
            bars[0].__exit__(None, None, None)
