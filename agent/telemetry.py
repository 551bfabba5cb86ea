"""The telemetry thread: slow sensors in, messages out; and what the camera's state means to others.

``Telemetry`` owns the thread named "telemetry". The inference loop never waits for a sensor: it hands windows over and
goes on. Without a broker everything runs as well, and only the summary at the end tells of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agent.config import Config
from agent.measure import Sensors
from agent.publish import Publisher
from agent.records import BoardReading, CameraState, CameraStatus, Health, Pace, PerfReport, StageStats

ALARMS: dict[CameraState, str] = {
    "down": "camera",
    "stalled": "camera",
    "black": "camera",
    "frozen": "frozen-picture",
}


class Blindness:
    """Seconds without a usable picture, on the monotonic clock. Pure: fed with states and times."""

    def __init__(self) -> None:
        self._total_s = 0.0
        self._since_s: float | None = None

    def update(self, state: CameraState, now_s: float) -> None:
        """The camera is in this state from now on."""
        sees = state in {"streaming", "ended"}
        if sees and self._since_s is not None:
            self._total_s += max(0.0, now_s - self._since_s)
            self._since_s = None
        elif not sees and self._since_s is None:
            self._since_s = now_s

    def total_s(self, now_s: float) -> float:
        """Blind seconds until now, the present ones included."""
        return self._total_s + (max(0.0, now_s - self._since_s) if self._since_s is not None else 0.0)


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
    ) -> None:
        self._config, self._sensors, self._publisher = config, sensors, publisher
        self._camera, self._clock = camera, clock
        self._on_card, self._pace = on_card, pace
        self._begun_s = clock()
        self._blindness = Blindness()
        self._blindness.update("starting", self._begun_s)
        self._alarm: str | None = None
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

    def stop(self) -> None:
        """End the thread, if it was started; a sensor that blocks is left behind."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2.0)

    def reconfigure(self, config: Config) -> None:
        """How often from now on; called on any thread."""
        self._config = config
        self._health_due_s = min(self._health_due_s, self._clock() + config.mqtt.health_s)

    def perf(self, report: PerfReport) -> None:
        """One window of the pipeline; called on the main thread, returns at once."""
        self._fps, self._stages = report.fps, report.stages
        if self._publisher is not None:
            self._publisher.perf(report)

    def camera_changed(self, status: CameraStatus) -> None:
        """The camera's state changed: count blind seconds, raise or clear its alarm, say how we are."""
        with self._lock:
            if self._absent:
                return  # who is absent looks at no picture; what the camera is like is asked again afterwards
            self._blindness.update(status.state, self._clock())
            alarm = ALARMS.get(status.state)
            before, self._alarm = self._alarm, alarm
        if before != alarm:
            self._health_due_s = self._clock()  # the card tells of the camera: it must not be minutes late
        if self._publisher is None:
            return
        if before is not None and before != alarm:
            self._publisher.alarm(before, None)
        if alarm is not None:
            self._publisher.alarm(alarm, f"camera {status.state}: {status.reason}")
        self._publisher.state("degraded" if alarm else "online", status.reason if alarm else "")

    def absent(self, reason: str) -> None:
        """From now on no frame is answered, on purpose: blind, and not for the camera's fault."""
        with self._lock:
            self._absent = reason
            self._blindness.update("starting", self._clock())
        if self._publisher is not None:
            self._publisher.state("updating", reason)

    def back(self, status: CameraStatus) -> None:
        """Frames are answered again; ``status`` is the camera's."""
        with self._lock:
            self._absent = ""
        self.camera_changed(status)

    def health(self) -> Health | None:
        """The last-value card; None before the first reading."""
        if self.reading is None:
            return None
        now_s = self._clock()
        with self._lock:
            blind_s = self._blindness.total_s(now_s)
        uptime_s = now_s - self._begun_s
        return Health(uptime_s, self._fps, self._camera(), self.reading, blind_s, self._stages, self._pace())

    def _run(self) -> None:
        while True:
            self.reading = self._sensors.read()
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
