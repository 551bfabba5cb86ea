"""The rendered camera: frames a second on one core, for each condition; it must never limit another benchmark.

python -m bench render [--frames 400]
"""

from __future__ import annotations

import argparse
import time

import cv2

from agent.camera.rendered import CONDITIONS, HEIGHT, WIDTH, Knobs, Renderer
from bench.common import machine

EXTRA = {
    "jpeg 85": Knobs(jpeg=85),
    "occlusion": Knobs(occlusion=0.3),
    "blur, noise and haze": Knobs(blur=2.0, noise=10.0, haze=0.3),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench render", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=400)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    print(f"render: {WIDTH}x{HEIGHT}, one thread, {options.frames} frames each; {machine()}")
    print(f"  {'':<22} {'frames/s':>9} {'of CPU time':>12} {'slowest ms':>11}")
    begun_s = time.perf_counter()
    renderer = Renderer(1)
    renderer.frame(0)
    print(f"  to the first frame {1e3 * (time.perf_counter() - begun_s):.0f} ms")
    for name, knobs in {**CONDITIONS, **EXTRA}.items():
        wall, cpu, slowest_s = measure(renderer, knobs, options.frames)
        print(f"  {name:<22} {wall:>9.0f} {cpu:>12.0f} {1e3 * slowest_s:>11.1f}")


def measure(renderer: Renderer, knobs: Knobs, frames: int) -> tuple[float, float, float]:
    """Frames a second by the wall clock and by CPU time, new belt included; and the slowest frame, seconds."""
    renderer.frame(0, knobs)
    slowest_s, begun_s, begun_cpu_s = 0.0, time.perf_counter(), time.process_time()
    before_s = begun_s
    for index in range(1, frames + 1):
        renderer.frame(index, knobs)
        now_s = time.perf_counter()
        slowest_s, before_s = max(slowest_s, now_s - before_s), now_s
    return frames / (now_s - begun_s), frames / (time.process_time() - begun_cpu_s), slowest_s
