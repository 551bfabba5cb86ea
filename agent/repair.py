"""The loop's rungs put together on a board: read kept pictures, try, prove, put in force, tell.

What the command ``edge-agent recalibrate`` does, and what a command from afar will.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from agent.board import base_model, file_sha256, runtime_words, state_dir, state_folder
from agent.camera import list_pictures, read_picture
from agent.config import Config
from agent.errors import CameraError, ModelError, StorageError
from agent.files import write_whole
from agent.outset import set_out
from agent.pipeline import Model
from agent.recalibrate import overlay
from agent.recalibrate.application import Plan
from agent.recalibrate.correct import Reference
from agent.recalibrate.frames import Pictures
from agent.recalibrate.ladder import Climbed, Kept, Task, climb
from agent.recalibrate.light import Light, look
from agent.recalibrate.reference import read_light
from agent.recalibrate.report import as_json, page, text
from agent.recalibrate.rung import Name, Shown

log = logging.getLogger("agent.service")

MOST_FRAMES = 512
MOST_REFERENCE = 128
_SHOWN = 4
_SHOWN_PX = 960
"""Widest that a picture is kept for the page, which shows half of that."""

_NO_REFERENCE = "no reference: give --reference FOLDER, or let the service learn one"


@dataclass(frozen=True, slots=True)
class Job:
    """What to do.

    Attributes:
        frames: folder of pictures.
        plan: how to measure and prove.
        reference: folder of pictures from when the model was right; None: the light that the board keeps.
        float_model: the float model's file; None: that of the bundle, where it ships one.
        rungs: those to try, of ``correct`` and ``recalibrate``.
        report: where to write a page.
        dry_run: change nothing.
    """

    frames: Path
    plan: Plan
    reference: Path | None = None
    float_model: Path | None = None
    rungs: tuple[Name, ...] = ("correct", "recalibrate")
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
        tick: called with the number of frames to look at for all rungs, after each look.

    Raises:
        AgentError: as its exit code says; nothing was changed then.
    """
    kept = read_kept(job.frames)
    reference = _reference(job, state_dir(config))
    state = state_dir(config)
    if state is None and not job.dry_run:
        raise StorageError("what is learned cannot be kept: the state folder cannot be written (or give --dry-run)")
    with overlay.alone(state) if state is not None else contextlib.nullcontext():
        return _tried(config, job, kept, reference, tick)


def take_back(config: Config) -> str:
    """Remove what was learned about the model that the settings name; says in a sentence what was done.

    Raises:
        StorageError: it cannot be removed.
        UnavailableError: a recalibration is at work.
        AgentError: the settings name no model.
    """
    state, model = state_folder(config), base_model(config)
    if not (state / overlay.FOLDER).is_dir():
        return f"nothing lies over {model.name}: nothing to take back"
    with overlay.alone(state):
        is_there = overlay.remove(state, file_sha256(model))
    if not is_there:
        return f"nothing lies over {model.name}: nothing to take back"
    return f"what this board learned about {model.name} is taken away; in force at the next start"


