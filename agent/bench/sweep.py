"""Many settings, each measured in a process of its own: one that crashes the runtime costs one row.

One after the other, never side by side. A row inherits the heat of the rows before it: on a board that throttles, soak
each candidate on its own.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent import config as settings
from agent.bench.plan import Plan, rules
from agent.bench.result import Record, Result, decode, expect_possible
from agent.config import Config
from agent.errors import AgentError, ConfigError, StorageError, UnavailableError
from agent.wording import no_json

KEYS = {
    "threads": "runtime.num_threads",
    "backend": "runtime.backend",
    "delegate": "runtime.delegate",
    "model": "model.path",
}
"""What can be swept, and the setting that it is."""

_OPTIONS = {key: name for name, key in KEYS.items()}

FORMAT: Literal["edge-agent-sweep/1"] = "edge-agent-sweep/1"

MOST_ROWS = 200
_GRACE_S = 120.0
"""Over the run's own length: loading, recording, and a slow board."""

_POLL_S = 0.2


class Row(Record, frozen=True, kw_only=True):
    """One combination.

    Attributes:
        settings: what was set, by dotted name.
        result: its benchmark; null when there is none.
        error: why there is none.
        exit_code: of the process; negative: the signal that killed it.
    """

    settings: dict[str, Any]
    result: Result | None = None
    error: str = ""
    exit_code: int = 0


class Sweep(Record, frozen=True, kw_only=True):
    """All combinations; the format's name is ``edge-agent-sweep/1``."""

    format: Literal["edge-agent-sweep/1"] = FORMAT
    rows: tuple[Row, ...] = ()


class _Kind(Record, frozen=True, kw_only=True):
    """What a file says that it is."""

    format: str


def combinations(asked: Sequence[str], config: Config) -> list[dict[str, Any]]:
    """Every combination of what is asked for as ``threads=1,2,4``.

    Raises:
        ConfigError: a name or a value that cannot be, or more rows than anybody waits for.

    >>> combinations(["threads=1,2", "backend=litert"], Config())[1]
    {'runtime.num_threads': 2, 'runtime.backend': 'litert'}
    """
    columns = [_column(text) for text in asked]
    rows = [dict(row) for row in itertools.product(*columns)]
    if len(rows) > MOST_ROWS:
        raise ConfigError(f"sweep: {len(rows)} combinations; at most {MOST_ROWS}")
    for row in rows:
        settings.override(config, _whole(row))
    return rows


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """A swept model stands in the place of a bundle, which the settings may name or take by themselves."""
    return row | ({"model.bundle": ""} if "model.path" in row else {})


def _column(text: str) -> list[tuple[str, Any]]:
    name, _, values = text.partition("=")
    if name not in KEYS or not values:
        raise ConfigError(f"sweep: {text!r} is not understood; say {', '.join(KEYS)}, as in threads=1,2,4")
    return [(KEYS[name], _value(name, value.strip())) for value in values.split(",")]


def _value(name: str, value: str) -> Any:
    if name == "threads":
        if not value.isdecimal():
            raise ConfigError(f"sweep: threads={value!r} is no number")
        return int(value)
    return "" if name == "delegate" and value in {"none", "cpu"} else value


