"""The loop's rungs put together on a board: read kept pictures, try, prove, put in force, tell.

What the command ``edge-agent recalibrate`` does, and what a command from afar will.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent import config as settings
from agent.board import base_model, deployed_file, file_sha256, ready_model, state_dir
from agent.camera import list_pictures, read_picture
from agent.config import Config
from agent.errors import CameraError, StorageError
from agent.files import write_whole
from agent.pipeline import Model, load_model
from agent.recalibrate import overlay
from agent.recalibrate.application import Outcome, Plan, recalibrate
from agent.recalibrate.proof import Answer
from agent.recalibrate.report import Shown, as_json, page, text
from agent.records import Pixels

log = logging.getLogger("agent.service")

MOST_FRAMES = 512
_SHOWN = 4
_BLACK_LUMA = 16
"""A picture whose brightest pixels (99th percentile) are below this shows nothing (``camera.black_luma``)."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to do.

    Attributes:
        frames: folder of pictures.
        plan: how to measure and prove.
        reference: the float model's file.
        report: where to write a page.
        dry_run: change nothing.
    """

    frames: Path
    plan: Plan
    reference: Path | None = None
    report: Path | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it, for a terminal and for a program."""

    text: str
    as_json: dict[str, Any]


def repair(config: Config, job: Job, tick: Callable[[int], None]) -> Done:
    """Try, prove, and put in force what is surely better.

    Args:
        config: names the model.
        job: what to do.
        tick: called with the number of frames to prove, after each of them.

    Raises:
        AgentError: as its exit code says; nothing was changed then.
    """
    frames, left_out = read_frames(job.frames)
    state = state_dir(config)
    if state is None and not job.dry_run:
        raise StorageError("the patch cannot be kept: the state folder cannot be written (or give --dry-run)")
    for reason in left_out:
        log.warning("left out: %s", reason)
    with overlay.alone(state) if state is not None else contextlib.nullcontext():
        return _tried(config, job, frames, tick)


def take_back(config: Config) -> str:
    """Remove the patch of the model that the settings name; says in a sentence what was done.

    Raises:
        StorageError: it cannot be removed.
        AgentError: the settings name no model.
    """
    state, model = state_dir(config), base_model(config)
    if state is None or not overlay.remove(state, file_sha256(model)):
        return f"no range patch lies over {model.name}: nothing to take back"
    return f"the range patch over {model.name} is taken away; in force at the next start"


def read_frames(folder: Path) -> tuple[list[Pixels], list[str]]:
    """Pictures of a folder by name, and a sentence for each file that is of no use.

    Raises:
        CameraError: it is no folder, holds no picture, or fewer than half of its pictures can be used.
    """
    if not folder.is_dir():
        raise CameraError(f"{folder}: is no folder; give a folder of pictures")
    paths = list_pictures(folder)[:MOST_FRAMES]
    frames, left_out = [], []
    for path in paths:
        try:
            pixels = read_picture(path)
        except CameraError as error:
            left_out.append(str(error))
            continue
        if _is_black(pixels):
            left_out.append(f"{path}: is black")
        else:
            frames.append(pixels)
    if len(left_out) > len(paths) / 2:
        why = f"; the first: {left_out[0]}" if left_out else ""
        raise CameraError(f"{folder}: {len(frames)} of {len(paths)} pictures can be used{why}")
    return frames, left_out


def _is_black(pixels: Pixels) -> bool:
    return bool(np.percentile(pixels[::4, ::4].max(axis=2), 99) < _BLACK_LUMA)


def _tried(config: Config, job: Job, frames: list[Pixels], tick: Callable[[int], None]) -> Done:
    model = ready_model(config, learned=False)
    base = settings.override(config, {"model.path": str(model.path), "model.bundle": ""})
    reference = load_model(settings.override(base, {"model.path": str(job.reference)})) if job.reference else None
    shown: list[Shown] = []

    def seen(total: int, pixels: Pixels, before: Answer, after: Answer) -> None:
        tick(total)
        if len(shown) < _SHOWN:
            shown.append(Shown(pixels, before.detections, after.detections))

    outcome = recalibrate(
        model, frames, config.runtime, job.plan, deployed=deployed_file(base), reference=reference, seen=seen
    )
    if job.report is not None:
        _write_page(job.report, page(outcome, model, shown))
    return _told(outcome, model, _put_in_force(outcome, job, state_dir(config)))


def _put_in_force(outcome: Outcome, job: Job, state: Path | None) -> str:
    if outcome.verdict != "recalibrate":
        return "nothing was changed"
    if job.dry_run or state is None:
        return "dry run: nothing was changed"
    gain = outcome.proof.gain
    overlay.write(
        state,
        overlay.Overlay(
            patch=outcome.patch,
            agreement=outcome.proof.new.agreement.quality,
            gain=(gain.value, gain.low, gain.high),
            frames=outcome.proof.frames,
        ),
    )
    return "the patch is in force at the next start; `edge-agent recalibrate --undo` takes it back"


def _told(outcome: Outcome, model: Model, done: str) -> Done:
    return Done(f"{text(outcome, model)}\n{done}", {**as_json(outcome, model), "done": done})


def _write_page(path: Path, content: str) -> None:
    try:
        write_whole(path, content.encode(), safely=False)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
