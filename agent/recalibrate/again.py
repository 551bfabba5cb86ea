"""What of a record outlasts another light: the patch is proven again in it, or taken away.

Scores and ranges were measured on frames in the light that was in force. In another one they are other numbers: a
patch and the thresholds that came with it are no longer proven, and a correction's thresholds would only ever rise from
one to the next.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.config import RuntimeConfig
from agent.errors import ModelError, StorageError
from agent.model import float_twin, mapped
from agent.pipeline import Model
from agent.recalibrate.blocks import Split
from agent.recalibrate.candidate import Candidate, FloatModel, Twin
from agent.recalibrate.overlay import Overlay, ProvenPatch, ProvenThreshold, light_digest
from agent.recalibrate.proof import Answerer, Proof, weigh
from agent.records import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What a patch is proven on.

    Attributes:
        base: the model as it was received, its preprocessor with the new light; it has the thresholds of its settings.
        patched: the same with the thresholds that came with the patch.
        path: the patched file.
        frames: pictures of its camera.
        parts: which of them judge.
        runtime: backend and threads.
        float_model: the float model, where one is given; its light is changed.
    """

    base: Model
    patched: Model
    path: Path
    frames: Sequence[Pixels]
    parts: Split
    runtime: RuntimeConfig
    float_model: Model | None


def staying(overlay: Overlay) -> dict[str, ProvenThreshold]:
    """The thresholds that came with the patch: those of a correction go with it."""
    return {
        name: each
        for name, each in overlay.thresholds.items()
        if each.by == "recalibrate" and overlay.ranges is not None
    }


def in_new_light(overlay: Overlay, bench: Bench) -> tuple[Overlay, str]:
    """The record after its light became another one, with what came of its patch in a sentence.

    Args:
        overlay: with the new light, and the patch of the old one.
        bench: to prove the patch on.

    Raises:
        StorageError: nothing can be written to the folder for passing files.
    """
    ranges = overlay.ranges
    if ranges is None:
        return overlay, ""
    try:
        proof = _proof(bench)
    except ModelError as error:
        return _without(overlay), f"the range patch cannot be proven in this light and is taken away: {error}"
    said = (
        f"agreement with the float reference {proof.old.agreement.quality:.3f} -> {proof.new.agreement.quality:.3f} "
        f"({proof.gain.value:+.3f}, 95 %: {proof.gain.low:+.3f} to {proof.gain.high:+.3f})"
    )
    if not proof.holds:
        return _without(overlay), (
            f"the range patch was proven in another light, and in this one it is not: {said}; it is taken away, with "
            "all thresholds"
        )
    return _stamped(overlay, ranges, proof), f"the range patch is proven again in this light: {said}"


def _proof(bench: Bench) -> Proof:
    """The received file against the patched one, frame by frame."""
    with tempfile.TemporaryDirectory(prefix="edge-agent-") as folder:
        reference = _reference(bench, Path(folder))
        old = Candidate(bench.base, bench.base.path, bench.runtime, is_new=False)
        new = Candidate(bench.patched, bench.path, bench.runtime, is_new=False)
        return weigh(
            ((reference(pixels), old(pixels), new(pixels)) for pixels in (bench.frames[index] for index in block))
            for block in bench.parts.held_out
        )


def _reference(bench: Bench, folder: Path) -> Answerer:
    if bench.float_model is not None:
        bench.float_model.preprocess.correct(bench.base.preprocess.correction)
        return FloatModel(bench.float_model)
    path = folder / "twin.tflite"
    try:
        path.write_bytes(float_twin(mapped(bench.base.path)))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return Twin(bench.base, path, bench.runtime)


def _without(overlay: Overlay) -> Overlay:
    """Thresholds for the new light go along: they were found with the patched file."""
    return msgspec.structs.replace(overlay, ranges=None, thresholds={})


def _stamped(overlay: Overlay, ranges: ProvenPatch, proof: Proof) -> Overlay:
    digest = light_digest(overlay.light.correction if overlay.light else None)
    ranges = msgspec.structs.replace(
        ranges,
        agreement=proof.new.agreement.quality,
        gain=(proof.gain.value, proof.gain.low, proof.gain.high),
        frames=proof.frames,
        light=digest,
    )
    thresholds = {name: msgspec.structs.replace(each, light=digest) for name, each in overlay.thresholds.items()}
    return msgspec.structs.replace(overlay, ranges=ranges, thresholds=thresholds)
