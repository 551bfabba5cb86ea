"""The command line of the desk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agent import __version__
from agent.cli.plain import PlainGroup
from agent.errors import AgentError

app = typer.Typer(
    name="edge-tools",
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tools for the desk: show the agent at work, evaluate a detector, compare benchmarks, patch a Coral's model.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Tools for the desk."""


@app.command()
def evaluate(
    annotations: Annotated[Path, typer.Argument(help="COCO annotation file (JSON).")],
    images: Annotated[Path, typer.Argument(help="Folder of its pictures.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The agent's configuration file.")] = None,
    model: Annotated[Path | None, typer.Option(help="The .tflite detector.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Label file, one name a line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """COCO mAP of a detector on annotated pictures."""
    import msgspec

    from agent import config as settings
    from tools import evaluate as scores

    changes = {"model.path": str(model) if model else None, "model.labels": str(labels) if labels else None}
    score = scores.evaluate(settings.override(settings.load(config), changes), annotations, images)
    if as_json:
        typer.echo(msgspec.json.encode(score).decode())
    else:
        typer.echo(f"mAP {score.mean_ap:.4f}, AP50 {score.ap50:.4f} ({score.images} pictures)")


@app.command()
def demo(
    camera: Annotated[
        str | None, typer.Option(help="Anything that `edge-agent run --camera` takes; else the rendered belt.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="A .bundle; else demo:, the one in the package.")] = None,
    model: Annotated[Path | None, typer.Option(help="A .tflite detector instead of a bundle.")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so many; else on Ctrl-C.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of the page; else 8765 or the next free.")] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Show the page, if there is a screen.")] = True,
) -> None:
    """Show everything: a local broker, the agent on a rendered camera, and the live page.

    After 30 seconds the light begins to drop.
    """
    from tools import demo as demos

    named = {"camera": camera, "bundle": bundle, "model": model, "seconds": seconds, "port": port}
    known: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    raise typer.Exit(demos.run(**known, open_browser=open_browser))


@app.command()
def compare(
    one: Annotated[Path, typer.Argument(metavar="A.json", help="Result of edge-agent bench, the one to compare with.")],
    other: Annotated[Path, typer.Argument(metavar="B.json", help="The other result.")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare what measures different things, or is not valid; and say so.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether one benchmark is slower than another, with 95 % intervals.

    Results of different models, scenarios or frames are refused, and so are those that are not valid: one line for
    each file and reason, exit code 2. What is no result, or cannot be read, ends with 74.
    """
    from agent import bench
    from tools import compare as intervals
    from tools import sides

    pair = (str(one), bench.read(one)), (str(other), bench.read(other))
    refused = sides.refusals(*pair)
    is_done = not any(each.is_final for each in refused) and (anyway or not refused)
    found = intervals.compare(pair[0][1], pair[1][1]) if is_done else ()
    for each in refused:
        typer.echo(f"{'mind' if is_done else 'edge-tools'}: {each.said}", err=True)
    if as_json:
        typer.echo(sides.encode(*pair, refused, found).decode())
    elif is_done:
        typer.echo(intervals.table(found))
        typer.echo(intervals.values(pair[0][1], pair[1][1]))
    if not is_done:
        mend = "" if any(each.is_final for each in refused) else "; --anyway compares them all the same"
        raise UsageError(f"not compared{mend}")


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT.json...", help="Results of edge-agent bench.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("bench-report.html"),
) -> None:
    """Draw results on one page that needs nothing else: latency over time, heat, clock, percentiles, stages.

    An earlier page is written over; any other file at --out is refused.
    """
    from agent.errors import StorageError
    from agent.files import write_whole
    from tools import report as pages

    rows = [named for path in results for named in _drawn(path)]
    _expect_page(out, results)
    page = pages.page(
        [(name, row) for name, row in rows if not isinstance(row, str)],
        [(name, row) for name, row in rows if isinstance(row, str)],
    )
    try:
        write_whole(out, page.encode())
    except OSError as error:
        raise StorageError(f"{out}: cannot be written: {error.strerror}") from None
    typer.echo(f"{out}: written", err=True)


@app.command()
def edgetpu(
    model: Annotated[Path, typer.Argument(help="The quantized .tflite that the Coral's file was compiled from.")],
    patch: Annotated[
        Path, typer.Argument(help="A board's record of `edge-agent recalibrate`, or a range patch (JSON).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for what is made.")] = Path(),
    compiler: Annotated[str, typer.Option(help="The compiler: a name on the PATH, or a path.")] = "edgetpu_compiler",
    timeout: Annotated[
        int | None, typer.Option(min=1, help="Seconds that the compiler is given; else its own choice, 180.")
    ] = None,
    patch_only: Annotated[
        bool, typer.Option("--patch-only", help="Write the patched file, and do not compile.")
    ] = False,
) -> None:
    """Patch the CPU version of a Coral's model, and compile it again with Google's edgetpu_compiler.

    Writes MODEL.patched.tflite, MODEL.patched_edgetpu.tflite and the compiler's log.

    Example: edge-tools edgetpu ssd.tflite overlays/61d5.json --out build/
    """
    from tools.edgetpu import carry

    made = carry.carry(model, patch, out, compiler=compiler, timeout_s=timeout, patch_only=patch_only)
    typer.echo(carry.told(made))


def _drawn(path: Path) -> list[tuple[str, Any]]:
    """The results in a file: one, or the rows of a sweep, of which one without a result is its reason."""
    from agent import bench
    from agent.bench.sweep import measured

    rows = measured(path.read_bytes(), str(path)) if path.is_file() and path.stat().st_size < 2**28 else None
    return [(path.name, bench.read(path))] if rows is None else [(f"{path.name}: {said}", row) for said, row in rows]


def _expect_page(out: Path, results: list[Path]) -> None:
    """Refuse to write over anything but an earlier page; an empty file is nobody's."""
    from agent.errors import StorageError
    from tools.report import BEGIN

    try:
        if any(out.exists() and path.exists() and out.samefile(path) for path in results):
            raise UsageError(f"{out}: is one of the results to draw; name another file with --out")
        begin = out.open("rb").read(len(BEGIN)) if out.is_file() else b""
    except OSError as error:
        raise StorageError(f"{out}: cannot be read: {error.strerror}") from None
    if begin and begin != BEGIN.encode():
        raise UsageError(f"{out}: is there and is no page of report; name another file with --out, or remove it")


class UsageError(AgentError):
    """What was asked for makes no sense."""

    exit_code = 2


def main() -> None:
    """Run the command line, and turn an error into one line and an exit code."""
    try:
        app()
    except AgentError as error:
        sys.stderr.write(f"edge-tools: {error}\n")
        sys.exit(error.exit_code)
