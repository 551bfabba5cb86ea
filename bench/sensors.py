"""What measuring costs: all collectors together, and a frame's share on the inference thread.

A reading is taken of this machine and of each recorded board (there with a fake firmware), and of each its CPU seconds
are told as a share of one core at the default rate. A frame's share is that of everything ``measure`` does with it on
the inference thread, beside an empty loop, in alternating blocks of one run.

    python -m bench sensors [--readings 200] [--blocks 21] [--frames 5000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.config import Config, MeasureConfig
from agent.measure import Meter, Sensors
from agent.records import CameraStatus, Detections, Frame, FrameResult, StageTimes
from agent.telemetry import Telemetry
from bench.common import ROOT, machine, median_interval

FPS = 30.0
"""At which windows end: each ten seconds, as by default."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench sensors", description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=200)
    parser.add_argument("--blocks", type=int, default=21)
    parser.add_argument("--frames", type=int, default=5000, help="of each block")
    options = parser.parse_args(arguments)
    rate_s = MeasureConfig().sensors_s
    print(f"sensors: {machine()}")
    print(f"  {options.readings} readings, each {rate_s:g} s by default; target < 1 % of a core")
    _reading("this machine", Sensors(MeasureConfig()), options.readings)
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        for name, sensors in _boards(Path(folder)).items():
            _reading(name, sensors, options.readings)
    _frames(options.blocks, options.frames)
    print(
        f"  command: python -m bench sensors --readings {options.readings} --blocks {options.blocks} "
        f"--frames {options.frames}"
    )


def _boards(folder: Path) -> dict[str, Sensors]:
    from tests.measure_trees import CGROUP2, FAN, NVME, RP1, firmware, pi, write

    boards = {}
    for name, coral in (("pi3", ""), ("pi4", "usb, in use"), ("pi5", "pcie"), ("zero2w", "")):
        root = write(pi(folder, name, coral), CGROUP2 | (FAN | RP1 | NVME if name == "pi5" else {}))
        boards[f"tree of a {name}"] = Sensors(MeasureConfig(sys_root=str(root)), mailbox=firmware())
    return boards


def _reading(name: str, sensors: Sensors, readings: int) -> None:
    sensors.read()
    walls, begun_s = [], time.process_time()
    for _ in range(readings):
        wall_s = time.perf_counter()
        reading = sensors.read()
        walls.append(time.perf_counter() - wall_s)
    spent_s = (time.process_time() - begun_s) / readings
    share = 100.0 * spent_s / MeasureConfig().sensors_s
    slowest = max(reading.sensors, key=lambda sensor: sensor.duration_s)
    print(
        f"  {name:<20} {1e3 * spent_s:6.2f} ms CPU a reading, {share:.3f} % of a core; {1e3 * np.median(walls):6.2f} ms"
        f" by the clock; {len(reading.sensors)} collectors, slowest {slowest.name}"
    )


def _frames(blocks: int, frames: int) -> None:
    """The Meter and the mark of an answer, as the service calls them, beside a loop that only takes the result."""
    config = Config()
    telemetry = Telemetry(config, Sensors(config.measure), None, lambda: CameraStatus("streaming"))
    meter, results = Meter(time.monotonic, 10.0), _results()

    def measure() -> None:
        for number in range(frames):
            result = results[number & 63]
            meter.frame(result.times, 3)
            telemetry.answered(result)
            report = meter.window(0)
            if report is not None or number % int(10 * FPS) == 0:
                telemetry.perf(report or meter.totals())

    def nothing() -> None:
        for number in range(frames):
            _ = results[number & 63]

    ours, empty = [], []
    for _ in range(blocks):
        ours.append(_timed(measure) / frames)
        empty.append(_timed(nothing) / frames)
    cost, low, high = median_interval((np.array(ours) - np.array(empty)) * 1e6)
    ratio, ratio_low, ratio_high = median_interval(np.array(ours) / np.array(empty))
    print(f"  a frame on the inference thread, {blocks} pairs of blocks of {frames} frames; target < 20 us")
    print(f"    {cost:.2f} us above an empty loop  [{low:.2f}, {high:.2f}]")
    print(f"    {ratio:.0f} times an empty loop    [{ratio_low:.0f}, {ratio_high:.0f}]")


def _results() -> list[FrameResult]:
    rng = np.random.default_rng(1)
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0.0, 1, np.zeros((36, 64), np.uint8))
    none = Detections.empty()
    return [
        FrameResult(
            replace(frame, captured_s=float(number)),
            none,
            StageTimes(*(float(part) for part in rng.lognormal(-5.0, 0.3, 4))),
        )
        for number in range(64)
    ]


def _timed(work: Callable[[], None]) -> float:
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


if __name__ == "__main__":
    main()
