"""The telemetry thread: slow sensors in, messages out; and what the camera's state means to others.

``Telemetry`` owns the thread named "telemetry". The inference loop never waits for a sensor: it hands windows over and
goes on. What readings mean is judged by :mod:`agent.vitals`. Without a broker everything runs as well, and only the
summary at the end tells of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from agent.config import Config
from agent.diary import Diary
from agent.measure import Sensors
from agent.publish import Publisher
from agent.records import (
    BoardReading,
    CameraState,
    CameraStatus,
    FrameResult,
    Health,
    LightStatus,
    Pace,
    PerfReport,
    StageStats,
)
from agent.vitals import Vitals, boot_clock

ALARMS: dict[CameraState, str] = {
    "down": "camera",
    "stalled": "camera",
    "black": "camera",
    "frozen": "frozen-picture",
}


class Telemetry:
    """Reads the slow sensors and publishes them.

    Args:
        config: how often.
        sensors: read on this object's thread only, but once before it starts.
        publisher: None without a broker.
        camera: the camera's status, called on this object's thread.
        clock: monotonic seconds.
        on_card: given a health card after each reading, on this object's thread.
        pace: how many frames are taken.
        light: how the correction of the light stands.
        diary: what survives the process; nothing when not given.
        boot_s: seconds since the kernel's start.
    """

    def __init__(
        self,
        config: Config,
        sensors: Sensors,
        publisher: Publisher | None,
        camera: Callable[[], CameraStatus],
        clock: Callable[[], float] = time.monotonic,
        *,
        on_card: Callable[[Health], None] | None = None,
        pace: Callable[[], Pace] = Pace,
        light: Callable[[], LightStatus] = LightStatus,
        diary: Diary | None = None,
        boot_s: Callable[[], float] = boot_clock,
    ) -> None:
        self._config, self._sensors, self._publisher = config, sensors, publisher
        self._camera, self._clock = camera, clock
        self._on_card, self._pace, self._light = on_card, pace, light
        self._begun_s = clock()
        self.vitals = Vitals(config.measure, sensors, publisher, diary or Diary(None), clock=clock, boot_s=boot_s)
        self._answered = self.vitals.answered
        self._alarm: str | None = None
        self._reason = ""
        self._absent = ""
        self._fps: float | None = None
        self._stages: dict[str, StageStats] = {}
        self._health_due_s = self._begun_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self.reading: BoardReading | None = None

    def start(self) -> None:
        """Begin to read and publish."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """The thread runs; when it does not, the process has to end with a reason."""
        return self._thread.is_alive()

    def stop(self, reason: str = "stopped") -> None:
        """End the thread, if it was started; a sensor that blocks is left behind. The reason goes into the diary."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2.0)
            self.vitals.end(reason)

    def reconfigure(self, config: Config) -> None:
        """How often, and what is too much, from now on; called on any thread."""
        self._config = config
        self.vitals.reconfigure(config.measure)
        self._health_due_s = min(self._health_due_s, self._clock() + config.mqtt.health_s)

    def answered(self, result: FrameResult) -> None:
        """A frame was answered; called on the main thread for each one."""
        self._answered(result.frame.captured_s + result.times.age_s)

    def idle(self) -> None:
        """No frame came; called on the main thread, which is alive."""
        self.vitals.idle(self._clock())

    @property
    def restart_reason(self) -> str:
        """Why the agent should end between two frames and be started anew; empty: it should not."""
        return self.vitals.restart_reason

    def perf(self, report: PerfReport) -> None:
        """One window of the pipeline; called on the main thread, returns at once."""
        self._fps, self._stages = report.fps, report.stages
        self.vitals.perf(report)
        if self._publisher is not None:
            self._publisher.perf(report)

    def camera_changed(self, status: CameraStatus) -> None:
        """The camera's state changed: count blind seconds, raise or clear its alarm, say how we are."""
        with self._lock:
            if self._absent:
                return  # who is absent looks at no picture; what the camera is like is asked again afterwards
            self.vitals.camera(status.state, self._clock())
            alarm = ALARMS.get(status.state)
            before, self._alarm = self._alarm, alarm
            self._reason = status.reason if alarm else ""
        if before != alarm:
            self._health_due_s = self._clock()  # the card tells of the camera: it must not be minutes late
        if self._publisher is None:
            return
        if before is not None and before != alarm:
            self._publisher.alarm(before, None)
        if alarm is not None:
            self._publisher.alarm(alarm, f"camera {status.state}: {status.reason}")
        self._say_state()

    def absent(self, reason: str) -> None:
        """From now on no frame is answered, on purpose: blind, and not for the camera's fault."""
        self.vitals.absent("bench")
        with self._lock:
            self._absent = reason
        if self._publisher is not None:
            self._publisher.state("updating", reason)

    @property
    def absence(self) -> str:
        """Why no frame is answered, on purpose; empty when frames are."""
        return self._absent

    def back(self, status: CameraStatus) -> None:
        """Frames are answered again; ``status`` is the camera's."""
        with self._lock:
            self._absent = ""
        self.vitals.absent(None)
        self.camera_changed(status)

    def health(self) -> Health | None:
        """The last-value card; None before the first reading."""
        if self.reading is None:
            return None
        uptime_s = self._clock() - self._begun_s
        card = Health(uptime_s, self._fps, self._camera(), self.reading, 0.0, self._stages)
        return self.vitals.complete(replace(card, pace=self._pace(), light=self._light()))

    def _say_state(self) -> None:
        """What we are; the publisher says it only when it changes."""
        with self._lock:
            trouble = self._reason if self._alarm else self.vitals.trouble
            state: Literal["online", "degraded"] = "degraded" if self._alarm or trouble else "online"
            is_absent = bool(self._absent)
        if self._publisher is not None and not is_absent:
            self._publisher.state(state, trouble)

    def _judge(self, reading: BoardReading) -> None:
        troubled = self.vitals.trouble
        self.vitals.take(reading, self._camera().frames_total)
        if self.vitals.trouble != troubled:
            self._say_state()

    def _run(self) -> None:
        self.vitals.begin()
        while True:
            self.reading = self._sensors.read()
            self._judge(self.reading)
            now_s = self._clock()
            is_due = now_s >= self._health_due_s
            if is_due:
                self._health_due_s = now_s + self._config.mqtt.health_s
            # made after that, so that a change that the card may have missed makes it due again
            card = self.health()
            if card is not None and self._on_card is not None:
                self._on_card(card)
            if self._publisher is not None:
                self._publisher.board(self.reading)
                if card is not None and is_due:
                    self._publisher.health(card)
            if self._stop.wait(self._config.measure.sensors_s):
                return
