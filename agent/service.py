"""The service: builds the pipeline, owns its life, and says at the end what happened.

Threads: ``main`` walks the frames; ``camera`` decodes and prepares them; ``telemetry`` reads slow sensors; ``mqtt``
talks to the broker; ``local`` answers on the local socket; ``writer`` does what was asked. A thread that dies ends the
process with a reason, but for ``local`` and those that are started again. The loop waits for none of them.
"""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from agent.camera import parse as parse_uri
from agent.config import Config
from agent.errors import AgentError, CameraError, RestartError
from agent.parts import Parts
from agent.pipeline import Model, Pipeline
from agent.records import BoardReading, CameraStatus, FrameResult, PerfReport

_POLL_S = 0.25
"""Longest wait for a frame: how late a stop, a window's end or a dead thread can be noticed."""


RESTARTS = {
    "restart": "a command asked for a new start; start it again",
    "memory-limit": "resident memory is above measure.memory_limit_bytes; start it again",
}
"""Ends after which whoever supervises the agent starts it again, and what is said then."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends by itself; None: never."""

    seconds: float | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run.

    Attributes:
        model: the model's name, and its version where a bundle says one.
        runtime: backend, version and threads, in words.
        perf: the sum of all windows.
        camera: the camera's last status.
        board: the last reading of the slow sensors.
        blind_s: seconds without an answer.
        ended: why it ended: ``end of file``, ``seconds``, ``frames``, ``restart``, ``memory-limit`` or ``stopped``.
        first_detection_s: from the start of :func:`run` to the first answer; None when there was none.
    """

    model: str
    runtime: str
    perf: PerfReport
    camera: CameraStatus
    board: BoardReading | None
    blind_s: float
    ended: str
    first_detection_s: float | None


def run(
    config: Config,
    *,
    limits: Limits = Limits(),
    on_result: Callable[[FrameResult], None] | None = None,
    on_start: Callable[[Model], None] | None = None,
    patient: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Do the main job until the source ends, a limit is reached or a signal comes.

    Args:
        config: the settings.
        limits: when to end.
        on_result: called on the main thread with each result.
        on_start: called once with the loaded model, before the first frame.
        patient: wait for ever for the first picture, as a service does; else a camera that gives none is an error.
        clock: monotonic seconds.

    Raises:
        AgentError: as its exit code says.
    """
    begun_s = clock()
    stop = threading.Event()
    with signals(stop), Parts(config, clock) as parts:
        if on_start is not None:
            on_start(parts.model)
        # What was made at the start lives as long as the process: no collection need walk over it again.
        gc.collect()
        gc.freeze()
        loop = _Loop(parts, limits, stop, patient=patient, begun_s=begun_s, clock=clock)
        summary = loop.run(on_result)
        parts.ended = summary.ended
    if summary.ended in RESTARTS:
        raise RestartError(RESTARTS[summary.ended])
    return summary


class _Loop:
    """The main thread's loop and when it ends."""

    def __init__(
        self,
        parts: Parts,
        limits: Limits,
        stop: threading.Event,
        *,
        patient: bool,
        begun_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._parts, self._limits, self._stop = parts, limits, stop
        self._patient, self._begun_s, self._clock = patient, begun_s, clock
        self._pipeline = Pipeline(parts.camera, parts.model, parts.meter, clock)
        self._pipeline.judge_by(parts.rules.postprocess)
        self._started_s = clock()
        self._frames = 0
        self._first_s: float | None = None

    def run(self, on_result: Callable[[FrameResult], None] | None) -> Summary:
        step, telemetry, meter, camera = (
            self._pipeline.step,
            self._parts.telemetry,
            self._parts.meter,
            self._parts.camera,
        )
        snapshots, see, answered = self._parts.remote.snapshots, self._parts.see, telemetry.answered
        benching = self._parts.remote.benching
        ended = ""
        fresh = self._parts.fresh
        while not ended:
            if fresh:
                self._pipeline.judge_by(self._parts.take_rules().postprocess)
            result = step(_POLL_S)
            if result is None:
                self._check_idle()
            else:
                if self._first_s is None:
                    self._first_s = self._clock() - self._begun_s
                self._frames += 1
                answered(result)
                snapshots.newest = result
                if on_result is not None:
                    on_result(result)
            see(result)
            report = meter.window(camera.dropped_total)
            if report is not None:
                telemetry.perf(report)
            if benching.asked is not None:
                self._parts.benchmark(self._is_over)
            ended = self._ended(idle=result is None)
        if not self._frames and not self._patient and ended == "seconds":
            self._refuse_blind_run()
        return self._summary(ended)

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._parts.remote.restart_asked.is_set()

    def _ended(self, *, idle: bool) -> str:
        if self._stop.is_set():
            return "stopped"
        if self._parts.remote.restart_asked.is_set():
            return "restart"
        if self._parts.telemetry.restart_reason:
            return self._parts.telemetry.restart_reason
        if self._limits.frames is not None and self._frames >= self._limits.frames:
            return "frames"
        if self._limits.seconds is not None and self._clock() - self._started_s >= self._limits.seconds:
            return "seconds"
        return "end of file" if idle and self._parts.camera.ended else ""

    def _check_idle(self) -> None:
        """No frame came: is somebody dead, or was there never a picture?"""
        self._parts.telemetry.idle()
        if not self._parts.telemetry.alive:
            raise AgentError("the telemetry thread died; its error is in the log above")
        camera = self._parts.config.camera
        waited_s = self._clock() - self._started_s
        if self._frames or self._patient or self._parts.camera.ended:
            return
        if waited_s > camera.open_timeout_s + camera.stall_s:
            self._refuse_blind_run()

    def _refuse_blind_run(self) -> None:
        """There was never a picture: a person wants to know it from the exit code as well."""
        camera = self._parts.camera
        reason = camera.status().reason or "no frame came"
        shown = parse_uri(self._parts.config.camera.uri).shown
        raise CameraError(f"camera {shown}: no picture within {self._clock() - self._started_s:.0f} s: {reason}")

    def _summary(self, ended: str) -> Summary:
        parts = self._parts
        last = parts.meter.flush(parts.camera.dropped_total)
        if last is not None:
            parts.telemetry.perf(last)
        health = parts.telemetry.health()
        info = parts.model.detector.info
        delegate = f", delegate {info.delegate}" if info.delegate else ""
        return Summary(
            model=f"{parts.model.info.name} {parts.model.info.version}".strip(),
            runtime=f"{info.backend} {info.version}, {info.num_threads} thread(s){delegate}",
            perf=parts.meter.totals(),
            camera=parts.camera.status(),
            board=parts.sensors.read(),
            blind_s=health.blind_s if health else 0.0,
            ended=ended,
            first_detection_s=self._first_s,
        )


class signals:  # noqa: N801
    """SIGINT and SIGTERM set the event; a second one ends the process at once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]

    def _take(self, number: int, _: FrameType | None) -> None:
        self._stop.set()
        signal.signal(number, signal.SIG_DFL)
