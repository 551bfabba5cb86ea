"""``bench --sweep`` and ``--tune``: many settings, and the best one into the configuration."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.cli.options import log_to

if TYPE_CHECKING:
    from agent.bench import Plan
    from agent.bench.sweep import Row
    from agent.config import Config


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of a sweep.

    Attributes:
        asked: ``threads=1,2,4`` and the like.
        config: the file of the settings.
        tune: write the best row into it.
        limit_p99_ms, limit_celsius: what the best row has to keep to.
        out: where all results go; None: nowhere.
    """

    asked: list[str]
    config: Path | None
    tune: bool
    limit_p99_ms: float | None = None
    limit_celsius: float | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.tune and (self.config is None or not self.asked):
            raise typer.BadParameter("--tune writes what --sweep found into the file of --config: give both")


def sweep(settings: Config, plan: Plan, wish: Wish, *, as_json: bool) -> int:
    """Measure all combinations; returns the exit code."""
    import time

    from agent import bench, console
    from agent.bench import choice
    from agent.bench import sweep as sweeps
    from agent.service import signals

    log_to(settings, console.LogLines(console.StatusLine()))
    if wish.out is not None:
        bench.ResultFile(wish.out, time.monotonic)
    combinations = sweeps.combinations(wish.asked, settings)
    _expect_sense(settings, wish, combinations)
    stop = threading.Event()
    rows: list[Row] = []
    with signals(stop):
        for row in sweeps.sweep(settings, plan, combinations, stop.is_set):
            rows.append(row)
            typer.echo(f"{len(rows)} of {len(combinations)} done", err=True)
            _keep(wish.out, sweeps.encode(rows))
    p99_s = wish.limit_p99_ms / 1e3 if wish.limit_p99_ms is not None else None
    chosen = choice.best(rows, p99_s=p99_s, celsius=wish.limit_celsius)
    typer.echo(sweeps.encode(rows) if as_json else sweeps.table(rows, chosen), nl=not as_json)
    if wish.out is not None and rows:
        typer.echo(f"written to {wish.out}", err=True)
    if chosen is None:
        is_any_valid = choice.best(rows) is not None
        why = "no valid row keeps to the limits" if is_any_valid else "no row is valid"
        typer.echo(f"{why}: nothing is chosen", err=True)
        return 75
    if wish.tune and wish.config is not None:
        _tune(wish.config, chosen)
    return 75 if stop.is_set() else 0


def _expect_sense(settings: Config, wish: Wish, combinations: list[dict[str, Any]]) -> None:
    """Refuse before the first row what every row, or the end of a long sweep, would refuse."""
    from agent.bench.tune import expect_changeable
    from agent.errors import ConfigError

    model = settings.model
    if not (model.path or model.bundle or all("model.path" in row for row in combinations)):
        raise ConfigError("model.path: no model is named; give --model, --bundle or --sweep model=, or set it there")
    if wish.tune and wish.config is not None:
        for row in combinations:
            changes = {key: value for key, value in row.items() if key.startswith("runtime.")}
            expect_changeable(wish.config, changes)


def expect_replaceable(out: Path | None) -> None:
    """Refuse to write over anything but an earlier result: the configuration, a model, a picture."""
    from agent.bench.store import is_strange

    if out is not None and is_strange(out):
        raise typer.BadParameter(
            f"{out} is there and is no result of bench; name another file, or remove it", param_hint="'--out'"
        )


def _keep(out: Path | None, data: bytes) -> None:
    from agent.errors import StorageError
    from agent.files import write_whole

    if out is None:
        return
    try:
        write_whole(out, data)
    except OSError as error:
        raise StorageError(f"{out}: cannot be written: {error.strerror}") from None


def _tune(config: Path, chosen: Row) -> None:
    from agent.bench.choice import to_write
    from agent.bench.tune import tune

    changes = to_write(chosen)
    if not changes:
        typer.echo(f"{config}: left as it is; only threads, backend and delegate are written", err=True)
        return
    backup = tune(config, changes)
    typer.echo(f"{config}: tuned; the old file is {backup}", err=True)
