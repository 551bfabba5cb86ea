"""Runs two sides over the same frames, each in a child process, so that a crash of one is a row and not the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from agent.board import deployed_model
from agent.config import Config
from agent.errors import AgentError
from agent.infer import Reply, Tenant
from agent.parity.match import FrameDiff, match
from agent.parity.record import ClassDiff, Comparison, RawDiff, SideReport
from agent.parity.sample import DEFAULT, LEAST_FRAMES, Tolerance, figures, judge
from agent.pipeline import Plan, plan_model
from agent.records import Detections, FloatArray, Outputs, Pixels, Tensor

Open = Callable[["Side"], Tenant]
"""Starts a side's child; raises ModelError or UnavailableError."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way of running a model, not started yet."""

    name: str
    config: Config
    plan: Plan

    @property
    def what(self) -> str:
        """Model, runtime and delegate, in words."""
        runtime = self.config.runtime
        on = runtime.delegate or "CPU"
        return f"{self.plan.path.name} ({self.plan.card.input.dtype}), {runtime.backend}, {on}, {runtime.num_threads} t"


def plan_side(name: str, config: Config) -> Side:
    """Read what a side needs, with what this board has learned about its model; nothing of the model is run.

    Raises:
        AgentError: as :func:`agent.board.deployed_model` and :func:`agent.pipeline.plan_model`.
    """
    placed = deployed_model(config)
    plan = plan_model(placed.config, name=placed.name, version=placed.version, learned=placed.learned)
    return Side(name, placed.config, plan)


def plan_beside(name: str, config: Config, first: Side) -> Side:
    """Another model for the frames of ``first``: it sees them in the same light, whatever is known of it.

    Raises:
        AgentError: as :func:`plan_side`.
    """
    side = plan_side(name, config)
    side.plan.preprocess.correct(first.plan.preprocess.correction)
    return side


def open_side(side: Side) -> Tenant:
    """A side's child process; one answer may take as long as the first one."""
    runtime = side.config.runtime
    return Tenant(side.plan.path, side.plan.card, runtime, timeout_s=runtime.prove_timeout_s)


def compare(
    one: Side,
    other: Side,
    pictures: Iterable[Pixels],
    tolerance: Tolerance = DEFAULT,
    *,
    start: Open = open_side,
    on_frame: Callable[[int], None] | None = None,
) -> Comparison:
    """Both sides on every picture, until the pictures end or a side fails.

    Args:
        one: what the other is measured against.
        other: the one that is doubted.
        pictures: uint8 (h, w, 3) BGR.
        tolerance: how far they may differ.
        start: starts a side's child.
        on_frame: told how many frames both have answered.
    """
    run = _Run(one, other)
    try:
        if run.start(start):
            for count, pixels in enumerate(pictures, 1):
                if not run.step(pixels):
                    break
                if on_frame is not None:
                    on_frame(count)
    finally:
        run.close()
    return run.comparison(tolerance)


@dataclass
class _Half:
    """One side at work."""

    side: Side
    tenant: Tenant | None = None
    fault: AgentError | None = None
    times_s: list[float] = field(default_factory=list)
    last: tuple[bytes, Tensor] | None = None

    def start(self, start: Open) -> None:
        try:
            self.tenant = start(self.side)
        except AgentError as error:
            self.fault = error

    def answer(self, pixels: Pixels) -> tuple[Detections, Reply] | None:
        plan = self.side.plan
        if self.tenant is None:
            return None
        try:
            reply = self.tenant.invoke(plan.preprocess(pixels))
            found = plan.postprocess(reply.outputs, plan.preprocess.place(*pixels.shape[:2]))
        except AgentError as error:
            self.fault = error
            return None
        self.times_s.append(reply.invoke_s)
        return found, reply

    def report(self) -> SideReport:
        info = self.tenant.info if self.tenant else None
        side = self.side
        return SideReport(
            name=side.name,
            what=side.what.replace(", auto,", f", {info.backend} {info.version},") if info else side.what,
            sha256=side.plan.card.sha256,
            state="failed" if self.fault else "ok",
            reason=str(self.fault) if self.fault else "",
            exit_code=self.fault.exit_code if self.fault else 0,
            frames=len(self.times_s),
            load_s=self.tenant.load_s if self.tenant else None,
            invoke_p50_s=median(self.times_s) if self.times_s else None,
        )


