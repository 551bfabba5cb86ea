"""The options of ``bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer


def _schema(value: bool) -> None:
    if value:
        from agent.bench import schema

        typer.echo(json.dumps(schema(), indent=2))
        raise typer.Exit


ScenarioName = Annotated[
    Literal["single-stream", "multi-stream", "offline", "camera"],
    typer.Option(help="One frame after the other, 8 at a time, all at once, or as the camera gives them."),
]
Seconds = Annotated[float | None, typer.Option(min=1, help="At least so long, else by the scenario's rule (60).")]
Queries = Annotated[int | None, typer.Option(min=1, help="At least so many queries, else by the rule (1024).")]
Official = Annotated[bool, typer.Option("--official", help="MLPerf's full 600 s.")]
Soak = Annotated[bool, typer.Option("--soak", help="Go on until heat and latency are steady.")]
Minutes = Annotated[float, typer.Option(min=0.01, max=1440, help="Longest soak.")]
Warmup = Annotated[float, typer.Option(min=0, max=600, help="Seconds before anything is counted.")]
WindowSeconds = Annotated[float | None, typer.Option(min=0.1, max=600, help="Seconds of a window: 1, in a soak 10.")]
Frames = Annotated[int, typer.Option(min=1, max=4096, help="Frames recorded beforehand, gone through in turn.")]
Out = Annotated[Path | None, typer.Option(help="Where the result goes, else bench-DATE-TIME.json here.")]
ResultJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON; a file only with --out.")]
Sweeps = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=A,B", help="Measure each of threads=, backend=, delegate=, model=; repeat it."),
]
Tune = Annotated[bool, typer.Option("--tune", help="Write the best of the sweep into --config.")]
LimitP99 = Annotated[float | None, typer.Option(min=0, help="The best keeps to this p99.")]
LimitCelsius = Annotated[float | None, typer.Option(min=0, help="The best stays at or below it.")]
SchemaOnly = Annotated[
    bool,
    typer.Option("--schema", callback=_schema, is_eager=True, help="Print the JSON Schema of a result, and end."),
]
