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
from agent.recalibrate import typical
from agent.recalibrate.again import Bench, in_new_light, staying
from agent.recalibrate.application import Outcome, Plan, recalibrate
from agent.recalibrate.blocks import Split
from agent.recalibrate.correct import NEUTRAL, Corrected, Reference, Setup, correct
from agent.recalibrate.levels import Light
from agent.recalibrate.operating import Refit
from agent.recalibrate.overlay import Overlay, ProvenCorrection, ProvenPatch, ProvenThreshold, light_digest, words
from agent.recalibrate.parts import arrange
from agent.recalibrate.proof import Said
from agent.recalibrate.rung import Name, Row, Rung, Shown, Threshold
from agent.recalibrate.rung import rows as rows_of
from agent.records import Correction, Labels, Learned, Pixels, Retuned

BLACK_LUMA = 16
"""A picture whose brightest pixels (99th percentile) are below this is black (``camera.black_luma``)."""

ONE_LIGHT = (
    "for the light of these pictures only: the service holds it back while its camera's frames are nearer to the "
    "reference without it; detect and bench use it as it is, whatever the light"
)


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
        light: the correction in force where it is not the record's: the service follows the light.
    """

    plan: Plan
    runtime: RuntimeConfig
    path: Path
    reference: Reference | str
    float_model: Model | None
    rungs: Sequence[Name]
    seen: Callable[[Shown], None]
    light: Correction | None = None


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
    given = before.light.correction if before.light else None
    in_force = given if task.light is None else task.light
    base.preprocess.correct(None if in_force == NEUTRAL else in_force)
    light, corrected = _correct(base, before, kept, parts, task)
    overlay = before
    if corrected and corrected.helps:
        fresh = _with_light(before, corrected, base, task.reference)
        overlay, said = _relit(fresh, before, _bench(base, before, kept, parts, task))
        light = replace(light, details=(*light.details, *said))
        task = replace(task, path=task.path if overlay.ranges else base.path)
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


def _relit(overlay: Overlay, before: Overlay, bench: Bench) -> tuple[Overlay, list[str]]:
    """What of the record outlasts the new light, and what does not, in sentences."""
    gone = [name for name in before.thresholds if name not in overlay.thresholds]
    dropped = f"thresholds of another light are taken away: {', '.join(gone)}" if gone else ""
    overlay, said = in_new_light(overlay, bench)
    return overlay, [each for each in (dropped, said) if each]


def _bench(base: Model, before: Overlay, kept: Kept, parts: Split, task: Task) -> Bench:
    patched = _deployed(base, msgspec.structs.replace(before, thresholds=staying(before)))
    return Bench(base, patched, task.path, kept.frames, parts, task.runtime, task.float_model)


def _correct(base: Model, before: Overlay, kept: Kept, parts: Split, task: Task) -> tuple[Rung, Corrected | None]:
    if "correct" not in task.rungs:
        return Rung("correct", "not-tried", "not asked for"), None
    if isinstance(task.reference, str):
        return Rung("correct", "not-tried", task.reference), None
    model = _deployed(base, msgspec.structs.replace(before, thresholds=staying(before)))
    in_force = _deployed(base, before).postprocess.thresholds
    setup = Setup(model, kept.frames, kept.light, parts, task.path, task.runtime, task.seen, in_force)
    found = correct(setup, task.reference)
    is_back = found.helps and found.correction == NEUTRAL
    said = [f"against {task.reference.origin}"]
    said += ["the correction in force is taken back" if is_back else f"correction: {words(found.correction)}"]
    said += [ONE_LIGHT] if found.helps and not is_back else []
    said += _same_frames(found.refits) if found.helps else []
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
        *(_same_frames(found.refits) if is_better else []),
    )
    return Rung(
        "recalibrate",
        "helps" if is_better else "cannot-help",
        found.reason,
        said,
        rows_of(found.retuned, found.proof),
        _named(found.refits, base.labels) if is_better else (),
    )


def _same_frames(refits: Mapping[int, Refit]) -> list[str]:
    if not any(each.is_moved for each in refits.values()):
        return []
    return ["thresholds are found and judged on the same frames: what is said of them is a little too good"]


def _is_black(pixels: Pixels, correction: Correction | None) -> bool:
    seen = np.ascontiguousarray(pixels[::4, ::4])
    if correction is not None:
        seen = np.asarray(cv2.LUT(seen, correction.table()), np.uint8)
    return bool(np.percentile(seen.max(axis=2), 99) < BLACK_LUMA)


def _named(refits: Mapping[int, Refit], labels: Labels) -> tuple[Threshold, ...]:
    return tuple(Threshold(labels.name(number), refit) for number, refit in refits.items())


def _with_light(before: Overlay, found: Corrected, base: Model, reference: Reference | str) -> Overlay:
    distance, is_back = found.distance, found.correction == NEUTRAL
    if distance is None or isinstance(reference, str):
        return before
    light = ProvenCorrection(
        correction=found.correction,
        distance=distance.after,
        gain=(distance.nearer.value, distance.nearer.low, distance.nearer.high),
        frames=distance.frames,
        typical=typical.pack(reference.light),
    )
    fresh = {} if is_back else thresholds_of(found.refits, base, "correct", light_digest(found.correction))
    return msgspec.structs.replace(before, light=None if is_back else light, thresholds={**staying(before), **fresh})


def _with_ranges(before: Overlay, found: Outcome, base: Model) -> Overlay:
    proof = found.retuned or found.proof
    digest = light_digest(before.light.correction if before.light else None)
    ranges = ProvenPatch(
        patch=found.patch,
        agreement=proof.new.agreement.quality,
        gain=(proof.gain.value, proof.gain.low, proof.gain.high),
        frames=proof.frames,
        light=digest,
    )
    fresh = thresholds_of(found.refits, base, "recalibrate", digest)
    return msgspec.structs.replace(before, ranges=ranges, thresholds={**before.thresholds, **fresh})


def thresholds_of(
    refits: Mapping[int, Refit], base: Model, by: Literal["correct", "recalibrate"], digest: str
) -> dict[str, ProvenThreshold]:
    """The moved thresholds as they are kept, by class name.

    Args:
        refits: by class number.
        base: the model with its settings.
        by: the rung that found them.
        digest: of the light that they were found in.
    """
    settings, names = base.settings, base.labels
    return {
        names.name(number): ProvenThreshold(
            given=settings.class_thresholds.get(names.name(number), settings.score_threshold),
            threshold=refit.threshold,
            rate=refit.rate,
            evidence=refit.evidence,
            by=by,
            light=digest,
        )
        for number, refit in refits.items()
        if refit.is_moved
    }
