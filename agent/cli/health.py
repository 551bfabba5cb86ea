"""``doctor``: what this machine is, and which known traps it is in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    load_settings,
    model_options,
    runtime_options,
)

if TYPE_CHECKING:
    from agent.config import Config
    from agent.doctor import Diagnosis, Tried


def doctor(
    config: ConfigPath = None,
    camera: CameraUri = None,
    model: ModelPath = None,
    labels: LabelsPath = None,
    bundle: BundlePath = None,
    backend: BackendName = None,
    threads: Threads = None,
    delegate: DelegateName = None,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with the first problem's code.")] = False,
    capture: Annotated[
        Path | None, typer.Option(help="Also write an archive (.tar.gz) of the board's sensors, without what names it.")
    ] = None,
) -> None:
    """Look for the known traps of the field on this machine, each with its mend; mend nothing.

    Example: edge-agent doctor --config /etc/edge-agent/agent.toml --delegate edgetpu
    """
    settings = load_settings(
        config,
        {
            **model_options(model, labels, bundle, None),
            **runtime_options(backend, threads, delegate),
            "camera.uri": camera,
        },
    )
    from agent import doctor as room
    from agent.board import device_id, state_folder

    asked = bool(settings.model.path or settings.model.bundle or settings.runtime.delegate)
    scene = room.look_around(
        settings, device=device_id(settings), folder=state_folder(settings), prove=_prover(settings) if asked else None
    )
    diagnosis = room.examine(scene)
    typer.echo(room.json_text(diagnosis) if as_json else room.text(diagnosis))
    if capture is not None:
        _capture(settings, diagnosis, capture)
    raise typer.Exit(diagnosis.exit_code if strict else 0)


def _prover(settings: Config) -> Callable[[], Tried]:
    """Tries the model that is named, else the embedded one: a delegate alone can be tried as well."""

    def prove() -> Tried:
        from agent.board import deployed_model
        from agent.config import override
        from agent.doctor import Tried
        from agent.infer import choose_backend, prove
        from agent.pipeline import plan_model

        has_model = settings.model.path or settings.model.bundle
        placed = deployed_model(settings if has_model else override(settings, {"model.bundle": "demo:"}))
        backend = choose_backend(settings.runtime.backend)
        plan = plan_model(placed.config, name=placed.name, version=placed.version)
        proof = prove(plan.path, plan.card, placed.config.runtime)
        on = settings.runtime.delegate or "the CPU"
        seen = f"{plan.name} ran once on {on} by {backend.name} {backend.version}, {proof.invoke_s * 1e3:.0f} ms"
        lost = plan.card.lost_class(settings.runtime.num_threads)
        return Tried(seen, plan.labels.name(lost) if lost is not None else "")

    return prove


def _capture(settings: Config, diagnosis: Diagnosis, target: Path) -> None:
    from agent.doctor import write_archive
    from agent.doctor.short_bench import short_bench
    from agent.errors import AgentError, StorageError
    from agent.measure.capture import capture

    if target.is_dir():
        raise typer.BadParameter(f"{target} is a folder; name a file, such as {target / 'board.tar.gz'}")
    if not target.absolute().parent.is_dir():
        raise StorageError(f"{target}: cannot be written: there is no folder {target.parent}")
    bench = None
    try:
        bench = short_bench(settings)
    except AgentError as error:
        typer.echo(f"no benchmark in it: {error}", err=True)
    taken = capture(Path(settings.measure.sys_root))
    size = write_archive(target, taken, diagnosis, bench)
    with contextlib.suppress(OSError):
        target = target.resolve()
    typer.echo(f"{target}: {len(taken.files)} files, {size} bytes; look through it before you give it away", err=True)
