"""What the canary costs: the main thread's share of a frame, and one look on its own thread and in its child."""

from __future__ import annotations

import resource
import time
from statistics import median

import numpy as np

from agent.config import Config, ParityConfig, override
from agent.parity import Canary, match
from agent.parity.canary import DRAWS, ask_once, plan_second
from agent.parity.pictures import Pictures
from agent.parity.sample import figures
from agent.records import Frame, FrameResult, StageTimes


def main(arguments: list[str]) -> None:
    """Print microseconds a frame of ``offer``, and seconds of a look; the first argument: how many frames."""
    frames = int(arguments[0]) if arguments else 100_000
    config = override(Config(), {"model.bundle": "demo:", "camera.uri": "demo:"})
    pixels = next(iter(Pictures(config, 1)))
    side = plan_second(config)
    found, labels = ask_once(side, pixels, 60.0)
    result = FrameResult(Frame(pixels, 0.0, 1, np.zeros((36, 64), np.uint8)), found, StageTimes(0.0, 0.0, 0.0, 0.0))
    canary = Canary(ParityConfig(every_s=86_400.0), labels, lambda _: (found, labels), None, time.monotonic)
    rounds = []
    for _ in range(9):
        begin = time.perf_counter()
        for _ in range(frames):
            canary.offer(result)
        rounds.append((time.perf_counter() - begin) / frames)
    print(f"offer, main thread: {1e6 * median(rounds):.3f} us a frame (min {1e6 * min(rounds):.3f})")

    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ask_once(side, pixels, 60.0)
    after, took_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begin
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"one look: {took_s:.2f} s, of them {cpu_s:.2f} s of a core in the child")

    diffs, begin = [match(found, found, labels, labels)] * ParityConfig().window, time.perf_counter()
    figures(diffs, DRAWS)
    print(f"intervals over {len(diffs)} frames: {1e3 * (time.perf_counter() - begin):.1f} ms")