def read_kept(folder: Path, most: int = MOST_FRAMES) -> Kept:
    """Pictures of a folder by name, at most ``most`` evenly, without those of no use; the log has a line for each.

    Each is decoded here for its light, and again whenever it is asked for: one at a time is in memory.

    Raises:
        CameraError: it is no folder, holds no picture, or fewer than half of its pictures show something.
    """
    if not folder.is_dir():
        raise CameraError(f"{folder}: is no folder; give a folder of pictures")
    paths = list_pictures(folder)
    paths = paths[:: -(-len(paths) // most)]
    frames, lights, left_out = [], [], []
    for path in paths:
        try:
            lights.append(_looked_at(path))
        except CameraError as error:
            left_out.append(str(error))
            continue
        frames.append(path)
    if len(left_out) > len(paths) / 2:
        raise CameraError(
            f"camera: {folder}: {len(frames)} of {len(paths)} pictures show something; the first that does not: "
            f"{left_out[0]}; no software repairs that: look at the camera"
        )
    for reason in left_out:
        log.warning("left out: %s", reason)
    return Kept(Pictures(frames), _joined(lights), len(paths))


def _joined(lights: Sequence[Light]) -> Light:
    return Light(np.concatenate([each.levels for each in lights]), np.concatenate([each.noise for each in lights]))


def _looked_at(path: Path) -> Light:
    try:
        light = look([read_picture(path)])
    except ValueError as error:
        raise CameraError(f"{path}: {error}") from None
    if not light.shows.all():
        raise CameraError(f"{path}: {'is black' if light.levels.max() < 1 else 'shows one colour'}")
    return light


def _reference(job: Job, state: Path | None) -> Reference | str:
    """When the model was right; a sentence where nothing tells."""
    if "correct" not in job.rungs:
        return _NO_REFERENCE
    if job.reference is not None:
        kept = read_kept(job.reference, MOST_REFERENCE)
        return Reference(kept.light, kept.frames, f"{len(kept.frames)} pictures of {job.reference}")
    try:
        light = read_light(state) if state is not None else None
    except (ModelError, StorageError) as error:
        return f"no reference: {error}"
    return _NO_REFERENCE if light is None else Reference(light)


def _tried(config: Config, job: Job, kept: Kept, reference: Reference | str, tick: Callable[[int], None]) -> Done:
    start = set_out(config, job.float_model, is_judged="recalibrate" in job.rungs)
    base = start.base
    shown, total = dict[Name, list[Shown]](), _looks(job, kept, reference)

    def seen(item: Shown) -> None:
        tick(total)
        pictures = shown.setdefault(item.rung, [])
        if job.report is not None and len(pictures) < _SHOWN:
            pictures.append(smaller(item))

    task = Task(
        plan=job.plan,
        runtime=config.runtime,
        path=start.path,
        reference=reference,
        float_model=start.float_model,
        rungs=job.rungs,
        seen=seen,
        light=start.light,
    )
    climbed = _told_of(_signed(climb(base, start.before, kept, task), runtime_words(base)), start.notes)
    if job.report is not None:
        _write_page(job.report, page(climbed, base, [item for items in shown.values() for item in items]))
    return _told(climbed, base, _put_in_force(climbed, job, state_dir(config)))


def smaller(item: Shown) -> Shown:
    """What a page keeps of a picture: no more than it shows; boxes stay in place."""
    height, width = item.pixels.shape[:2]
    share = _SHOWN_PX / width
    if share >= 1:
        return item
    pixels = cv2.resize(item.pixels, (_SHOWN_PX, max(1, round(height * share))), interpolation=cv2.INTER_AREA)
    before, after = (replace(found, xyxy=found.xyxy * np.float32(share)) for found in (item.before, item.after))
    return replace(item, pixels=np.asarray(pixels, np.uint8), before=before, after=after)


def _signed(climbed: Climbed, runtime: str) -> Climbed:
    """A new patch with the runtime that proved it."""
    ranges = climbed.overlay.ranges
    if ranges is None or ranges == climbed.before.ranges:
        return climbed
    ranges = msgspec.structs.replace(ranges, runtime=runtime)
    return replace(climbed, overlay=msgspec.structs.replace(climbed.overlay, ranges=ranges))


def _told_of(climbed: Climbed, notes: tuple[str, ...]) -> Climbed:
    """With what it began from, at the first rung."""
    first, *rest = climbed.rungs
    return replace(climbed, rungs=(replace(first, details=(*first.details, *notes)), *rest))


def _looks(job: Job, kept: Kept, reference: Reference | str) -> int:
    """Held-out frames at most, once for each rung that may look at them."""
    rungs = ("recalibrate" in job.rungs) + ("correct" in job.rungs and not isinstance(reference, str))
    block = job.plan.block or 1
    return max(1, rungs * (len(kept.frames) // (2 * block)) * block)


def _put_in_force(found: Climbed, job: Job, state: Path | None) -> str:
    if found.verdict == "cannot-help":
        return "nothing was changed"
    if job.dry_run or state is None:
        return "dry run: nothing was changed"
    if found.overlay.is_empty:
        overlay.remove(state, found.overlay.base_sha256)
    else:
        overlay.write(state, found.overlay)
    return "it is in force at the next start; `edge-agent recalibrate --undo` takes it back"


def _told(found: Climbed, model: Model, done: str) -> Done:
    return Done(f"{text(found, model)}\n{done}", {**as_json(found, model), "done": done})


def _write_page(path: Path, content: str) -> None:
    try:
        write_whole(path, content.encode(), safely=False)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
