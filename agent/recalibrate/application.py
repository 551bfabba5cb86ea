"""Recalibrate: kept frames in, a verdict out - and a range patch, when it is surely better.

Measures ranges on every other block of frames, proves the patch on the blocks between them, and finds the thresholds
that keep the old rate of false positives. Says, when it does not help, what would: most drift is not quantization
(docs/recalibration.md).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from agent.config import RuntimeConfig
from agent.errors import CameraError, StorageError
from agent.infer import choose_backend
from agent.model import Net, RangePatch, Scale, float_twin, make, mapped, range_of, scale_for
from agent.pipeline import Model
from agent.recalibrate.blocks import Split
from agent.recalibrate.candidate import Candidate, FloatModel, Twin
from agent.recalibrate.evidence import Evidence, look_for
from agent.recalibrate.frames import Chosen
from agent.recalibrate.heads import is_head
from agent.recalibrate.light import look
from agent.recalibrate.operating import Refit
from agent.recalibrate.parts import arrange
from agent.recalibrate.probe import Seen as Measured
from agent.recalibrate.probe import twin_probe, wide_probe
from agent.recalibrate.proof import Answerer, Proof, Said, Seen, compare, unseen
from agent.recalibrate.ranges import Estimator, estimate
from agent.recalibrate.retune import keep_rates, moved, proof_at
from agent.recalibrate.verdict import Verdict, judge, refuse_stranger
from agent.records import Pixels, Tensor

MOST_CALIBRATION = 64
"""More frames only widen the ranges: 8 were within 0.25 AP of 60 in the laboratory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure and prove.

    Attributes:
        ranges: ``wide`` with the quantized model alone; ``twin`` with its float twin, slower and larger.
        estimator: for inner activations; the heads always keep everything that was seen.
        block: consecutive frames that count as one piece of evidence; None: as many as their light asks for.
    """

    ranges: Literal["wide", "twin"] = "wide"
    estimator: Estimator = "mse"
    block: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out.

    Attributes:
        verdict: ``recalibrate`` when the patch is surely better.
        reason: one sentence.
        proof: old against new.
        patch: the range patch that was tried.
        patched: the file that it makes.
        measured_on: frames whose ranges were measured.
        measure_s: seconds that this took.
        refits: thresholds by class number, of the classes that were found.
        retuned: the proof with these thresholds; None where none of them moves.
    """

    verdict: Verdict
    reason: str
    proof: Proof
    patch: RangePatch
    patched: bytes
    measured_on: int
    measure_s: float
    refits: Mapping[int, Refit] = field(default_factory=dict)
    retuned: Proof | None = None


def recalibrate(
    model: Model,
    frames: Sequence[Pixels],
    runtime: RuntimeConfig,
    plan: Plan = Plan(),
    *,
    deployed: Path | None = None,
    reference: Model | None = None,
    written: Model | None = None,
    parts: Split | None = None,
    seen: Seen = unseen,
) -> Outcome:
    """Try a range patch on a model.

    Args:
        model: loaded from the base file, which patches are made for.
        frames: pictures of its camera, in the order in which they were taken; labels are not needed.
        runtime: backend and threads; a delegate is not used.
        plan: how.
        deployed: the file in use, when a patch lies over the base already; the new one must be better than that.
        reference: the float model that it was made from; its float twin when not given.
        written: the same model with the thresholds of its settings, by which the twin judges; ``model`` when not given.
        parts: which frames measure and which judge; as ``plan`` says when not given.
        seen: told of each frame that was proven.

    Raises:
        ModelError: the file cannot be patched, the patched one does not run, the reference is another model, or both
            files are far from their own float twin.
        CameraError: too few frames, or nothing on them for the model to find.
    """
    parts = parts or arrange(frames, look(frames), plan.block)
    data = mapped(model.path)
    calibration = Chosen(frames, _spread(parts.calibration))
    with tempfile.TemporaryDirectory(prefix="edge-agent-") as folder:
        judge_by = FloatModel(reference) if reference else _twin(written or model, Path(folder), runtime)
        evidence = look_for(judge_by, calibration, _asked(model))
        _refuse_empty(evidence)
        began_s = time.perf_counter()
        tensors = [model.preprocess(pixels) for pixels in calibration]
        scales = choose_scales(data, _measure(plan, data, tensors, runtime), plan.estimator, evidence)
        patch, patched = make(data, scales)
        measure_s = time.perf_counter() - began_s
        new = Candidate(model, _written(Path(folder) / "patched.tflite", patched), runtime)
        old = Candidate(model, deployed or model.path, runtime, is_new=False)
        proof, said = _proven(judge_by, old, new, [Chosen(frames, block) for block in parts.held_out], seen)
    refuse_stranger(proof, by_twin=reference is None)
    refits, retuned = _retuned(proof, said, model, parts.length)
    verdict, reason = judge(retuned or proof, model.labels)
    if retuned is not None:
        reason = f"with thresholds that keep the old rate of false positives, {reason}"
    reason = "; ".join(filter(None, (reason, evidence.kept)))
    return Outcome(verdict, reason, proof, patch, patched, len(tensors), measure_s, refits, retuned)


