"""What following the light costs the inference loop: blocks with it and without it, in turns.

python -m bench follow [--blocks 6] [--seconds 120] [--every 5] [--fit 60]

The loop detects on rendered frames as fast as it can; in every other block a thread looks at the light as the service
does, at pictures that are dark by turns, so that each fit has something to find. It advises only: a steep correction
costs by itself (``python -m bench light --times``).
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, cycle

import numpy as np

from agent.board import ready_model
from agent.config import Config, CorrectionConfig, override
from agent.following import Following
from agent.pipeline import Model
from agent.recalibrate.levels import look
from agent.recalibrate.shelf import Shelf
from agent.records import CameraStatus, Detections, Frame, FrameResult, Pixels, StageTimes
from bench.common import machine, median_interval
from tools.demo_model.scenes import still

SCENES = 40
DARK = 0.3
LEARNED = 8
STREAMING = CameraStatus("streaming")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench follow", description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=6, help="pairs of them")
    parser.add_argument("--seconds", type=float, default=120.0, help="of a block")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--fit", type=float, default=60.0, help="seconds between two fits")
    options = parser.parse_args(arguments)
    print(f"follow: {machine()}")
    model = ready_model(override(Config(), {"model.bundle": "demo:"}), learned=False)
    frames = [pixels for pixels, _ in still(7_300, SCENES)]
    ratios: dict[float, list[float]] = {50: [], 99: []}
    for _ in range(options.blocks):
        alone = steps(model, frames, options.seconds)
        with followed(model, frames, options.every, options.fit):
            beside = steps(model, frames, options.seconds)
        for quantile, found in ratios.items():
            found.append(float(np.percentile(beside, quantile) / np.percentile(alone, quantile)))
        print(
            f"  {len(alone)} frames alone, {len(beside)} followed; p50 {ratios[50][-1]:.3f}, p99 {ratios[99][-1]:.3f}"
        )
    for quantile, found in ratios.items():
        middle, low, high = median_interval(found)
        print(f"  p{quantile:g} of a frame's work, followed / alone: {middle:.3f} [{low:.3f}, {high:.3f}]")


def steps(model: Model, frames: list[Pixels], seconds: float) -> list[float]:
    """Seconds of work on each frame, for so long."""
    spent: list[float] = []
    until_s = time.perf_counter() + seconds
    for pixels in cycle(frames):
        begun_s = time.perf_counter()
        model.detect(pixels)
        ended_s = time.perf_counter()
        spent.append(ended_s - begun_s)
        if ended_s >= until_s:
            break
    return spent


@contextmanager
def followed(model: Model, frames: list[Pixels], every_s: float, fit_s: float) -> Iterator[None]:
    """While this lasts a thread looks at the light, as the service's telemetry does."""
    over = threading.Event()
    following = learned(model, frames, CorrectionConfig(mode="advise", every_s=every_s, fit_s=fit_s))

    def run() -> None:
        for number in count(1):
            pixels = frames[number % len(frames)]
            is_dark = number // 20 % 2 == 1
            following.look(STREAMING, shown(dark(pixels) if is_dark else pixels, number))
            if over.wait(every_s):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def learned(model: Model, frames: list[Pixels], config: CorrectionConfig) -> Following:
    """One that knows its reference: nothing is written, and the shelf is asked once."""
    shelf = Shelf(None, time.monotonic)
    shelf.light = lambda: look(frames[:LEARNED])  # type: ignore[method-assign]
    return Following(config, model.preprocess, shelf, None, time.monotonic)


def dark(pixels: Pixels) -> Pixels:
    return np.asarray(pixels * DARK, np.uint8)


def shown(pixels: Pixels, number: int) -> FrameResult:
    frame = Frame(pixels, 0.0, number, np.zeros((36, 64), np.uint8))
    return FrameResult(frame, Detections.empty(), StageTimes(0.0, 0.0, 0.0, 0.0))
