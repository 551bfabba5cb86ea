"""The options of ``bench``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer


def _schema(value: bool) -> None:
    if value:
        from agent.bench import schema

        typer.echo(json.dumps(schema(), indent=2))
        raise typer.Exit


def within(low: float, high: float = math.inf) -> Callable[[str | float], float]:
    """A parser of numbers from ``low`` to ``high``; Typer's own takes "nan" for one that is too small or too large.

    Raises:
        typer.BadParameter: it is no number, or lies outside.

    >>> within(1, 600)("12.5")
    12.5
    """

    def parse(text: str | float) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise typer.BadParameter(f"{text!r} is no number")
        if value < low:
            raise typer.BadParameter(f"must be at least {low:g}")
        if value > high:
            raise typer.BadParameter(f"must be at most {high:.10g}")
        if math.isinf(value):
            raise typer.BadParameter(f"{text!r} is no number to work with")
        return value

    return parse


ScenarioName = Annotated[
    Literal["single-stream", "multi-stream", "offline", "camera"],
    typer.Option(help="One frame after the other, 8 at a time, all at once, or as the camera gives them."),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        parser=within(1, 86400), metavar="1..86400", help="At least so long, else by the scenario's rule (60)."
    ),
]
Queries = Annotated[
    int | None, typer.Option(min=1, max=100_000_000, help="At least so many queries, else by the rule (1024).")
]
Official = Annotated[bool, typer.Option("--official", help="MLPerf's full 600 s.")]
Soak = Annotated[bool, typer.Option("--soak", help="Go on until heat and latency are steady.")]
Minutes = Annotated[float, typer.Option(parser=within(0.01, 1440), metavar="0.01..1440", help="Longest soak.")]
Warmup = Annotated[
    float, typer.Option(parser=within(0, 600), metavar="0..600", help="Seconds before anything is counted.")
]
WindowSeconds = Annotated[
    float | None,
    typer.Option(parser=within(0.1, 600), metavar="0.1..600", help="Seconds of a window: 1, in a soak 10."),
]
Frames = Annotated[int, typer.Option(min=1, max=4096, help="Frames recorded beforehand, gone through in turn.")]
Out = Annotated[Path | None, typer.Option(help="Where the result goes, else bench-DATE-TIME.json here.")]
ResultJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON; a file only with --out.")]
Sweeps = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=A,B", help="Measure each of threads=, backend=, delegate=, model=; repeat it."),
]
Tune = Annotated[bool, typer.Option("--tune", help="Write the best of the sweep into --config.")]
LimitP99 = Annotated[float | None, typer.Option(parser=within(0), metavar="NUMBER", help="The best keeps to this p99.")]
LimitCelsius = Annotated[
    float | None, typer.Option(parser=within(0), metavar="NUMBER", help="The best stays at or below it.")
]
SchemaOnly = Annotated[
    bool,
    typer.Option("--schema", callback=_schema, is_eager=True, help="Print the JSON Schema of a result, and end."),
]