def _proven(
    reference: Answerer, old: Answerer, new: Answerer, blocks: Sequence[Sequence[Pixels]], seen: Seen
) -> tuple[Proof, list[list[Said]]]:
    """The proof, and what was said of each frame, without the raw heads, which are large."""
    said: list[Said] = []

    def keep(total: int, pixels: Pixels, answers: Said) -> None:
        first, second, third = (replace(answer, heads=()) for answer in answers)
        said.append((first, second, third))
        seen(total, pixels, answers)

    proof, rest = compare(reference, old, new, blocks, keep), iter(said)
    return proof, [[next(rest) for _ in block] for block in blocks]


def _retuned(
    proof: Proof, said: Sequence[Sequence[Said]], model: Model, block: int
) -> tuple[Mapping[int, Refit], Proof | None]:
    """Thresholds at the old rate of false positives, and the proof with them where one of them moves.

    Where the patch holds at the deployed thresholds and not at these, the deployed ones stay.
    """
    if not proof.holds:
        return {}, None
    limits = model.postprocess.thresholds
    refits = keep_rates(said, limits, model.labels, block)
    if not any(each.is_moved for each in refits.values()):
        return refits, None
    again = proof_at(said, limits, moved(limits, refits))
    return (refits, again) if again.holds else ({}, None)


def _asked(model: Model) -> int | None:
    """How many classes the model is asked for; None where the file does not say how many it has."""
    if model.settings.classes:
        return len({number for name in model.settings.classes for number in model.labels.ids(name)})
    return model.card.num_classes


def _spread(indices: Sequence[int]) -> list[int]:
    """At most :data:`MOST_CALIBRATION` of them, evenly."""
    step = max(1.0, len(indices) / MOST_CALIBRATION)
    return [indices[int(number * step)] for number in range(min(len(indices), MOST_CALIBRATION))]


def _measure(plan: Plan, data: memoryview, tensors: Sequence[Tensor], runtime: RuntimeConfig) -> list[Measured]:
    probe = wide_probe if plan.ranges == "wide" else twin_probe
    return probe(data, tensors, choose_backend(runtime.backend), runtime.num_threads)


def choose_scales(
    data: memoryview, seen: Sequence[Measured], how: Estimator, evidence: Evidence | None = None
) -> list[Scale | None]:
    """A scale for each group of what was seen: ``how`` inside, everything at the heads; None for what stays.

    Args:
        data: the file.
        seen: what each group held.
        how: for inner activations.
        evidence: what the frames show; a range that they say too little of only widens. None: all may narrow.
    """
    net = Net(data)
    scales: list[Scale | None] = []
    for item in seen:
        if item.histogram is None:
            scales.append(None)
            continue
        group, at_head = item.group, is_head(net, item.group)
        # clipping wrecks box regression: what goes out of the graph keeps all that was seen
        low, high = estimate(item.histogram, "min-max" if at_head else how)
        if evidence is not None and not (evidence.narrows_heads if at_head else evidence.narrows):
            first, last = range_of(Scale(group.scale, group.zero_point), group.dtype)
            low, high = min(low, first), max(high, last)
        scales.append(scale_for(max(low, group.floor), min(high, group.ceiling), group.dtype))
    return scales


def _written(path: Path, data: bytes) -> Path:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def _twin(model: Model, folder: Path, runtime: RuntimeConfig) -> Answerer:
    return Twin(model, _written(folder / "twin.tflite", float_twin(mapped(model.path))), runtime)


def _refuse_empty(evidence: Evidence) -> None:
    """Ranges measured on pictures without objects cut the objects off: a face model fell to 0 of 209 so."""
    if not evidence.showing:
        raise CameraError(
            f"pictures: nothing is found on any of {evidence.frames}, not even by the float model; "
            "ranges measured on pictures without objects would cut objects off: give pictures that show some"
        )
