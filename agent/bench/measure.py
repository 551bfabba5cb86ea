"""A whole benchmark from settings: load the model, record frames, run, and say where it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agent import __version__
from agent import config as settings
from agent.bench.frames import Footage, held_by, record
from agent.bench.observe import Observer
from agent.bench.plan import Plan
from agent.bench.result import Environment, ModelFacts, Result, Source, Start
from agent.bench.run import Run, Told
from agent.bench.scenarios import FrameSource, MultiStream, Offline, Paced, Scenario, SingleStream
from agent.camera import Camera, parse
from agent.config import Config
from agent.errors import CameraError
from agent.infer import prove
from agent.measure import Sensors
from agent.pipeline import Model

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """Everything that a run needs but its frames.

    Attributes:
        config: the settings.
        plan: what to measure.
        model: loaded, on the thread that measures.
        sensors: read on that thread too.
        start: what beginning took, where that was tried.
        told: who is told while it runs.
        clock: monotonic seconds.
    """

    config: Config
    plan: Plan
    model: Model
    sensors: Sensors
    start: Start | None = None
    told: Told | None = None
    clock: Clock = time.monotonic

    def on_frames(self, footage: Footage) -> Result:
        """Measure on recorded frames."""
        height, width = footage.frames[0].shape[:2]
        source = Source(
            uri=footage.source,
            frames=len(footage.frames),
            width=width,
            height=height,
            corrupt=footage.corrupt,
            sha256=footage.sha256,
        )
        scenario = self._scenario(footage)
        try:
            return self._go(scenario, source)
        finally:
            scenario.close()

    def on_camera(self, camera: FrameSource) -> Result:
        """Measure on a camera that runs already.

        Raises:
            CameraError: it gives no frame.
        """
        camera_config = self.config.camera
        shown = parse(camera_config.uri).shown
        first = camera.read(camera_config.open_timeout_s + camera_config.stall_s)
        if first is None:
            raise CameraError(f"camera {shown}: no frame came to measure with")
        height, width = first.pixels.shape[:2]
        source = Source(uri=shown, frames=0, width=width, height=height)
        return self._go(Paced(self.model, camera, self.clock), source)

    def _scenario(self, footage: Footage) -> Scenario:
        if self.plan.scenario == "multi-stream":
            return MultiStream(self.model, footage.frames, self.clock, self.plan.samples_per_query)
        kind = Offline if self.plan.scenario == "offline" else SingleStream
        return kind(self.model, footage.frames, self.clock)

    def _go(self, scenario: Scenario, source: Source) -> Result:
        run = Run(
            self.plan,
            scenario,
            Observer(self.sensors, Path(self.config.measure.sys_root), self.clock),
            environment(self.config, self.model, source, self.sensors),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            start=self.start,
            told=self.told,
            clock=self.clock,
        )
        return run.go()


def bench(
    config: Config,
    plan: Plan,
    load: Callable[[Config], Model],
    told: Told | None = None,
    clock: Clock = time.monotonic,
) -> Result:
    """Measure what the settings name, in this process.

    Args:
        config: model, runtime, camera.
        plan: what to measure.
        load: makes the model; on this thread.
        told: who is told while it runs.
        clock: monotonic seconds.

    Raises:
        AgentError: as its exit code says.
    """
    sensors = Sensors(config.measure, clock)
    before = sensors.read().process.rss_bytes
    model = load(config)
    after = sensors.read().process.rss_bytes
    start = cold_start(model, config, None if before is None or after is None else max(0, after - before))
    setup = Setup(config, plan, model, sensors, start, told, clock)
    if plan.scenario == "camera":
        return _on_own_camera(setup)
    return setup.on_frames(record(config.camera, plan.frames, clock))


def _on_own_camera(setup: Setup) -> Result:
    # A recording stands in for a camera here: in real time, and for as long as the run takes.
    paced = msgspec.structs.replace(setup.config.camera, pace="real", loop=True)
    camera = Camera(paced, prepare=setup.model.preprocess, clock=setup.clock)
    try:
        camera.start()
        return setup.on_camera(camera)
    except CameraError as error:
        reason = camera.status().reason
        raise CameraError(f"{error}{': ' + reason if reason else ''}{held_by(reason)}") from None
    finally:
        camera.stop()


def environment(config: Config, model: Model, source: Source, sensors: Sensors) -> Environment:
    """Where and with what a run takes place."""
    info = model.info
    return Environment(
        agent=__version__,
        board=sensors.info(),
        runtime=model.detector.info,
        model=ModelFacts(
            name=info.name,
            version=info.version,
            sha256=info.sha256,
            size_bytes=model.card.size_bytes,
            input=info.input,
        ),
        source=source,
        settings={"model": msgspec.to_builtins(config.model), "runtime": msgspec.to_builtins(config.runtime)},
        config_sha256=settings.digest(config),
    )


def cold_start(model: Model, config: Config, step_bytes: int | None) -> Start:
    """What loading the model and answering first takes, in a child process.

    Raises:
        ModelError: the child refused the file or crashed.
        UnavailableError: the runtime or the delegate is not there.
    """
    proof = prove(model.path, model.card, config.runtime)
    return Start(
        load_s=proof.load_s,
        first_invoke_s=proof.invoke_s,
        child_peak_rss_bytes=proof.peak_rss_bytes,
        model_step_bytes=step_bytes,
    )
