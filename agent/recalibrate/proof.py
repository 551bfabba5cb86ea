"""Proof before use: the deployed model and its candidate against a float reference, on frames neither was measured on.

What counts is what the deployed thresholds let through. The intervals are over blocks of consecutive frames, paired:
both models saw the same ones. A gain whose interval includes zero is none. Nor is one that is bought with lost objects:
agreement rises where false boxes vanish, even when a third of the right ones go with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agent.recalibrate.agreement import Agreement, agree
from agent.recalibrate.blocks import Interval, interval
from agent.recalibrate.ranges import Reals
from agent.records import Detections, FloatArray, Pixels


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of one frame.

    Attributes:
        detections: at the deployed thresholds.
        heads: float32, the raw heads one after the other, real values; empty where they cannot be read.
        loose: lower scores too, for the operating point; None where nobody asked for them.
    """

    detections: Detections
    heads: tuple[FloatArray, ...] = ()
    loose: Detections | None = None


Answerer = Callable[[Pixels], Answer]


@dataclass(frozen=True, slots=True)
class Side:
    """One model against the reference, over all held-out frames.

    Attributes:
        agreement: sums over frames.
        sqnr_db: signal to quantization noise of each head, dB; empty where the heads cannot be read.
    """

    agreement: Agreement
    sqnr_db: tuple[float, ...]


Objection = Literal["unseen", "chance", "small", "recall", "class"]
"""Why a candidate is not used: too few objects to judge by, a gain that may be chance, or is too small over a sound
model, objects that are surely lost, or a class that surely gets worse."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Old against new.

    Attributes:
        frames, blocks: how many were held out.
        old, new: each against the reference.
        gain: of agreement (panoptic quality), new minus old.
        recall_gain: of the share of the reference's objects that is found.
        extra_gain: of objects a frame that the reference does not know; less is better.
        sqnr_gain_db: of each head.
        shown: held-out blocks in which the reference finds an object.
        fallen: classes of which the candidate surely finds fewer, or which surely agree worse, by number.
    """

    frames: int
    blocks: int
    old: Side
    new: Side
    gain: Interval
    recall_gain: Interval
    extra_gain: Interval
    sqnr_gain_db: tuple[Interval, ...]
    shown: int
    fallen: tuple[int, ...] = ()

    @property
    def is_sound(self) -> bool:
        """The deployed model already says what the reference says: quantization is not what is wrong."""
        return self.old.agreement.quality >= SOUND

    @property
    def objection(self) -> Objection | None:
        """What speaks against the candidate, the gravest first; None: it may be used."""
        if self.shown < LEAST_SHOWN:
            return "unseen"
        if self.gain.low <= 0.0:
            return "chance"
        if self.is_sound and self.gain.value < LEAST_GAIN:
            return "small"
        if self.recall_gain.high < 0.0:
            return "recall"
        return "class" if self.fallen else None

    @property
    def holds(self) -> bool:
        """The candidate is surely better, by enough to change a model that is sound, and loses nothing for it."""
        return self.objection is None


SOUND = 0.95
"""Agreement with the reference above which quantization is not what is wrong."""

LEAST_GAIN = 0.015
"""Of agreement, over a sound model. Without it, a well-calibrated demo model was patched in 8 of 30 draws for a gain of
0.0035, sure by its interval, that its average precision knew nothing of."""

LEAST_SHOWN = 3
"""Held-out blocks on which the reference must find an object: on the others a model that finds nothing is perfect."""

Said = tuple[Answer, Answer, Answer]
"""What the reference, the old and the new model say of one frame."""

Found = tuple[Detections, Detections, Detections]
"""The same, at the deployed thresholds."""

Seen = Callable[[int, Pixels, Said], None]
"""Told of each frame that was proven: how many there are in all, the frame, what was said of it."""


def unseen(_total: int, _pixels: Pixels, _said: Said) -> None:
    """Nobody looks."""


def compare(
    reference: Answerer, old: Answerer, new: Answerer, blocks: Sequence[Sequence[Pixels]], seen: Seen = unseen
) -> Proof:
    """Walk every held-out frame through all three.

    Args:
        reference: the float model, or the twin.
        old: the deployed model.
        new: the candidate.
        blocks: frames, block by block.
        seen: told of each frame.
    """
    frames = sum(map(len, blocks))

    def said(block: Sequence[Pixels]) -> Iterator[Said]:
        for pixels in block:
            answers = reference(pixels), old(pixels), new(pixels)
            seen(frames, pixels, answers)
            yield answers

    return weigh(said(block) for block in blocks)


