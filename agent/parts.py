"""What the service is made of, built from the settings, started in one order and stopped in its reverse."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent import __version__, prometheus
from agent import config as settings
from agent.board import device_id, ready_model, state_dir
from agent.camera import Camera
from agent.commands import offered
from agent.config import Config
from agent.desired import Overlay
from agent.errors import AgentError
from agent.measure import Meter, Sensors
from agent.parity import make_canary
from agent.presence import Presence
from agent.publish import HomePlan, Publisher, plan_home, wall_clock
from agent.records import CameraStatus, FrameResult, Health, Identity
from agent.remote import Remote
from agent.telemetry import Telemetry

log = logging.getLogger("agent.service")


class Parts:
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
        self.canary = make_canary(config, self.model.labels, self.publisher, clock)
        self.exposition = prometheus.make(config, self.model, device_id(config), clock)
        self.telemetry = Telemetry(config, self.sensors, self.publisher, self.camera.status, clock, on_card=self._show)

    def __enter__(self) -> Parts:
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
        if self.canary is not None:
            self.canary.start()
        self.remote.start(self.publisher, self._apply)
        return self

    def __exit__(self, *_: object) -> None:
        self.camera.stop()
        if self.canary is not None:
            self.canary.stop()
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
