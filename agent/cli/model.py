"""``model show`` and ``model diff``: a model file, or the model of a bundle, looked into and compared."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from msgspec import Struct

model_app = typer.Typer(no_args_is_help=True, help="Look into model files; nothing is run.")

WholeJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonSchema = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of --json, and do nothing else.")]


@model_app.command()
def show(
    file: Annotated[
        Path | None, typer.Argument(help="A .tflite file, a .bundle, or demo: for the embedded one.")
    ] = None,
    ops: Annotated[bool, typer.Option("--ops", help="List the operations, and what runs them fast.")] = False,
    tensors: Annotated[bool, typer.Option("--tensors", help="List the tensors with their scales.")] = False,
    groups: Annotated[bool, typer.Option("--groups", help="List which tensors share a scale.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All three lists.")] = False,
    as_json: WholeJson = False,
    schema: JsonSchema = False,
) -> None:
    """Tell what a model file is: operations, scales, groups, outputs, what runs fast, and what is odd about it.

    Example: edge-agent model show ssd.tflite --groups
    """
    from agent import model
    from agent.cli import model_text

    if schema:
        typer.echo(json.dumps(model.schema_of(model.Page), indent=1))
        return
    with _opened(_given(file)) as path:
        page = model.show(path)
    if as_json:
        typer.echo(_json(page))
        return
    lists = [(ops, model_text.ops), (tensors, model_text.tensors), (groups, model_text.groups)]
    for line in [*model_text.page(page, str(file)), *model_text.learned(_learned(page.sha256))]:
        typer.echo(line)
    for wanted, lines in lists:
        if wanted or everything:
            typer.echo("\n" + "\n".join(lines(page)))


@model_app.command()
def diff(
    first: Annotated[Path | None, typer.Argument(metavar="A", help="A .tflite file, a .bundle, or demo:")] = None,
    second: Annotated[Path | None, typer.Argument(metavar="B", help="What it is compared with.")] = None,
    as_json: WholeJson = False,
    schema: JsonSchema = False,
) -> None:
    """Compare two model files without a picture: weights, ranges, operations, metadata; is B a range patch of A?

    Example: edge-agent model diff ssd.tflite ssd.patched.tflite
    """
    from agent import model
    from agent.cli import model_text

    if schema:
        typer.echo(json.dumps(model.schema_of(model.Diff), indent=1))
        return
    with _opened(_given(first)) as one, _opened(_given(second)) as other:
        found = model.diff(one, other)
    typer.echo(_json(found) if as_json else "\n".join(model_text.diff(found)))


def _given(file: Path | None) -> Path:
    if file is None:
        raise typer.BadParameter("name a .tflite file or a .bundle")
    return file


def _learned(sha256: str) -> Sequence[str]:
    """What this board has learned about the file, as far as its folder for state is the usual one."""
    from agent.board import state_folder
    from agent.config import Config
    from agent.errors import AgentError
    from agent.recalibrate import overlay

    try:
        found = overlay.read(state_folder(Config()), sha256)
    except AgentError as error:
        return [str(error)]
    return found.learned().notes if found is not None else ()


def _json(record: Struct) -> str:
    import msgspec

    return msgspec.json.encode(record).decode()


@contextmanager
def _opened(file: Path) -> Iterator[Path]:
    """The .tflite itself: a bundle is checked and unpacked for as long as it is looked at."""
    from agent import bundle, embedded

    is_demo = str(file) == embedded.ADDRESS
    if not is_demo and file.suffix != ".bundle":
        yield file
        return
    read = embedded.read() if is_demo else bundle.read(file)
    with tempfile.TemporaryDirectory(prefix="edge-agent-") as folder:
        yield bundle.unpack(read, Path(folder)) / "model.tflite"