def sweep(
    config: Config, plan: Plan, rows: Sequence[dict[str, Any]], stop: Callable[[], bool] = lambda: False
) -> Iterator[Row]:
    """Measure each combination in turn, until ``stop`` says True.

    Args:
        config: everything that is not swept.
        plan: how each is measured.
        rows: as :func:`combinations` gives them.
        stop: asked while a child runs; True ends it and the sweep.

    Raises:
        StorageError: no temporary folder.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="edge-agent-sweep-")
    except OSError as error:
        raise StorageError(f"a sweep needs a temporary folder: {error.strerror}") from None
    with folder as name:
        for row in rows:
            if stop():
                return
            yield _measure(config, plan, row, Path(name) / "agent.toml", stop)


def _measure(config: Config, plan: Plan, row: dict[str, Any], path: Path, stop: Callable[[], bool]) -> Row:
    swept = settings.anchored(settings.override(config, _whole(row)), Path.cwd())
    path.write_text(settings.to_toml(swept), encoding="utf-8")
    command = [
        sys.executable,
        "-P",
        "-c",
        "from agent.cli import main; main()",
        "bench",
        "--json",
        "--config",
        str(path),
    ]
    own = str(Path(__file__).parents[2])
    search = os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH")]))
    try:
        child = subprocess.Popen(
            [*command, *_options(plan)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": search},
        )
    except OSError as error:
        raise UnavailableError(f"sweep: no child process to measure in: {error.strerror}") from None
    stdout, stderr = _wait(child, _longest_s(plan), stop)
    return _row(row, child.returncode, stdout, stderr)


def _longest_s(plan: Plan) -> float:
    found = rules(plan)
    return _GRACE_S + plan.warmup_s + 4.0 * max(found.least_s, found.longest_s or 0.0)


def _options(plan: Plan) -> list[str]:
    given = {
        "--scenario": plan.scenario,
        "--seconds": plan.seconds,
        "--queries": plan.queries,
        "--window": plan.window_s,
    }
    given |= {"--warmup": plan.warmup_s, "--frames": plan.frames, "--minutes": plan.minutes}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return [*words, *(["--official"] if plan.official else []), *(["--soak"] if plan.soak else [])]


def _wait(child: subprocess.Popen[bytes], longest_s: float, stop: Callable[[], bool]) -> tuple[bytes, bytes]:
    waited_s = 0.0
    while True:
        try:
            return child.communicate(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            waited_s += _POLL_S
        if stop():
            child.terminate()
        if waited_s > longest_s:
            child.kill()


def _row(row: dict[str, Any], code: int, stdout: bytes, stderr: bytes) -> Row:
    try:
        return Row(settings=row, result=decode(stdout, "child"), exit_code=code)
    except AgentError:
        pass
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Row(settings=row, error=f"the process died of {name}", exit_code=code)
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return Row(
        settings=row, error=lines[-1].removeprefix("edge-agent: ") if lines else f"exit code {code}", exit_code=code
    )


def table(rows: Sequence[Row], chosen: Row | None) -> str:
    """For a person; the chosen row has a star."""
    lines = [f"{'':<2}{'settings':<44}{'frames/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'max C':>7}  "]
    lines += [f"{'*' if row is chosen else '':<2}{_said(row):<44}{_figures(row)}" for row in rows]
    return "\n".join(lines)


def _figures(row: Row) -> str:
    result = row.result
    if result is None or result.score is None:
        return f"  {row.error or 'nothing was measured'}"
    score = result.score
    degrees = [window.soc_celsius for window in result.windows if window.soc_celsius is not None]
    heat = f"{max(degrees):.1f}" if degrees else "-"
    word = "" if result.valid else f"not valid: {result.invalid_because[0]}"
    return f"{score.samples_per_s:>10.1f}{score.p50_s * 1e3:>9.2f}{score.p99_s * 1e3:>9.2f}{heat:>7}  {word}"


def measured(data: bytes, origin: str) -> list[tuple[str, Result | str]] | None:
    """Every row of a kept sweep: its settings in words, and its result or why it has none; None: it is no sweep.

    Raises:
        StorageError: a sweep with figures that no run can have; ``origin`` names the file.
    """
    try:
        if msgspec.json.decode(data, type=_Kind).format != FORMAT:
            return None
        rows = msgspec.json.decode(data, type=Sweep).rows
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        if not data.lstrip().startswith(b'{"format":"edge-agent-sweep/'):
            return None
        raise StorageError(f"{origin}: is no sweep of edge-agent bench ({FORMAT}): {no_json(error, Sweep)}") from None
    for row in rows:
        if row.result is not None:
            expect_possible(row.result, f"{origin}: {_said(row)}")
    return [(_said(row), row.result or row.error or "nothing was measured") for row in rows]


def _said(row: Row) -> str:
    words = [f"{_OPTIONS.get(key, key)}={value or 'none'}{_otherwise(row, key)}" for key, value in row.settings.items()]
    return ", ".join(words)


def _otherwise(row: Row, key: str) -> str:
    if key != "runtime.num_threads" or row.result is None:
        return ""
    ran = row.result.environment.runtime.num_threads
    return "" if ran == row.settings[key] else f" (ran on {ran})"


def encode(rows: Sequence[Row]) -> bytes:
    """All rows as JSON, one line."""
    return msgspec.json.encode(Sweep(rows=tuple(rows))) + b"\n"
