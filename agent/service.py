"""The service: builds the pipeline, owns its life, and says at the end what happened.

Threads: ``main`` walks the frames; ``camera`` decodes and prepares them; ``telemetry`` reads slow sensors; ``mqtt``
talks to the broker; ``writer`` writes annotated pictures when asked to. A thread that dies ends the process with a
reason. The loop waits for none of them.
"""

from __future__ import annotations

import atexit
import gc
import hashlib
import logging
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from agent import __version__, bundle, embedded, prometheus
from agent import config as settings
from agent.camera import Camera
from agent.camera import parse as parse_uri
from agent.commands import offered
from agent.config import Config
from agent.desired import Overlay
from agent.errors import AgentError, CameraError, RestartError, StorageError
from agent.measure import Meter, Sensors
from agent.pipeline import Model, Pipeline, load_model
from agent.presence import Presence
from agent.publish import HomePlan, Publisher, plan_home, wall_clock
from agent.records import BoardReading, CameraStatus, FrameResult, Health, Identity, PerfReport
from agent.remote import Remote
from agent.telemetry import Telemetry

log = logging.getLogger("agent.service")

_POLL_S = 0.25
"""Longest wait for a frame: how late a stop, a window's end or a dead thread can be noticed."""


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
        blind_s: seconds without a usable picture.
        ended: why it ended: ``end of file``, ``seconds``, ``frames``, ``restart`` or ``stopped``.
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
    with signals(stop), _Parts(config, clock) as parts:
        if on_start is not None:
            on_start(parts.model)
        # What was made at the start lives as long as the process: no collection need walk over it again.
        gc.collect()
        gc.freeze()
        loop = _Loop(parts, limits, stop, patient=patient, begun_s=begun_s, clock=clock)
        summary = loop.run(on_result)
    if summary.ended == "restart":
        raise RestartError("a command asked for a new start; start it again")
    return summary


