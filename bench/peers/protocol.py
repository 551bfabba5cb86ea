"""How the driver talks to a worker: one detector in one process, one line in, one line of JSON out.

A worker is started as ``python WORKER.py MODEL.tflite FRAMES.npy`` in the detector's own environment. ``FRAMES.npy``
is uint8 (k, height, width, 3), BGR, as OpenCV gives pictures. It loads both, warms up, and says ``{"ready": ...}``.
Then it waits on stdin, using no CPU, so that the blocks of several workers can be interleaved:

- ``run N``: detect in the next N frames, going round, one at a time. Answer: ``seconds`` (N wall times, picture in,
  boxes out: from the BGR picture to the library's own result, its own conversions included), ``cpu_s`` (CPU time of
  the whole process, all threads: what "one thread" is worth).
- ``boxes N``: the first N frames, untimed. Answer: ``boxes``, for each frame ``[left, top, right, bottom, score]``
  in pixels, so that the driver can see whether all found the same.

The end of stdin ends the worker. Needs numpy only, so that it runs in every environment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SCORE_THRESHOLD = 0.499
"""0.5 for all: tflite-support drops a score that equals its threshold, and a quantized model's scores often do."""

MAX_RESULTS = 10
"""The model's own post-processing gives no more."""

WARM_UP = 10


def serve(name: str, make: Callable[[str], Callable[[Any], Any]], boxes: Callable[[Any], list[list[float]]]) -> None:
    """Answer requests until stdin ends.

    Args:
        name: the detector and its version.
        make: from the model's path to the function that is timed: BGR picture in, the library's result out.
        boxes: from that result to boxes in pixels; not timed.
    """
    begun_s = time.perf_counter()
    detect = make(sys.argv[1])
    load_s = time.perf_counter() - begun_s
    frames = np.load(sys.argv[2])
    for frame in frames[:WARM_UP]:
        detect(frame)
    _say(ready=name, load_s=load_s, python=sys.version.split()[0], numpy=np.__version__)
    position = 0
    for line in sys.stdin:
        verb, count = line.split()
        if verb == "boxes":
            _say(boxes=[boxes(detect(frame)) for frame in frames[: int(count)]])
            continue
        seconds, cpu_s = [], time.process_time()
        for _ in range(int(count)):
            frame = frames[position % len(frames)]
            position += 1
            begun_s = time.perf_counter()
            detect(frame)
            seconds.append(time.perf_counter() - begun_s)
        _say(seconds=seconds, cpu_s=time.process_time() - cpu_s)


def _say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)
