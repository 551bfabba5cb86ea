"""The whole street with telemetry on, beside a bare ``invoke()`` loop, in alternating blocks of one run.

The street is ``service.run`` itself on the clip, as fast as it can; the bare loop is another interpreter of the same
runtime, threads and file that only invokes, on the last frame that the street saw. After each block of the street comes
a block of the bare loop with as many invokes; the ratio is taken pair by pair.

    python -m bench street [--blocks 12] [--frames 300] [--threads 1] [--backend auto]
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

import numpy as np

from agent import config as settings
from agent import service
from agent.config import Config
from agent.infer import choose_backend
from agent.pipeline import Model
from agent.records import FrameResult
from bench.common import CLIP, MODEL, broker, machine, median_interval, need


class Alternator:
    """Called with every result: closes a street block when it is full, and runs the bare block in between."""

    def __init__(self, backend: str, threads: int, blocks: int, frames: int) -> None:
        runtime = choose_backend(backend)
        self._bare = runtime.module.Interpreter(model_path=str(MODEL), num_threads=threads)
        self._bare.allocate_tensors()
        self._input = self._bare.get_input_details()[0]["index"]
        self._frames, self._blocks = frames, blocks
        self._count = -frames  # one block to warm up
        self._mark = (0.0, 0.0, 0.0)
        self._invoke_cpu_s = 0.0
        self.street_s: list[float] = []
        self.bare_s: list[float] = []
        self.outside_s: list[float] = []
        self.threads_s: dict[str, float] = {}

    def start(self, model: Model) -> None:
        """Time the runtime's own invoke by the main thread's CPU clock."""
        detector: Any = model.detector
        plain = detector._invoke

        def timed() -> None:
            begin = time.thread_time()
            plain()
            self._invoke_cpu_s += time.thread_time() - begin

        detector._invoke = timed

    def result(self, result: FrameResult) -> None:
        """One more frame of the street."""
        self._count += 1
        if self._count == 0:
            self._begin()
        elif self._count == self._frames:
            self._end(result)
            self._count = 0
            self._begin()

    def _begin(self) -> None:
        self._clocks = thread_clocks()
        self._invoke_cpu_s = 0.0
        self._mark = (time.perf_counter(), time.thread_time(), 0.0)

    def _end(self, result: FrameResult) -> None:
        wall, cpu = time.perf_counter() - self._mark[0], time.thread_time() - self._mark[1]
        self.street_s.append(wall / self._frames)
        self.outside_s.append((cpu - self._invoke_cpu_s) / self._frames)
        for name, now_s in thread_clocks().items():
            spent_s = now_s - self._clocks.get(name, now_s)
            self.threads_s[name] = self.threads_s.get(name, 0.0) + spent_s / self._frames / self._blocks
        self._bare.set_tensor(self._input, result.frame.tensor)
        begin = time.perf_counter()
        for _ in range(self._frames):
            self._bare.invoke()
        self.bare_s.append((time.perf_counter() - begin) / self._frames)


def thread_clocks() -> dict[str, float]:
    """CPU seconds of each thread of this process, by name."""
    return {
        thread.name: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.ident is not None
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench street", description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--frames", type=int, default=300, help="frames a block")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(arguments)
    need(MODEL, CLIP)
    alternator = Alternator(options.backend, options.threads, options.blocks, options.frames)
    with broker() as port:
        config = settings.override(
            Config(),
            {
                "model.path": str(MODEL),
                "camera.uri": str(CLIP),
                "camera.loop": True,
                "camera.pace": "fast",
                "runtime.num_threads": options.threads,
                "runtime.backend": options.backend,
                "mqtt.host": "127.0.0.1" if port else "",
                "mqtt.port": port or 0,
                "measure.window_s": 10.0,
            },
        )
        wanted = options.frames * (options.blocks + 1)
        summary = service.run(
            config,
            limits=service.Limits(frames=wanted),
            on_start=alternator.start,
            on_result=alternator.result,
        )
    report(alternator, summary, options, with_broker=port is not None)


def report(found: Alternator, summary: service.Summary, options: argparse.Namespace, *, with_broker: bool) -> None:
    ratio = np.array(found.bare_s) / np.array(found.street_s)
    middle, low, high = median_interval(ratio)
    outside, outside_low, outside_high = median_interval(np.array(found.outside_s) * 1e3)
    street, bare = np.median(found.street_s) * 1e3, np.median(found.bare_s) * 1e3
    invoke = summary.perf.stages["invoke"]
    print(f"street against bare invoke: {CLIP.name}, {summary.model}, {summary.runtime}")
    print(f"  {machine()}; {'telemetry to mosquitto' if with_broker else 'no broker here'}")
    print(f"  {len(found.street_s)} pairs of blocks of {options.frames} frames")
    print(f"  ratio of frames a second   {middle:.3f}  [{low:.3f}, {high:.3f}]   target >= 0.95")
    print(f"  street {street:.3f} ms a frame ({1e3 / street:.0f} fps), bare {bare:.3f} ms ({1e3 / bare:.0f} fps)")
    print(f"  main thread's CPU outside invoke  {outside:.3f} ms a frame  [{outside_low:.3f}, {outside_high:.3f}]")
    print("  where the rest goes, ms a frame:")
    print(f"    invoke in the street       {invoke.p50_s * 1e3:.3f} p50 (tensors in and out included)")
    for name in ("preprocess", "postprocess"):
        where = "camera thread" if name == "preprocess" else "main thread"
        print(f"    {name:<26} {summary.perf.stages[name].p50_s * 1e3:.3f} p50 ({where})")
    for name, seconds in sorted(found.threads_s.items(), key=lambda item: -item[1]):
        print(f"    CPU of thread {name:<12} {seconds * 1e3:.3f}")
    print(f"  command: python -m bench street --blocks {options.blocks} --frames {options.frames}")


if __name__ == "__main__":
    main()