class _Parts:
    """Everything that has to be started and stopped, in that order and its reverse."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        folder = state_dir(config)
        self.overlay = Overlay(config, folder if config.mqtt.host else None)
        config = self.overlay.config
        self.config, self.clock = config, clock
        self.model = ready_model(config)
        self.overlay.bundle = f"{self.model.info.name} {self.model.info.version}".strip()
        for note in self.model.notes:
            log.warning("assumed: %s", note)
        wants_presence = bool(config.mqtt.host) and config.detections.mode != "off"
        self.presence = Presence(config.detections, config.zones, self.model.labels) if wants_presence else None
        self.sensors = Sensors(config.measure, clock)
        self.meter = Meter(clock, config.measure.window_s)
        self.camera = Camera(config.camera, prepare=self.model.preprocess, clock=clock, on_state=self._camera_changed)
        self.remote = Remote(
            config,
            self.model.labels,
            device=device_id(config),
            folder=folder,
            facts=self._facts(),
            say_birth=self._say_birth,
            overlay=self.overlay,
            clock=clock,
            wall=wall_clock,
        )
        home = plan_home(config, self.model.labels, self.presence.zones if self.presence else ())
        self.publisher = make_publisher(config, self.remote, home) if config.mqtt.host else None
        self.exposition = prometheus.make(config, self.model, device_id(config), clock)
        self.telemetry = Telemetry(config, self.sensors, self.publisher, self.camera.status, clock, on_card=self._show)

    def __enter__(self) -> _Parts:
        if self.publisher is not None:
            self.publisher.start()
            self._say_birth()
        try:
            if self.exposition is not None:
                self.exposition.start()
            self.camera.start()
        except AgentError:
            self.__exit__()
            raise
        self.telemetry.start()
        if self.overlay.is_active:
            self.remote.levels.set(self.config.log.level)
        self.remote.start(self.publisher, self._apply)
        return self

    def __exit__(self, *_: object) -> None:
        self.camera.stop()
        self.remote.stop()
        self.telemetry.stop()
        if self.exposition is not None:
            self.exposition.stop()
        if self.publisher is not None:
            self.publisher.stop(deadline_s=3.0)
        self.remote.close()

    def _show(self, health: Health) -> None:
        if self.exposition is not None:
            self.exposition.take(health, self.publisher.status() if self.publisher is not None else None)

    def _apply(self, config: Config) -> None:
        """Puts settings in force; called on the thread "writer"."""
        self.config = config
        self.remote.levels.set(config.log.level)
        self.telemetry.reconfigure(config)
        self.meter.window_s = config.measure.window_s
        self._say_birth()

    def identity(self) -> Identity:
        """Who this agent is now."""
        return Identity(
            agent_version=__version__,
            config_sha256=settings.digest(self.config),
            board=self.sensors.info(),
            runtime=self.model.detector.info,
            model=self.model.info,
            commands=offered(),
        )

    def _say_birth(self) -> None:
        if self.publisher is not None:
            self.publisher.birth(self.identity())

    def _facts(self) -> dict[str, Callable[[], object]]:
        """What ``diag`` tells."""
        return {
            "agent": lambda: {"version": __version__, "runtime": self.model.detector.info, "model": self.model.info},
            "board": self.sensors.info,
            "config": lambda: self.config,
            "camera": self.camera.status,
            "sensors": lambda: self.telemetry.reading,
            "queue": lambda: self.publisher.status() if self.publisher else None,
        }

    def see(self, result: FrameResult | None) -> None:
        """Tell what is there, when that is due; None: no frame came."""
        sighting = self.presence.look(result, self.clock()) if self.presence is not None else None
        if sighting is not None and self.publisher is not None:
            self.publisher.detections(sighting)

    def _camera_changed(self, status: CameraStatus) -> None:
        if self.presence is not None:
            self.presence.camera(status)
        self.telemetry.camera_changed(status)


class _Loop:
    """The main thread's loop and when it ends."""

    def __init__(
        self,
        parts: _Parts,
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
        snapshots, see = self._parts.remote.snapshots, self._parts.see
        ended = ""
        while not ended:
            result = step(_POLL_S)
            if result is None:
                self._check_idle()
            else:
                if self._first_s is None:
                    self._first_s = self._clock() - self._begun_s
                self._frames += 1
                snapshots.newest = result
                if on_result is not None:
                    on_result(result)
            see(result)
            report = meter.window(camera.dropped_total)
            if report is not None:
                telemetry.perf(report)
            ended = self._ended(idle=result is None)
        if not self._frames and not self._patient and ended == "seconds":
            self._refuse_blind_run()
        return self._summary(ended)

    def _ended(self, *, idle: bool) -> str:
        if self._stop.is_set():
            return "stopped"
        if self._parts.remote.restart_asked.is_set():
            return "restart"
        if self._limits.frames is not None and self._frames >= self._limits.frames:
            return "frames"
        if self._limits.seconds is not None and self._clock() - self._started_s >= self._limits.seconds:
            return "seconds"
        return "end of file" if idle and self._parts.camera.ended else ""

    def _check_idle(self) -> None:
        """No frame came: is somebody dead, or was there never a picture?"""
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


def ready_model(config: Config) -> Model:
    """The model that the settings name, from a bundle or from a plain file, loaded and warm.

    Raises:
        ConfigError: no model is named, or a setting contradicts it.
        ModelError: the bundle or the model cannot be used.
        UnavailableError: the runtime or the delegate is not there.
    """
    if not config.model.bundle:
        return load_model(config)
    if config.model.bundle == embedded.ADDRESS:
        found = embedded.read()
    else:
        keys = [bundle.read_public_key(Path(name)) for name in config.model.trusted_keys]
        found = bundle.read(Path(config.model.bundle), keys)
    unpacked = bundle.unpack(found, (state_dir(config) or _passing_dir()) / "slots")
    manifest = found.manifest
    return load_model(bundle.apply(config, found, unpacked), name=manifest.name, version=manifest.version)


def _passing_dir() -> Path:
    """A folder that goes when the process ends, for a board on which nothing else can be written."""
    try:
        folder = tempfile.mkdtemp(prefix="edge-agent-")
    except OSError as error:
        raise StorageError(f"a bundle must be unpacked, and no folder can be written: {error.strerror}") from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def make_publisher(config: Config, remote: Remote, home: HomePlan | None = None) -> Publisher:
    """The publisher of this board.

    Args:
        config: the settings.
        remote: takes the commands.
        home: what to announce to Home Assistant, if anything.

    Raises:
        ConfigError: a certificate, key or password file cannot be read.
    """
    return Publisher(
        config.mqtt,
        site=config.device.site,
        device=device_id(config),
        state_dir=state_dir(config),
        on_command=remote.commands.take,
        on_delivered=remote.commands.delivered,
        on_desired=remote.desire,
        home=home,
    )


def device_id(config: Config, machine_id: Path = Path("/etc/machine-id")) -> str:
    """The board's name in the fleet: the setting, else host name and four digits of the machine id.

    Boards leave the box with one host name, and two with one id would take each other's place at the broker.
    """
    if config.device.id:
        return config.device.id
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:48] or "board"
    try:
        mark = hashlib.sha256(machine_id.read_bytes().strip()).hexdigest()[:4]
    except OSError:
        return host
    return f"{host}-{mark}"


def state_dir(config: Config) -> Path | None:
    """Folder for what must survive a restart, made when it is not there; None where nothing can be written."""
    named = config.device.state_dir or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    folder = Path(named) if named else Path.home() / ".local" / "state" / "edge-agent"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        log.warning("state is not kept over a restart: %s: %s", folder, error.strerror)
        return None
    return folder
