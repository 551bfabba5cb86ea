"""The command line of the board. The only file that knows Typer.

Every error becomes one line on stderr and the exit code of :mod:`agent.errors`; a person never sees a traceback.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent import __version__
from agent.errors import AgentError

if TYPE_CHECKING:
    from agent.config import Config
    from agent.pipeline import Model
    from agent.records import FrameResult

app = typer.Typer(
    name="edge-agent",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run a quantized SSD on camera frames, and know how fast, how hot and how wrong it is.",
    epilog="Exit codes: 0 ok, 2 usage, 65 model, 66 camera, 69 broker, 70 bug, 74 disk, 75 try again, 78 settings.",
)
config_app = typer.Typer(no_args_is_help=True, help="Write, show and explain the configuration.")
app.add_typer(config_app, name="config")
mqtt_app = typer.Typer(no_args_is_help=True, help="Look after what the broker keeps.")
app.add_typer(mqtt_app, name="mqtt")

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


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Run a quantized SSD on camera frames, and know how fast, how hot and how wrong it is."""


@app.command()
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
    settings = _settings(
        config,
        {
            **_model_options(model, labels, bundle, threshold),
            **_runtime_options(backend, threads, delegate),
            "camera.uri": camera,
            "camera.pace": pace,
            "camera.loop": loop,
            **_embedded(config, camera, model, bundle),
        },
    )
    from agent.service import Limits

    _run(settings, Limits(seconds, frames), as_json=as_json, annotate=annotate)


def _run(settings: Config, limits: Any, *, as_json: bool, annotate: Path | None) -> None:
    from agent import console, embedded, service

    status = console.StatusLine()
    _log_to(settings, console.LogLines(status))
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


@app.command()
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
    settings = _settings(
        config,
        {**_model_options(model, labels, bundle, threshold), **_runtime_options(backend, threads, delegate)},
    )
    from agent import console
    from agent.annotate import draw, write_picture
    from agent.camera import read_picture
    from agent.service import ready_model

    _log_to(settings, console.LogLines(console.StatusLine()))
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


@app.command()
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
    """Try the configuration, the model, the camera and the broker; start nothing.

    Exits with the code of the first part that does not work.
    """
    settings = _settings(
        config,
        {
            **_model_options(model, labels, bundle, None),
            **_runtime_options(backend, threads, delegate),
            "camera.uri": camera,
            **_embedded(config, camera, model, bundle),
        },
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


@config_app.command()
def init(
    path: Annotated[str, typer.Argument(help="File to write; - for the terminal.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a configuration to start from: every setting, with its meaning and its default."""
    from agent.config import template
    from agent.errors import StorageError

    if path == "-":
        typer.echo(template(), nl=False)
        return
    target = Path(path)
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise StorageError(f"{target}: is there already; --force writes over it") from None
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}") from None
    typer.echo(f"{target}: written; next: edge-agent check --config {target}", err=True)


@app.command()
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


@config_app.command()
def show(config: ConfigPath = None) -> None:
    """Print the settings in force, defaults included, as TOML."""
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


@mqtt_app.command()
def purge(
    config: ConfigPath = None,
    site: Annotated[str | None, typer.Option(help="The board's site, when it is another one.")] = None,
    device: Annotated[str | None, typer.Option(help="The board's id, when it is another one.")] = None,
) -> None:
    """Empty what the broker keeps of a board that is taken out of service: state, birth, health, alarms, discovery."""
    from agent import publish, service

    settings = _settings(config, {"device.site": site, "device.id": device})
    prefix, board = settings.homeassistant.prefix, service.device_id(settings)
    typer.echo(publish.purge(settings.mqtt, prefix, site=settings.device.site, device=board))


def _model_options(
    model: Path | None, labels: Path | None, bundle: str | None, threshold: float | None
) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "model.path": str(model) if model else None,
        "model.labels": str(labels) if labels else None,
        "model.bundle": bundle,
        "model.score_threshold": threshold,
    }
    if bundle is not None and model is None:
        changes["model.path"] = ""
    return changes


def _embedded(config: Path | None, camera: str | None, model: Path | None, bundle: str | None) -> dict[str, Any]:
    from agent import embedded

    if config is not None or embedded.is_under_systemd():
        return {}
    changes = embedded.defaults(camera, model, bundle)
    for key in changes:
        typer.echo(embedded.NOTES[key], err=True)
    return dict(changes)


def _runtime_options(backend: str | None, threads: int | None, delegate: str | None) -> dict[str, Any]:
    return {"runtime.backend": backend, "runtime.num_threads": threads, "runtime.delegate": delegate}


def _settings(path: Path | None, changes: dict[str, Any]) -> Config:
    from agent import config as settings

    return settings.override(settings.load(path), changes)


def _log_to(settings: Config, handler: logging.Handler) -> None:
    logging.basicConfig(level=settings.log.level.upper(), handlers=[handler], force=True)


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
