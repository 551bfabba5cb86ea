"""A short benchmark for ``--capture``: the embedded model on the rendered camera, the same everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.board import ready_model
from agent.camera import Camera
from agent.config import Config, override
from agent.measure import Meter
from agent.pipeline import Pipeline

FRAMES = 64
LONGEST_S = 20.0


def short_bench(config: Config, clock: Callable[[], float] = time.monotonic) -> dict[str, object]:
    """Seconds of each stage over some frames of the street, as fast as they come; percentiles, and how many frames.

    Raises:
        AgentError: the runtime or the camera does not work here.
    """
    config = override(
        config,
        {"model.path": "", "model.labels": "", "model.bundle": "demo:", "camera.uri": "demo:", "camera.pace": "fast"},
    )
    model = ready_model(config)
    meter = Meter(clock, 3600.0)
    camera = Camera(config.camera, prepare=model.preprocess, clock=clock)
    camera.start()
    try:
        street = Pipeline(camera, model, meter, clock)
        by_s = clock() + LONGEST_S
        while meter.totals().frames < FRAMES and clock() < by_s and not camera.ended:
            street.step(1.0)
    finally:
        camera.stop()
    run, info = meter.totals(), model.detector.info
    stages = {name: {"p50_s": it.p50_s, "p90_s": it.p90_s, "max_s": it.max_s} for name, it in run.stages.items()}
    told = {"backend": info.backend, "version": info.version, "num_threads": info.num_threads}
    return {"model": "demo", **told, "delegate": bool(info.delegate), "frames": run.frames, "stages": stages}
