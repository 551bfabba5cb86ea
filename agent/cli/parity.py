"""``parity``: two ways of running a model, on the same frames."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.cli.options import (
    AsJson,
    BackendName,
    BundlePath,
    CameraUri,
    ConfigPath,
    DelegateName,
    LabelsPath,
    ModelPath,
    Threads,
    Threshold,
    chosen_settings,
    model_options,
    runtime_options,
)

if TYPE_CHECKING:
    from agent.config import Config

_OTHER = "of the other side; as the first when not given"


def parity(
    config: ConfigPath = None,
    camera: CameraUri = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    delegate: DelegateName = None,
    threshold: Threshold = None,
    other_model: Annotated[Path | None, typer.Option(help=f"The .tflite {_OTHER}.")] = None,
    other_labels: Annotated[Path | None, typer.Option(help=f"Label file {_OTHER}.")] = None,
    other_bundle: Annotated[str | None, typer.Option(help=f"The .bundle {_OTHER}.")] = None,
    other_backend: Annotated[
        Literal["auto", "litert", "tflite-runtime"] | None, typer.Option(help=f"Runtime {_OTHER}.")
    ] = None,
    other_threads: Annotated[int | None, typer.Option(min=1, help=f"Threads {_OTHER}.")] = None,
    other_delegate: Annotated[str | None, typer.Option(help=f"Delegate {_OTHER}; none: the CPU.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="At most so many frames.")] = 600,
    tolerance: Annotated[float, typer.Option(min=0, max=1, help="Share of boxes that one side alone may see.")] = 0.05,
    iou_tolerance: Annotated[float, typer.Option(min=0, max=1, help="Least mean overlap of pairs.")] = 0.9,
    score_tolerance: Annotated[float, typer.Option(min=0, max=1, help="Greatest mean score difference.")] = 0.03,
    as_json: AsJson = False,
) -> None:
    """Compare two ways of running a model on the same real frames: do they see the same things?

    Each side runs in a child process of its own. Exits with 0 when they are the same, 65 when they differ, 75 when it
    cannot be told, and with a side's own code when it fails.

    Example: edge-agent parity --bundle parts.bundle --camera frames/ --delegate edgetpu --other-delegate none
    """
    one = chosen_settings(
        config, camera, model_options(model, labels, bundle, threshold) | runtime_options(backend, threads, delegate)
    )
    from agent.parity import Tolerance, compare, json_text, plan_beside, plan_side, text
    from agent.parity.pictures import Pictures

    changes = _other_model(other_model, other_labels, other_bundle)
    changes |= runtime_options(other_backend, other_threads, "" if other_delegate == "none" else other_delegate)
    first = plan_side("one", one)
    # what the first side's bundle says of labels, thresholds and input holds for another file of the same model too
    base = first.config if other_model is not None and other_bundle is None else one
    second = plan_beside("other", _changed(base, changes), first)
    pictures = Pictures(one, frames)
    limits = Tolerance(tolerance, iou_tolerance, score_tolerance)
    found = compare(first, second, pictures, limits, on_frame=_progress(frames))
    found = replace(found, corrupt_frames=pictures.corrupt_total)
    typer.echo(json_text(found) if as_json else text(found))
    raise typer.Exit(found.exit_code)


def _other_model(model: Path | None, labels: Path | None, bundle: str | None) -> dict[str, Any]:
    changes = model_options(model, labels, bundle, None)
    if model is not None:
        changes["model.bundle"] = bundle or ""
    return changes


def _changed(config: Config, changes: dict[str, Any]) -> Config:
    from agent.config import override

    return override(config, changes)


def _progress(frames: int) -> Any:
    if not sys.stderr.isatty():
        return None

    def show(count: int) -> None:
        typer.echo(f"\r{count} of {frames} frames\x1b[K", nl=count == frames, err=True)

    return show
