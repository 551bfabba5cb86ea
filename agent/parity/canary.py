"""The canary: in service, one frame every so often is asked of a second way of running the model.

Owns the thread "parity". The main thread only lays a frame down when one is due: an attribute and a comparison a frame.
The second interpreter lives in a child process of lower priority, which is started for the one frame and ended after
it, and killed at its deadline. What it says is an event, and an alarm when the sides differ or the second one fails.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Protocol

from agent.config import Config, ParityConfig, override
from agent.errors import AgentError
from agent.infer import Tenant
from agent.parity.compare import Side, plan_side
from agent.parity.match import FrameDiff, match
from agent.parity.record import Figures, Verdict
from agent.parity.sample import Tolerance, figures, judge
from agent.records import Correction, Detections, FrameResult, Labels, Pixels

log = logging.getLogger("agent.parity")

NAME = "parity"
"""Of the event and of the alarm."""

NICENESS = 19
DRAWS = 400
"""Of the bootstrap: enough for an alarm, and a few hundredths of a second on a small board."""

Scalar = str | int | float | bool | None


class Teller(Protocol):
    """What is told to the broker; :class:`agent.publish.Publisher` is one."""

    def alarm(self, alarm_id: str, message: str | None) -> None:
        """Raise an alarm, or clear it."""

    def event(self, kind: str, data: Mapping[str, Scalar] | None = None) -> None:
        """Something that happened."""


Look = Callable[[Pixels], tuple[Detections, Labels]]
"""Asks the second side of one frame; raises AgentError."""


class Canary:
    """Asks a second side, now and then.

    Args:
        settings: how often, and what is tolerated.
        labels: class names of the side in service.
        look: asks the second side; called on the thread "parity".
        teller: None without a broker: the log tells then.
        clock: monotonic seconds.
    """

    def __init__(
        self, settings: ParityConfig, labels: Labels, look: Look, teller: Teller | None, clock: Callable[[], float]
    ) -> None:
        self._settings, self._labels, self._look_at = settings, labels, look
        self._teller, self._clock = teller, clock
        self._due_s = clock() + settings.every_s
        self._kept: tuple[Pixels, Detections] | None = None
        self._ready, self._stopping = threading.Event(), threading.Event()
        self._diffs: deque[FrameDiff] = deque(maxlen=settings.window)
        self._alarm = ""
        self._thread = threading.Thread(target=self._run, name="parity", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a child that is at work goes with its deadline or with this process."""
        self._stopping.set()
        self._ready.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=1.0)

    def offer(self, result: FrameResult) -> None:
        """Keep this frame when one is due and none is at work; main thread, returns at once.

        Raises:
            AgentError: the thread died of a bug.
        """
        if self._kept is None and self._clock() >= self._due_s:
            if not self._thread.is_alive():
                raise AgentError("the parity thread died; its error is in the log above")
            self._due_s = self._clock() + self._settings.every_s
            self._kept = result.frame.pixels, result.detections
            self._ready.set()

    def _run(self) -> None:
        while True:
            self._ready.wait()
            if self._stopping.is_set():
                return
            self._ready.clear()
            if self._kept is not None:
                self.look(*self._kept)
                self._kept = None

    def look(self, pixels: Pixels, seen: Detections) -> None:
        """Ask the second side of one frame, and tell how it compares with what the first has seen."""
        begun_s = self._clock()
        try:
            found, labels = self._look_at(pixels)
        except AgentError as error:
            self._tell({"verdict": "cannot tell", "reason": str(error), "took_s": self._clock() - begun_s})
            self._set_alarm(f"the second side fails: {error}")
            return
        diff = match(seen, found, self._labels, labels)
        self._diffs.append(diff)
        whole = figures(list(self._diffs), DRAWS)
        verdict, reason = judge(whole, Tolerance(lone_share=self._settings.tolerance))
        self._tell(_data(diff, whole, verdict, reason) | {"took_s": self._clock() - begun_s})
        if verdict == "differs":
            self._set_alarm(f"two ways of running the model differ: {reason}")
        elif self._is_well(whole):
            self._set_alarm("")

    def _is_well(self, whole: Figures) -> bool:
        """Well within the tolerance, or it had only failed: on the border an alarm stays as it is."""
        share = whole.lone_share
        within = share is not None and share.value <= self._settings.tolerance / 2
        return within or self._alarm.startswith("the second side fails")

    def _tell(self, data: dict[str, Scalar]) -> None:
        log.debug("parity: %s", data)
        if self._teller is not None:
            self._teller.event(NAME, data)

    def _set_alarm(self, message: str) -> None:
        if bool(message) != bool(self._alarm):
            log.log(logging.WARNING if message else logging.INFO, "parity: %s", message or "the sides agree again")
            if self._teller is not None:
                self._teller.alarm(NAME, message or None)
        self._alarm = message


def _data(diff: FrameDiff, whole: Figures, verdict: Verdict, reason: str) -> dict[str, Scalar]:
    share, error = whole.lone_share, whole.score_error
    return {
        "verdict": verdict,
        "reason": reason,
        "pairs": len(diff.ious),
        "missed": sum(diff.missed.values()),
        "extra": sum(diff.extra.values()),
        "frames": whole.frames,
        "boxes": whole.boxes,
        "lone_share": share.value if share else None,
        "lone_share_high": share.high if share else None,
        "score_error": error.value if error else None,
    }


def make_canary(
    config: Config,
    labels: Labels,
    teller: Teller | None,
    clock: Callable[[], float],
    correction: Callable[[], Correction | None] = lambda: None,
) -> Canary | None:
    """The canary that the settings ask for; None when they ask for none.

    Args:
        config: the settings.
        labels: class names of the first side.
        teller: told of what is found.
        clock: monotonic seconds.
        correction: of the light, as the first side has it in force: the second has to see the same picture.
    """
    if not config.parity.every_s:
        return None
    plan: list[Side] = []

    def look(pixels: Pixels) -> tuple[Detections, Labels]:
        # Planned at the first look: a second side that cannot be had must not keep the first from its work.
        if not plan:
            plan.append(plan_second(config))
        plan[0].plan.preprocess.correct(correction())
        return ask_once(plan[0], pixels, config.parity.timeout_s)

    return Canary(config.parity, labels, look, teller, clock)


def plan_second(config: Config) -> Side:
    """The second side of the settings.

    Raises:
        AgentError: it cannot be read.
    """
    asked = config.parity
    changes = {
        "runtime.backend": asked.backend,
        "runtime.delegate": asked.delegate,
        "runtime.delegate_options": asked.delegate_options,
        "runtime.num_threads": asked.num_threads,
        "runtime.prove_timeout_s": asked.timeout_s,
    }
    side = plan_side("canary", override(config, changes))
    if not asked.model:
        return side
    # Thresholds and labels stay those of the model in service, whatever a bundle says.
    return plan_side("canary", override(side.config, {"model.path": asked.model}))


def ask_once(side: Side, pixels: Pixels, timeout_s: float) -> tuple[Detections, Labels]:
    """One frame's answer from a child that lives for it alone.

    Raises:
        ModelError: it refused, crashed or hung.
        UnavailableError: the runtime or the delegate is not there.
    """
    plan = side.plan
    tenant = Tenant(plan.path, plan.card, side.config.runtime, timeout_s=timeout_s, niceness=NICENESS)
    with closing(tenant):
        reply = tenant.invoke(plan.preprocess(pixels))
    return plan.postprocess(reply.outputs, plan.preprocess.place(*pixels.shape[:2])), plan.labels
