"""Options that several commands share, and what they mean as settings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from agent.config import Config

ConfigPath = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).")]
ModelPath = Annotated[Path | None, typer.Option(help="The .tflite detector.")]
LabelsPath = Annotated[Path | None, typer.Option(help="Label file, one name a line.")]
BundlePath = Annotated[
    str | None, typer.Option(help="A .bundle instead of model and labels; demo: is the embedded one.")
]
CameraUri = Annotated[
    str | None,
    typer.Option(help="/dev/video0, usb:0, picamera:, rtsp://..., http://..., a video, a folder, a picture, demo:"),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of one invoke.")]
BackendName = Annotated[Literal["auto", "litert", "tflite-runtime"] | None, typer.Option(help="What runs the model.")]
DelegateName = Annotated[str | None, typer.Option(help="edgetpu, or the path of an external delegate's .so.")]
Threshold = Annotated[float | None, typer.Option(min=0, max=1, help="Score below which nothing is an object.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def model_options(
    model: Path | None, labels: Path | None, bundle: str | None, threshold: float | None
) -> dict[str, Any]:
    """Settings from the options that name a model."""
    changes: dict[str, Any] = {
        "model.path": str(model) if model else None,
        "model.labels": str(labels) if labels else None,
        "model.bundle": bundle,
        "model.score_threshold": threshold,
    }
    if bundle is not None and model is None:
        changes["model.path"] = ""
    return changes


def embedded_changes(config: Path | None, camera: str | None, model: Path | None, bundle: str | None) -> dict[str, Any]:
    """What a person left open; told on the terminal."""
    from agent import embedded

    if config is not None or embedded.is_under_systemd():
        return {}
    changes = embedded.defaults(camera, model, bundle)
    for key in changes:
        typer.echo(embedded.NOTES[key], err=True)
    return dict(changes)


def runtime_options(backend: str | None, threads: int | None, delegate: str | None) -> dict[str, Any]:
    """Settings from the options that name what runs the model."""
    return {"runtime.backend": backend, "runtime.num_threads": threads, "runtime.delegate": delegate}


def load_settings(path: Path | None, changes: dict[str, Any]) -> Config:
    """The file, then what the command line says."""
    from agent import config as settings

    return settings.override(settings.load(path), changes)


def chosen_settings(config: Path | None, camera: str | None, changes: dict[str, Any]) -> Config:
    """The file, then what the command line says, then the embedded model and camera where a person left them open.

    Args:
        config: the file.
        camera: where pictures come from.
        changes: :func:`model_options` and :func:`runtime_options`, and whatever else the command takes.
    """
    model = Path(changes["model.path"]) if changes["model.path"] else None
    left_open = embedded_changes(config, camera, model, changes["model.bundle"])
    return load_settings(config, changes | {"camera.uri": camera} | left_open)


def log_to(settings: Config, handler: logging.Handler) -> None:
    """Log lines go there, and nowhere else."""
    logging.basicConfig(level=settings.log.level.upper(), handlers=[handler], force=True)
