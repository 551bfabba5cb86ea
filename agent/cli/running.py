"""``run``, ``detect`` and ``check``: the main job, one picture, and a dry run."""

from __future__ import annotations

import json
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
    load_settings,
    log_to,
    model_options,
    runtime_options,
)

if TYPE_CHECKING:
    from agent.config import Config
    from agent.pipeline import Model
    from agent.records import FrameResult


def run(
    config: ConfigPath = None,
    camera: CameraUri = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    delegate: DelegateName = None,
    threshold: Threshold = None,
    pace: Annotated[
        Literal["real", "fast"] | None, typer.Option(help="Files: by their timestamps, or every frame at once.")
    ] = None,
    loop: Annotated[bool | None, typer.Option("--loop", help="Begin a file again at its end.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after this many seconds.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="End after this many frames.")] = None,
    as_json: AsJson = False,
    annotate: Annotated[
        Path | None, typer.Option(help="Write frames with boxes: .mp4, .avi, .mkv, or a folder.")
    ] = None,
) -> None:
    """Do the main job: watch the camera, run the model, measure, publish.

    With nothing named it shows itself: a detector of its own on a rendered camera.

    Ends at the end of a file, after --seconds or --frames, or with Ctrl-C; then prints a summary.

    Example: edge-agent run --camera clip.mp4 --model ssd.tflite --labels coco.txt
    """
    changes = model_options(model, labels, bundle, threshold) | runtime_options(backend, threads, delegate)
    settings = chosen_settings(config, camera, changes | {"camera.pace": pace, "camera.loop": loop})
    from agent.service import Limits

    _run(settings, Limits(seconds, frames), as_json=as_json, annotate=annotate)


def _run(settings: Config, limits: Any, *, as_json: bool, annotate: Path | None) -> None:
    from agent import console, embedded, service

    status = console.StatusLine()
    log_to(settings, console.LogLines(status))
    watcher = _Watcher(settings, status, as_json=as_json, annotate=annotate)
    try:
        summary = service.run(
            settings,
            limits=limits,
            on_start=watcher.start,
            on_result=watcher.result,
            patient=embedded.is_under_systemd(),
        )
    finally:
        status.clear()
        watcher.close()
    typer.echo(console.summary_json(summary) if as_json else console.summary_table(summary))


class _Watcher:
    """What ``run`` does with each result: status line, JSON, annotated pictures."""

    def __init__(self, settings: Config, status: Any, *, as_json: bool, annotate: Path | None) -> None:
        self._settings, self._status = settings, status
        self._as_json, self._annotate = as_json, annotate
        self._recorder: Any = None
        self._labels: Any = None

    def start(self, model: Model) -> None:
        from agent.annotate import Recorder

        self._labels = model.labels
        if self._annotate is not None:
            fast = self._settings.camera.pace == "fast"
            self._recorder = Recorder(self._annotate, model.labels, fps=25.0 if fast else None, wait=fast)

    def result(self, result: FrameResult) -> None:
        from agent import console

        if self._as_json:
            typer.echo(console.result_json(result, self._labels))
        self._status.update(result, self._labels)
        if self._recorder is not None:
            self._recorder.put(result)

    def close(self) -> None:
        if self._recorder is None:
            return
        self._recorder.close()
        left_out = self._recorder.left_out_total
        if left_out:
            typer.echo(
                f"{self._annotate}: {left_out} frames were left out; the disk is slower than the camera", err=True
            )


def detect(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures to look at.")],
    config: ConfigPath = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    delegate: DelegateName = None,
    threshold: Threshold = None,
    annotate: Annotated[
        Path | None, typer.Option(help="Also draw the boxes: a file (.jpg, .png) for one picture, or a folder.")
    ] = None,
) -> None:
    """Look at pictures: print the boxes as JSON, one line a picture, and draw them with --annotate.

    Example: edge-agent detect cats.jpg --model ssd.tflite --annotate cats.boxes.jpg
    """
    settings = load_settings(
        config,
        {**model_options(model, labels, bundle, threshold), **runtime_options(backend, threads, delegate)},
    )
    from agent import console
    from agent.annotate import draw, write_picture
    from agent.board import ready_model
    from agent.camera import read_picture

    log_to(settings, console.LogLines(console.StatusLine()))
    if annotate is not None:
        _annotated(annotate, pictures[0], many=len(pictures) > 1)
    loaded = ready_model(settings)
    for path in pictures:
        pixels = read_picture(path)
        found = loaded.detect(pixels)
        height, width = pixels.shape[:2]
        seen = console.detections_json(found, loaded.labels)
        typer.echo(json.dumps({"picture": str(path), "width": width, "height": height, "detections": seen}))
        if annotate is not None:
            write_picture(_annotated(annotate, path, many=len(pictures) > 1), draw(pixels, found, loaded.labels))


def _annotated(target: Path, picture: Path, *, many: bool) -> Path:
    from agent.errors import StorageError

    if target.suffix and not target.is_dir():
        if many:
            raise typer.BadParameter(f"{target} is one file for several pictures; give a folder")
        return target
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{target}: cannot be made: {error.strerror}") from None
    return target / f"{picture.stem}.boxes.jpg"


def check(
    config: ConfigPath = None,
    camera: CameraUri = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    delegate: DelegateName = None,
    as_json: AsJson = False,
) -> None:
    """Try the configuration, the state folder, the model, the camera, the broker and Prometheus; start nothing.

    Exits with the code of the first part that does not work.
    """
    settings = chosen_settings(
        config, camera, model_options(model, labels, bundle, None) | runtime_options(backend, threads, delegate)
    )
    import msgspec

    from agent.check import check as try_all

    failures = []
    for verdict in try_all(settings, str(config) if config else "no file; defaults and the command line"):
        line = f"{'ok  ' if verdict.ok else 'FAIL'} {verdict.part}: {verdict.text}"
        typer.echo(msgspec.json.encode(verdict).decode() if as_json else line)
        if not verdict.ok:
            failures.append(verdict.exit_code)
    raise typer.Exit(failures[0] if failures else 0)