def weigh(blocks: Iterable[Iterable[Said]]) -> Proof:
    """The proof of what was said, block by block; at least two blocks."""
    rows, counts, old_side, new_side = [], [], _Sums(), _Sums()
    found: list[list[Found]] = []
    for block in blocks:
        first, second, of_block = _Sums(), _Sums(), list[Found]()
        for truth, before, after in block:
            first.add(truth, before)
            second.add(truth, after)
            of_block.append((truth.detections, before.detections, after.detections))
        rows.append(np.concatenate([first.row(), second.row(), [len(of_block)]]))
        counts.append(len(of_block))
        found.append(of_block)
        old_side.join(first)
        new_side.join(second)
    heads = len(old_side.noise)
    return Proof(
        frames=sum(counts),
        blocks=len(rows),
        old=old_side.side(),
        new=new_side.side(),
        gain=interval(rows, _difference(_quality)),
        recall_gain=interval(rows, _difference(_recall)),
        extra_gain=interval(rows, lambda sums: (_half(sums, 1)[..., 3] - _half(sums, 0)[..., 3]) / sums[..., -1]),
        sqnr_gain_db=tuple(interval(rows, _difference(_sqnr(head))) for head in range(heads)),
        shown=sum(any(len(truth) for truth, *_ in block) for block in found),
        fallen=_fallen(found),
    )


def _fallen(blocks: Sequence[Sequence[Found]]) -> tuple[int, ...]:
    """Classes that surely get worse, of those that the reference finds in blocks enough."""
    shown = Counter(
        number for block in blocks for number in {int(each) for truth, *_ in block for each in truth.class_id}
    )
    return tuple(sorted(number for number, many in shown.items() if many >= LEAST_SHOWN and _falls(blocks, number)))


def _falls(blocks: Sequence[Sequence[Found]], class_id: int) -> bool:
    rows = []
    for block in blocks:
        sides = _Sums(), _Sums()
        for found in block:
            truth, *models = (Answer(_of(each, class_id)) for each in found)
            for side, model in zip(sides, models, strict=True):
                side.add(truth, model)
        rows.append(np.concatenate([*(side.row() for side in sides), [len(block)]]))
    return any(interval(rows, _difference(each)).high < 0.0 for each in (_quality, _recall))


def _of(found: Detections, class_id: int) -> Detections:
    keep = found.class_id == class_id
    return Detections(found.xyxy[keep], found.confidence[keep], found.class_id[keep])


class _Sums:
    """One model against the reference, while frames come in."""

    def __init__(self) -> None:
        self.agreement = Agreement()
        self.signal: Reals = np.zeros(0)
        self.noise: Reals = np.zeros(0)

    def add(self, truth: Answer, answer: Answer) -> None:
        self.agreement += agree(truth.detections, answer.detections)
        pairs = list(zip(truth.heads, answer.heads, strict=True)) if truth.heads else []
        self._sum(
            np.array([np.square(head.astype(np.float64)).sum() for head, _ in pairs]),
            np.array([np.square(head.astype(np.float64) - other).sum() for head, other in pairs]),
        )

    def join(self, other: _Sums) -> None:
        self.agreement += other.agreement
        self._sum(other.signal, other.noise)

    def row(self) -> Reals:
        """iou, reference, found, extra, matched, then signal and noise of each head."""
        said = self.agreement
        return np.concatenate(
            [[said.iou, said.reference, said.found, said.extra, said.matched], self.signal, self.noise]
        )

    def side(self) -> Side:
        return Side(self.agreement, tuple(float(value) for value in _decibels(self.signal, self.noise)))

    def _sum(self, signal: Reals, noise: Reals) -> None:
        self.signal = self.signal + signal if len(self.signal) else signal
        self.noise = self.noise + noise if len(self.noise) else noise


def _half(sums: Reals, number: int) -> Reals:
    """What belongs to one of the two models; the last entry counts frames."""
    width = (sums.shape[-1] - 1) // 2
    return sums[..., number * width : (number + 1) * width]


def _difference(statistic: Callable[[Reals], Reals]) -> Callable[[Reals], Reals]:
    return lambda sums: statistic(_half(sums, 1)) - statistic(_half(sums, 0))


def _quality(half: Reals) -> Reals:
    both = half[..., 1] + half[..., 2]
    return np.where(both > 0, 2 * half[..., 0] / np.maximum(both, 1), 1.0)


def _recall(half: Reals) -> Reals:
    return np.where(half[..., 1] > 0, half[..., 4] / np.maximum(half[..., 1], 1), 1.0)


def _sqnr(head: int) -> Callable[[Reals], Reals]:
    def statistic(half: Reals) -> Reals:
        heads = (half.shape[-1] - 5) // 2
        return _decibels(half[..., 5 + head], half[..., 5 + heads + head])

    return statistic


def _decibels(signal: Reals, noise: Reals) -> Reals:
    return np.asarray(10 * np.log10(np.maximum(signal, 1e-12) / np.maximum(noise, 1e-12)))
