"""What the service is made of, built from the settings, started in one order and stopped in its reverse."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agent import __version__, bench, prometheus, status
from agent import config as settings
from agent.board import device_id, ready_model, state_dir, state_trouble
from agent.camera import Camera
from agent.camera import parse as parse_uri
from agent.commands import offered
from agent.config import Config
from agent.desired import Overlay
from agent.diary import Diary
from agent.errors import AgentError, CameraError, ConfigError, UnavailableError
from agent.following import Following
from agent.local import Local, folder_of, runtime_folder
from agent.measure import Meter, Sensors
from agent.pacing import Pacing
from agent.parity import make_canary
from agent.publish import HomePlan, Publisher, plan_home, wall_clock
from agent.recalibrate.shelf import Shelf
from agent.records import CameraStatus, FrameResult, Health, Identity, Sighting
from agent.remote import Remote
from agent.rules import Rules, in_force, make_rules
from agent.telemetry import Telemetry

log = logging.getLogger("agent.service")


class Parts:
    """Everything that has to be started and stopped, in that order and its reverse.

    Attributes:
        ended: why the run ended, for the diary; set by whoever ends it well.
    """

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        folder = state_dir(config)
        self.overlay = Overlay(config, folder if config.mqtt.host else None)
        self.model = ready_model(config)
        self.rules = self._first_rules()
        self.fresh: deque[Rules] = deque(maxlen=1)
        self.presence = self.rules.presence
        config = self.overlay.config
        self.config, self.clock, self._folder = config, clock, folder
        self.overlay.bundle = f"{self.model.info.name} {self.model.info.version}".strip()
        for note in self.model.notes:
            log.warning("assumed: %s", note)
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
            is_throttled=self._is_throttled,
            relearn=self._relearn,
        )
        self.publisher = make_publisher(config, self.remote, self._plan()) if config.mqtt.host else None
        self.remote.attach(self.publisher)
        self.following = Following(
            config.correction,
            self.model.preprocess,
            Shelf(folder, clock),
            self.publisher,
            clock,
            typical=self.model.learned.typical,
        )
        self.canary = make_canary(
            config, self.model.labels, self.publisher, clock, lambda: self.model.preprocess.correction
        )
        self.exposition = prometheus.make(config, self.model, device_id(config), clock)
        board = self.sensors.info().model
        self.pacing = Pacing(config.governor, board, self.camera, self.publisher)
        self.telemetry = Telemetry(
            config,
            self.sensors,
            self.publisher,
            self.camera.status,
            clock,
            on_card=self._show,
            pace=lambda: self.pacing.pace,
            light=lambda: self.following.status,
            diary=Diary(folder if config.mqtt.host else None),
        )
        self.ended = "error"

    def __enter__(self) -> Parts:
        self._listen()
        try:
            if self.publisher is not None:
                self.publisher.start()
                self._say_birth()
                if self._folder is None:
                    self.publisher.alarm("disk", state_trouble(self.config))
            if self.exposition is not None:
                self.exposition.start()
            self.camera.start()
        except AgentError:
            self.__exit__()
            raise
        self.telemetry.start()
        if self.overlay.is_active:
            self.remote.levels.set(self.config.log.level)
        if self.canary is not None:
            self.canary.start()
        self.remote.start(self.publisher, self._apply)
        return self

    def __exit__(self, *_: object) -> None:
        self.camera.stop()
        if self.remote.local is not None:
            self.remote.local.stop()
        if self.canary is not None:
            self.canary.stop()
        self.remote.stop()
        self.telemetry.stop(self.ended)
        if self.exposition is not None:
            self.exposition.stop()
        if self.publisher is not None:
            self.publisher.stop(deadline_s=3.0)
        self.remote.close()

    def _listen(self) -> None:
        """Opens the local socket; without a broker to quarrel over, a second agent works on without it."""
        folder = folder_of(self._folder)
        if folder is None:
            return
        local = Local(
            folder,
            take=self.remote.commands.take,
            status=self._status,
            clock=self.clock,
            group=runtime_folder() is not None,
            state=self._folder,
        )
        try:
            local.start()
        except UnavailableError as error:
            if self.publisher is not None:
                raise
            log.warning("%s; nothing can be asked of this one", error)
        except OSError as error:
            log.warning("%s: no local socket (%s): nothing can be asked of this agent here", folder, error.strerror)
        else:
            self.remote.local = local

    def _status(self) -> dict[str, Any]:
        """What ``edge-agent status`` shows; called on the thread "local"."""
        return status.tell(
            version=__version__,
            device=device_id(self.config),
            site=self.config.device.site,
            model=self.model.info,
            runtime=self.model.detector.info,
            health=self.telemetry.health(),
            mqtt=self.publisher.status() if self.publisher is not None else None,
            absence=self.telemetry.absence,
        )

    def _show(self, health: Health) -> None:
        self.pacing.take(health)
        self.following.look(health.camera, self.remote.snapshots.newest)
        if self.exposition is not None:
            self.exposition.take(health, self.publisher.status() if self.publisher is not None else None)

    def _first_rules(self) -> Rules:
        """What is desired from before may be of another model: it must not keep the board from its start."""
        try:
            return make_rules(self.model, self.overlay.config, self.overlay.changes)
        except ConfigError as error:
            if not self.overlay.is_active:
                raise
            self.overlay.give_up(error)
            return make_rules(self.model, self.overlay.config, {})

    def _plan(self) -> HomePlan | None:
        """What is announced to Home Assistant."""
        presence = self.rules.presence
        return plan_home(self.config, self.model.labels, presence.zones if presence else ())

    def _apply(self, config: Config, changes: Mapping[str, Any]) -> None:
        """Puts settings in force; called on the thread "writer". Raises ConfigError, with nothing changed."""
        self.rules = make_rules(self.model, config, changes, self.rules)
        self.config = config
        self.fresh.append(self.rules)  # the main thread takes them between two frames
        self.camera.reconfigure(config.camera)
        self.remote.reconfigure(config)
        self.telemetry.reconfigure(config)
        self.pacing.reconfigure(config.governor)
        self.following.reconfigure(config.correction)
        self.meter.window_s = config.measure.window_s
        plan = self._plan()
        if self.publisher is not None:
            self.publisher.reconfigure(config.mqtt)
            if plan is not None:
                self.publisher.home(plan)
        self._say_birth()

    def take_rules(self) -> Rules:
        """The newest rules, in force from now on; called on the main thread, between two frames."""
        rules = self.fresh.pop()
        before, self.presence = self.presence, rules.presence
        if self.presence is not None and self.presence is not before:
            self.presence.camera(self.camera.status())
        elif self.presence is None and before is not None and self.publisher is not None:
            self.publisher.detections(Sighting(self.clock(), known=False, reason="detections are switched off"))
        return rules

    def identity(self) -> Identity:
        """Who this agent is now."""
        return Identity(
            agent_version=__version__,
            config_sha256=settings.digest(in_force(self.config, self.rules)),
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
            "light": lambda: self.following.status,
            "queue": lambda: self.publisher.status() if self.publisher else None,
        }

    def benchmark(self, stop: Callable[[], bool]) -> None:
        """Measure what a command asked for, between two frames; on the main thread. The service goes on after it."""
        self.telemetry.absent("a benchmark runs, asked for by a command")
        try:
            self.remote.benching.turn(self._measure, stop, lambda: self.see(None))
        finally:
            self.camera.read(0.0)  # it may have waited since the begin
            self.telemetry.back(self.camera.status())

    def _measure(self, plan: bench.Plan, told: bench.Told) -> bench.Result:
        own = bench.Setup(
            self.config, plan, self.model, Sensors(self.config.measure, self.clock), told=told, clock=self.clock
        )
        return own.on_camera(self.camera) if plan.scenario == "camera" else own.on_frames(self._footage(plan.frames))

    def _footage(self, count: int) -> bench.Footage:
        """What the camera gives now, for as long as a start may take."""
        until_s = self.clock() + self.config.camera.open_timeout_s + self.config.camera.stall_s
        frames = bench.take(lambda: self.camera.read(max(0.0, until_s - self.clock())), count)
        shown = parse_uri(self.config.camera.uri).shown
        if not frames:
            raise CameraError(f"camera {shown}: gave no frame to measure with; {self.camera.status().reason}")
        return bench.Footage(frames, shown)

    def _relearn(self) -> str:
        return self.following.relearn()

    def _is_throttled(self) -> bool | None:
        reading = self.telemetry.reading
        return reading.thermal.throttled if reading is not None else None

    def see(self, result: FrameResult | None) -> None:
        """Tell what is there, when that is due; None: no frame came."""
        if self.canary is not None and result is not None:
            self.canary.offer(result)
        sighting = self.presence.look(result, self.clock()) if self.presence is not None else None
        if sighting is not None and self.publisher is not None:
            self.publisher.detections(sighting)

    def _camera_changed(self, status: CameraStatus) -> None:
        if self.presence is not None:
            self.presence.camera(status)
        self.telemetry.camera_changed(status)


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
