"""The rungs one after the other: the camera, the light, the ranges; what helps is in force for the next one.

In: the model as it was received, what this board has learned about it so far, kept pictures. Out: a verdict on each
rung, and the record of what is to be in force. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np

from agent.config import RuntimeConfig
from agent.errors import CameraError, ModelError
from agent.pipeline import Model
from agent.recalibrate.application import Outcome, Plan, recalibrate
from agent.recalibrate.blocks import Split
from agent.recalibrate.correct import NEUTRAL, Corrected, Reference, Setup, correct
from agent.recalibrate.levels import Light
from agent.recalibrate.operating import Refit
from agent.recalibrate.overlay import Overlay, ProvenCorrection, ProvenPatch, ProvenThreshold, words
from agent.recalibrate.parts import arrange
from agent.recalibrate.proof import Said
from agent.recalibrate.rung import Name, Row, Rung, Shown, Threshold
from agent.recalibrate.rung import rows as rows_of
from agent.records import Correction, Labels, Learned, Pixels, Retuned

BLACK_LUMA = 16
"""A picture whose brightest pixels (99th percentile) are below this is black (``camera.black_luma``)."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Pictures of the camera.

    Attributes:
        frames: in the order in which they were taken; all of them show something.
        light: of the same frames.
        total: how many there were, those of no use too.
    """

    frames: Sequence[Pixels]
    light: Light
    total: int


@dataclass(frozen=True, slots=True)
class Task:
    """What to try, and with what.

    Attributes:
        plan: how to measure and prove.
        runtime: backend and threads; a delegate is not used.
        path: the file in use.
        reference: when the model was right; a sentence where there is none.
        float_model: the float model, where one is given.
        rungs: those to try.
        seen: told of each held-out frame, once for each rung.
    """

    plan: Plan
    runtime: RuntimeConfig
    path: Path
    reference: Reference | str
    float_model: Model | None
    rungs: Sequence[Name]
    seen: Callable[[Shown], None]


@dataclass(frozen=True, slots=True)
class Climbed:
    """What came of it.

    Attributes:
        rungs: camera, correct, recalibrate.
        before: what lay over the model.
        overlay: what is to lie over it; the same where nothing helps.
    """

    rungs: tuple[Rung, ...]
    before: Overlay
    overlay: Overlay

    @property
    def verdict(self) -> str:
        """The rungs that help, or that nothing does."""
        return " + ".join(rung.name for rung in self.rungs if rung.verdict == "helps") or "cannot-help"

    @property
    def advice(self) -> str:
        """What would help where nothing here does, in a sentence; empty where something does."""
        if self.verdict != "cannot-help":
            return ""
        untried = [rung.name for rung in self.rungs if rung.verdict == "not-tried"]
        first = f"give {' and '.join(untried)} what it asks for; " if untried else ""
        return (
            f"if the model still misses objects: {first}look at the camera (dirt, focus, place); where that is as it "
            "was, the float model misses them too, and only training on such pictures helps"
        )


def climb(base: Model, before: Overlay, kept: Kept, task: Task) -> Climbed:
    """Try the rungs.

    Args:
        base: loaded from the file that was received, without what was learned; its light and thresholds are changed.
        before: what lies over it; empty: nothing.
        kept: the pictures.
        task: what to try.

    Raises:
        CameraError: too few pictures, or nothing on them and no other rung was tried.
        ModelError: the ranges cannot be changed and no other rung was tried, or the model gave up.
    """
    parts = arrange(kept.frames, kept.light, task.plan.block)
    camera = Rung("camera", "sound", f"{len(kept.frames)} of {kept.total} pictures show something", _arranged(parts))
    base.preprocess.correct(before.light.correction if before.light else None)
    light, corrected = _correct(_deployed(base, before), kept, parts, task)
    overlay = _with_light(before, corrected, base) if corrected and corrected.helps else before
    ranges, outcome = _recalibrate(base, overlay, kept, parts, task, is_alone=light.verdict == "not-tried")
    if outcome and outcome.verdict == "recalibrate":
        overlay = _with_ranges(overlay, outcome, base)
    return Climbed((camera, light, ranges), before, overlay)


def _arranged(parts: Split) -> tuple[str, ...]:
    length = f"blocks of {parts.length} neighbouring pictures" if parts.length > 1 else "each picture by itself"
    alike = (f"{parts.alike} left out, for they look like an earlier one",) if parts.alike else ()
    return (*alike, f"evidence: {length}, {len(parts.held_out)} held out")


def _deployed(base: Model, overlay: Overlay) -> Model:
    """The model with the thresholds of a record; its correction is in its preprocessor already."""
    thresholds = {name: Retuned(each.given, each.threshold) for name, each in overlay.thresholds.items()}
    return replace(base, postprocess=base.postprocess.learning(Learned(thresholds=thresholds)))


def _correct(model: Model, kept: Kept, parts: Split, task: Task) -> tuple[Rung, Corrected | None]:
    if "correct" not in task.rungs:
        return Rung("correct", "not-tried", "not asked for"), None
    if isinstance(task.reference, str):
        return Rung("correct", "not-tried", task.reference), None
    setup = Setup(model, kept.frames, kept.light, parts, task.path, task.runtime, task.seen)
    found = correct(setup, task.reference)
    is_back = found.helps and found.correction == NEUTRAL
    said = [f"against {task.reference.origin}"]
    said += ["the correction in force is taken back" if is_back else f"correction: {words(found.correction)}"]
    rung = Rung(
        "correct",
        "helps" if found.helps else "cannot-help",
        found.reason,
        tuple(said),
        _light_rows(found),
        _named(found.refits, model.labels),
    )
    return rung, found


def _light_rows(found: Corrected) -> tuple[Row, ...]:
    rows = []
    if found.distance is not None:
        distance = found.distance
        rows.append(Row("from the light", distance.before, distance.after, "grey levels", distance.nearer))
    for each in found.answers:
        rows.append(Row(each.name, each.before, each.after, "", each.nearer))
        rows += [Row("  in the reference", None, each.reference)] if each.reference is not None else []
    return tuple(rows)


def _recalibrate(
    base: Model, overlay: Overlay, kept: Kept, parts: Split, task: Task, *, is_alone: bool
) -> tuple[Rung, Outcome | None]:
    if "recalibrate" not in task.rungs:
        return Rung("recalibrate", "not-tried", "not asked for"), None
    correction = base.preprocess.correction
    black = sum(_is_black(pixels, correction) for pixels in kept.frames)
    if black > len(kept.frames) / 2:
        why = f"{black} of {len(kept.frames)} pictures are black: ranges are not measured in the dark"
        return Rung("recalibrate", "not-tried", why), None
    if task.float_model is not None:
        task.float_model.preprocess.correct(correction)

    def seen(_: int, pixels: Pixels, said: Said) -> None:
        task.seen(Shown("recalibrate", pixels, said[1].detections, said[2].detections, correction, correction))

    try:
        found = recalibrate(
            _deployed(base, overlay),
            kept.frames,
            task.runtime,
            task.plan,
            deployed=task.path,
            reference=task.float_model,
            written=base,
            parts=parts,
            seen=seen,
        )
    except (CameraError, ModelError) as error:
        if is_alone:
            raise
        return Rung("recalibrate", "not-tried", str(error)), None
    return _told(found, base, correction), found


def _told(found: Outcome, base: Model, correction: Correction | None) -> Rung:
    is_better = found.verdict == "recalibrate"
    said = (
        f"measured on {found.measured_on} frames in {found.measure_s:.2f} s"
        + (f", corrected: {words(correction)}" if correction else ""),
        f"proven on {found.proof.frames} other frames in {found.proof.blocks} blocks",
    )
    return Rung(
        "recalibrate",
        "helps" if is_better else "cannot-help",
        found.reason,
        said,
        rows_of(found.retuned, found.proof),
        _named(found.refits, base.labels) if is_better else (),
    )


def _is_black(pixels: Pixels, correction: Correction | None) -> bool:
    seen = np.ascontiguousarray(pixels[::4, ::4])
    if correction is not None:
        seen = np.asarray(cv2.LUT(seen, correction.table()), np.uint8)
    return bool(np.percentile(seen.max(axis=2), 99) < BLACK_LUMA)


def _named(refits: Mapping[int, Refit], labels: Labels) -> tuple[Threshold, ...]:
    return tuple(Threshold(labels.name(number), refit) for number, refit in refits.items())


def _with_light(before: Overlay, found: Corrected, base: Model) -> Overlay:
    distance, is_back = found.distance, found.correction == NEUTRAL
    if distance is None:
        return before
    light = ProvenCorrection(
        correction=found.correction,
        distance=distance.after,
        gain=(distance.nearer.value, distance.nearer.low, distance.nearer.high),
        frames=distance.frames,
    )
    kept = {name: each for name, each in before.thresholds.items() if not (is_back and each.by == "correct")}
    fresh = {} if is_back else _proven(found.refits, base, "correct")
    return msgspec.structs.replace(before, light=None if is_back else light, thresholds={**kept, **fresh})


def _with_ranges(before: Overlay, found: Outcome, base: Model) -> Overlay:
    proof = found.retuned or found.proof
    ranges = ProvenPatch(
        patch=found.patch,
        agreement=proof.new.agreement.quality,
        gain=(proof.gain.value, proof.gain.low, proof.gain.high),
        frames=proof.frames,
    )
    fresh = _proven(found.refits, base, "recalibrate")
    return msgspec.structs.replace(before, ranges=ranges, thresholds={**before.thresholds, **fresh})


def _proven(
    refits: Mapping[int, Refit], base: Model, by: Literal["correct", "recalibrate"]
) -> dict[str, ProvenThreshold]:
    settings, names = base.settings, base.labels
    return {
        names.name(number): ProvenThreshold(
            given=settings.class_thresholds.get(names.name(number), settings.score_threshold),
            threshold=refit.threshold,
            rate=refit.rate,
            evidence=refit.evidence,
            by=by,
        )
        for number, refit in refits.items()
        if refit.is_moved
    }
