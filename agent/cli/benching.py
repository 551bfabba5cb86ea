"""``bench``: how fast this board is, for how long, and whether that may be believed."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.cli import sweeping
from agent.cli.bench_options import (
    Frames,
    LimitCelsius,
    LimitP99,
    Minutes,
    Official,
    Out,
    Queries,
    ResultJson,
    ScenarioName,
    SchemaOnly,
    Seconds,
    Soak,
    Sweeps,
    Tune,
    Warmup,
    WindowSeconds,
)
from agent.cli.options import (
    BackendName,
    BundlePath,
    CameraUri,
    ConfigPath,
    DelegateName,
    LabelsPath,
    ModelPath,
    Threads,
    chosen_settings,
    log_to,
    model_options,
    runtime_options,
)

if TYPE_CHECKING:
    from agent.bench import Plan, Progress
    from agent.config import Config


def bench(
    config: ConfigPath = None,
    camera: CameraUri = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    delegate: DelegateName = None,
    scenario: ScenarioName = "single-stream",
    seconds: Seconds = None,
    queries: Queries = None,
    official: Official = False,
    soak: Soak = False,
    minutes: Minutes = 15.0,
    warmup: Warmup = 2.0,
    window: WindowSeconds = None,
    frames: Frames = 64,
    out: Out = None,
    as_json: ResultJson = False,
    sweep: Sweeps = None,
    tune: Tune = False,
    limit_p99_ms: LimitP99 = None,
    limit_celsius: LimitCelsius = None,
    schema: SchemaOnly = False,  # noqa: ARG001  # its callback does it
) -> None:
    """Measure how fast the model runs on this board, and whether the figures may be believed.

    On frames of the camera, a video, a folder or the rendered scenes (demo:), recorded in memory beforehand.

    With --sweep: each combination in a process of its own, a table, and the best one. Exits with 75 when a run is not
    valid; the result says why.

    Example: edge-agent bench --model ssd.tflite --camera frames/ --soak --out soak.json
    """
    from agent import bench as benches

    settings = chosen_settings(
        config, camera, model_options(model, labels, bundle, None) | runtime_options(backend, threads, delegate)
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
    _expect_windows(plan)
    where = out or (None if as_json else _usual_name())
    sweeping.expect_replaceable(where)
    wish = sweeping.Wish(sweep or [], config, tune, limit_p99_ms, limit_celsius, where)
    work = sweeping.sweep if sweep else _measure
    raise typer.Exit(work(settings, plan, wish, as_json=as_json))


def _expect_windows(plan: Plan) -> None:
    """Refuse a window that is longer than the run, which would go on until it is full."""
    from agent.bench import rules

    found = rules(plan)
    run_s = found.longest_s or found.least_s
    if plan.window_s is not None and plan.window_s > run_s:
        raise typer.BadParameter(f"{plan.window_s:g} s is longer than the run of {run_s:g} s", param_hint="'--window'")


def _usual_name() -> Path:
    return Path(f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}.json")


def _measure(settings: Config, plan: Plan, wish: sweeping.Wish, *, as_json: bool) -> int:
    """Measure once; returns the exit code."""
    from agent import bench as benches
    from agent import console
    from agent.board import ready_model
    from agent.service import signals

    log_to(settings, console.LogLines(console.StatusLine()))
    out = wish.out
    file = benches.ResultFile(out, time.monotonic) if out is not None else None
    stop = threading.Event()
    with signals(stop), _Bar() as bar:
        told = benches.Told(progress=bar.show, partial=file.partial if file else lambda _: None, stop=stop.is_set)
        result = benches.bench(settings, plan, ready_model, told)
    typer.echo(benches.encode(result).decode() if as_json else benches.table(result), nl=not as_json)
    if file is not None:
        file.final(result)
        typer.echo(f"written to {file.path}", err=True)
    return 0 if result.valid else 75


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
