"""``bench``: how fast this board is, for how long, and whether that may be believed."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.cli import sweeping
from agent.cli.options import (
    BackendName,
    BundlePath,
    CameraUri,
    ConfigPath,
    DelegateName,
    LabelsPath,
    ModelPath,
    Threads,
    embedded_changes,
    load_settings,
    log_to,
    model_options,
    runtime_options,
)

if TYPE_CHECKING:
    from agent.bench import Plan, Progress, Result
    from agent.config import Config

Seconds = Annotated[float | None, typer.Option(min=1, help="At least so long, else by the scenario's rule (60).")]
Queries = Annotated[int | None, typer.Option(min=1, help="At least so many queries, else by the rule (1024).")]


def bench(
    config: ConfigPath = None,
    camera: CameraUri = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    delegate: DelegateName = None,
    scenario: Annotated[
        Literal["single-stream", "multi-stream", "offline", "camera"],
        typer.Option(help="One frame after the other, 8 at a time, all at once, or as the camera gives them."),
    ] = "single-stream",
    seconds: Seconds = None,
    queries: Queries = None,
    official: Annotated[bool, typer.Option("--official", help="MLPerf's full 600 s.")] = False,
    soak: Annotated[bool, typer.Option("--soak", help="Go on until heat and latency are steady.")] = False,
    minutes: Annotated[float, typer.Option(min=0.01, max=1440, help="Longest soak.")] = 15.0,
    warmup: Annotated[float, typer.Option(min=0, max=600, help="Seconds before anything is counted.")] = 2.0,
    window: Annotated[
        float | None, typer.Option(min=0.1, max=600, help="Seconds of a window: 1, in a soak 10.")
    ] = None,
    frames: Annotated[
        int, typer.Option(min=1, max=4096, help="Frames recorded beforehand, gone through in turn.")
    ] = 64,
    out: Annotated[Path | None, typer.Option(help="Where the result goes, else bench-DATE-TIME.json here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; a file only with --out.")] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=A,B", help="Measure each of threads=, backend=, delegate=, model=; repeat it."),
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Write the best of the sweep into --config.")] = False,
    limit_p99_ms: Annotated[float | None, typer.Option(min=0, help="The best keeps to this p99.")] = None,
    limit_celsius: Annotated[float | None, typer.Option(min=0, help="The best stays at or below it.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a result, and end.")] = False,
) -> None:
    """Measure how fast the model runs on this board, and whether the figures may be believed.

    On frames of the camera, a video, a folder or the rendered scenes (demo:), recorded in memory beforehand.

    With --sweep: each combination in a process of its own, a table of all, and the best one.

    Exits with 75 when the run is not valid; the result says why.

    Example: edge-agent bench --model ssd.tflite --camera frames/ --soak --out soak.json
    """
    from agent import bench as benches

    if schema:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(benches.schema()), indent=2).decode())
        return
    settings = load_settings(
        config,
        {
            **model_options(model, labels, bundle, None),
            **runtime_options(backend, threads, delegate),
            "camera.uri": camera,
            **embedded_changes(config, camera, model, bundle),
        },
    )
    plan = benches.Plan(
        scenario=scenario,
        seconds=seconds,
        queries=queries,
        official=official,
        soak=soak,
        minutes=minutes,
        warmup_s=warmup,
        window_s=window,
        frames=frames,
    )
    if tune and (config is None or not sweep):
        raise typer.BadParameter("--tune writes what --sweep found into the file of --config: give both")
    if sweep:
        wish = sweeping.Wish(sweep, config if tune else None, limit_p99_ms, limit_celsius, out)
        raise typer.Exit(sweeping.sweep(settings, plan, wish, as_json=as_json))
    raise typer.Exit(0 if _measure(settings, plan, out=out, as_json=as_json).valid else 75)


def _measure(settings: Config, plan: Plan, *, out: Path | None, as_json: bool) -> Result:
    from agent import bench as benches
    from agent import console
    from agent.board import ready_model
    from agent.service import signals

    log_to(settings, console.LogLines(console.StatusLine()))
    if out is None and not as_json:
        out = Path(f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json")
    file = benches.ResultFile(out, time.monotonic) if out is not None else None
    stop = threading.Event()
    with signals(stop), _Bar() as bar:
        told = benches.Told(progress=bar.show, partial=file.partial if file else lambda _: None, stop=stop.is_set)
        result = benches.bench(settings, plan, ready_model, told)
    typer.echo(benches.encode(result).decode() if as_json else benches.table(result), nl=not as_json)
    if file is not None:
        file.final(result)
        typer.echo(f"written to {file.path}", err=True)
    return result


class _Bar:
    """A progress bar with the time to go; nothing where stderr is no terminal."""

    _STEPS = 1000

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> _Bar:
        if self._shown:
            self._bar = typer.progressbar(length=self._STEPS, label="warming up", show_eta=True, file=sys.stderr)
            self._bar.__enter__()
        return self

    def __exit__(self, *left: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(*left)

    def show(self, progress: Progress) -> None:
        """One more window is done."""
        if self._bar is None:
            return
        if progress.window is not None:
            celsius = progress.window.soc_celsius
            heat = f" {celsius:.0f} C" if celsius is not None else ""
            self._bar.label = f"{progress.window.samples_per_s:.0f} fps, p99 {progress.window.p99_s * 1e3:.1f} ms{heat}"
        self._bar.update(int(progress.share * self._STEPS) - self._bar.pos)
