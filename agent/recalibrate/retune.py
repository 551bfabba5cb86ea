"""The operating point of a proven change: which class's threshold moves, and what the proof is worth with it. Pure.

A threshold is never lowered for a rate of false positives alone: where the old model was broken, its rate is nothing to
aim at, and what a repair has gained would be spent on false boxes. It falls where that surely agrees better with the
reference, and rises where more false positives come than before, unless that surely agrees worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import numpy as np

from agent.recalibrate.blocks import LEAST_BLOCKS, interval_of_two
from agent.recalibrate.operating import Refit, judge, refit
from agent.recalibrate.proof import Answer, Proof, Said, weigh
from agent.recalibrate.ranges import Reals
from agent.records import Detections, FloatArray, Labels

FLOOR = 0.05
"""Scores below it are not kept for the operating point."""

Blocks = Sequence[Sequence[Said]]


def at(found: Detections, limits: FloatArray, class_id: int | None = None) -> Detections:
    """Those at or above the threshold of their class; of one class alone where one is named.

    Args:
        found: any detections.
        limits: float32, by class number; the last one stands for all further classes.
        class_id: None: every class.
    """
    keep = found.confidence >= limits[np.minimum(found.class_id, len(limits) - 1)]
    if class_id is not None:
        keep &= found.class_id == class_id
    return Detections(found.xyxy[keep], found.confidence[keep], found.class_id[keep])


def moved(limits: FloatArray, refits: Mapping[int, Refit]) -> FloatArray:
    """The thresholds with those that were found anew."""
    longest = max([len(limits) - 1, *refits]) + 2  # the last one still stands for all further classes
    full = np.concatenate([limits, np.full(longest - len(limits), limits[-1], np.float32)])
    for number, each in refits.items():
        if each.is_moved:
            full[number] = each.threshold
    return np.asarray(full, np.float32)


def proof_at(blocks: Blocks, before: FloatArray, after: FloatArray, class_id: int | None = None) -> Proof:
    """The proof with other thresholds for the new model; the raw heads are left out of it.

    Args:
        blocks: what was said of each frame, with lower scores.
        before: thresholds of the old model.
        after: of the new one.
        class_id: of one class alone; None: of all.
    """

    def said(answers: Said) -> Said:
        truth, old, new = answers
        whole = np.zeros(1, np.float32)
        kept = (
            at(truth.detections, whole, class_id),
            at(_loose(old), before, class_id),
            at(_loose(new), after, class_id),
        )
        return cast("Said", tuple(map(Answer, kept)))

    return weigh(map(said, block) for block in blocks)


def keep_rates(blocks: Blocks, limits: FloatArray, labels: Labels, block: int) -> dict[int, Refit]:
    """Thresholds for a patched model, on frames that neither was measured on, against the float reference.

    Args:
        blocks: what was said of each frame, with lower scores.
        limits: deployed thresholds, by class number.
        labels: class names; a class without a name of its own keeps its threshold, for settings go by name.
        block: consecutive frames that count as one piece of evidence.
    """
    said = [answers for each in blocks for answers in each]
    truth = [answers[0].detections for answers in said]
    old, new = (judge([_loose(answers[side]) for answers in said], truth) for side in (1, 2))

    def may_move(class_id: int, before: float, after: float) -> bool:
        if not _is_one(labels, class_id):
            return False
        other = moved(limits, {class_id: Refit(before, after, 0.0, 0.0, (0.0, 0.0), 0)})
        # both sides are the new model: at the deployed threshold, and at the other one
        twice = [[(truth, new, new) for truth, _, new in each] for each in blocks]
        gain = proof_at(twice, limits, other, class_id).gain
        return gain.low > 0.0 if after < before else gain.high >= 0.0

    return refit(
        old,
        new,
        _by_class(limits, said),
        default=min(1.0, float(limits[-1])),
        floor=FLOOR,
        block=block,
        may_move=may_move,
    )


def raised(
    reference: Sequence[Sequence[Detections]],
    now: Sequence[Sequence[Detections]],
    limits: FloatArray,
    labels: Labels,
    block: int,
) -> dict[int, Refit]:
    """Thresholds for corrected frames, by the rate of answers on the reference's pictures: nothing is known of truth.

    They only rise, and only where there are surely more answers than in the reference's light: fewer of them may be a
    quiet night, and lower thresholds would fill it with false boxes.

    Args:
        reference: what the model finds on the reference's pictures, block by block, with lower scores.
        now: on corrected frames.
        limits: deployed thresholds, by class number.
        labels: class names; a class without a name of its own keeps its threshold, for settings go by name.
        block: consecutive frames that count as one piece of evidence.
    """
    many = min(sum(map(len, reference)), sum(map(len, now)))
    then, later = (judge(_spread(each, many), None) for each in (reference, now))

    def may_move(class_id: int, before: float, after: float) -> bool:
        if after < before or min(len(reference), len(now)) < LEAST_BLOCKS or not _is_one(labels, class_id):
            return False
        mine, theirs = (_counts(each, limits, class_id) for each in (now, reference))
        return interval_of_two(mine, theirs, lambda one, other: _rate(one) - _rate(other)).low > 0.0

    said = [Answer(each) for frames in (*reference, *now) for each in frames]
    thresholds = _by_class(limits, [(each, each, each) for each in said])
    return refit(
        then, later, thresholds, default=min(1.0, float(limits[-1])), floor=FLOOR, block=block, may_move=may_move
    )


def _is_one(labels: Labels, class_id: int) -> bool:
    """The class has a name, and no other has it."""
    return labels.ids(labels.name(class_id)) == [class_id]


def _loose(answer: Answer) -> Detections:
    return answer.detections if answer.loose is None else answer.loose


def _by_class(limits: FloatArray, said: Iterable[Said]) -> dict[int, float]:
    """The deployed threshold of each class that was found; a class that is not asked for is found nowhere."""
    numbers = {int(number) for answers in said for each in answers for number in _loose(each).class_id}
    return {number: min(1.0, float(limits[min(number, len(limits) - 1)])) for number in numbers}


def _spread(blocks: Sequence[Sequence[Detections]], many: int) -> list[Detections]:
    frames = [each for block in blocks for each in block]
    return [frames[number * len(frames) // many] for number in range(many)]


def _counts(blocks: Sequence[Sequence[Detections]], limits: FloatArray, class_id: int) -> list[Reals]:
    return [np.array([sum(len(at(each, limits, class_id)) for each in block), len(block)], float) for block in blocks]


def _rate(sums: Reals) -> Reals:
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1))