class _Run:
    """Both halves, and what they have said."""

    def __init__(self, one: Side, other: Side) -> None:
        self._one, self._other = _Half(one), _Half(other)
        self._diffs: list[FrameDiff] = []
        self._raw = _Raw() if one.plan.card == other.plan.card else None

    def start(self, start: Open) -> bool:
        # Both are tried, so that both rows say how it is.
        for half in (self._one, self._other):
            half.start(start)
        return not (self._one.fault or self._other.fault)

    def step(self, pixels: Pixels) -> bool:
        first, second = self._one.answer(pixels), self._other.answer(pixels)
        if first is None or second is None:
            return False
        labels = self._one.side.plan.labels, self._other.side.plan.labels
        self._diffs.append(match(first[0], second[0], *labels))
        if self._raw is not None:
            self._raw.add(first[1].outputs, second[1].outputs)
        return True

    def close(self) -> None:
        for half in (self._one, self._other):
            if half.tenant is not None:
                half.tenant.close()

    def comparison(self, tolerance: Tolerance) -> Comparison:
        found = figures(self._diffs)
        verdict, reason = judge(found, tolerance)
        failed = next((half for half in (self._one, self._other) if half.fault), None)
        raw = self._raw.told() if self._raw is not None else None
        if verdict == "cannot tell" and found.boxes and self._is_identical(raw):
            verdict, reason = "same", f"identical outputs in all {found.frames} frames"
        if failed is not None:
            verdict, reason = "cannot tell", f"side {failed.side.name} failed after {len(self._diffs)} frames"
        missed: Counter[str] = Counter()
        extra: Counter[str] = Counter()
        for diff in self._diffs:
            missed.update(diff.missed)
            extra.update(diff.extra)
        classes = tuple(ClassDiff(name, missed[name], extra[name]) for name in sorted({*missed, *extra}))
        sides = self._one.report(), self._other.report()
        return Comparison(verdict, reason, sides, found, classes, raw, notes=_notes(self._one.side, self._other.side))

    def _is_identical(self, raw: RawDiff | None) -> bool:
        """Every answer of the models was the same to the bit, and so was what became of it."""
        if raw is None or self._raw is None or not self._raw.is_identical or len(self._diffs) < LEAST_FRAMES:
            return False
        return not any(diff.missed or diff.extra for diff in self._diffs)


def _notes(one: Side, other: Side) -> tuple[str, ...]:
    notes = []
    first, second = (set(side.plan.labels.names.values()) for side in (one, other))
    if first != second:
        alone = sorted(first ^ second)
        shown = ", ".join(alone[:6]) + (f" and {len(alone) - 6} more" if len(alone) > 6 else "")
        notes.append(f"the sides name other classes ({shown}): boxes of these can have no partner")
    if one.config.model.score_threshold != other.config.model.score_threshold:
        thresholds = one.config.model.score_threshold, other.config.model.score_threshold
        notes.append("the sides have other score thresholds: {:g} and {:g}".format(*thresholds))
    if one.plan.card.sha256 == other.plan.card.sha256 and one.config.runtime == other.config.runtime:
        notes.append("both sides are the same model run in the same way")
    return tuple(notes)


class _Raw:
    """Differences of outputs that mean the same."""

    def __init__(self) -> None:
        self._max_score = self._max_box = self._sum = 0.0
        self._count = 0
        self._is_sorted = False
        self.is_identical = True

    def add(self, one: Outputs, other: Outputs) -> None:
        self.is_identical &= (
            np.array_equal(one.boxes, other.boxes)
            and np.array_equal(one.scores, other.scores)
            and _is_equal(one.classes, other.classes)
            and _is_equal(one.count, other.count)
        )
        if one.scores.shape != other.scores.shape or not one.scores.size:
            return
        apart = np.abs(one.scores.astype(np.float64) - other.scores)
        self._max_score = max(self._max_score, float(apart.max()))
        self._sum += float(apart.sum())
        self._count += apart.size
        self._is_sorted = one.classes is not None
        if not self._is_sorted:
            self._max_box = max(self._max_box, float(np.abs(one.boxes.astype(np.float64) - other.boxes).max()))

    def told(self) -> RawDiff | None:
        if not self._count:
            return None
        return RawDiff(self._max_score, self._sum / self._count, None if self._is_sorted else self._max_box)


def _is_equal(one: FloatArray | None, other: FloatArray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
