"""The same uint8 file on the same frames, one thread: this agent beside MediaPipe's and tflite-support's detectors.

Each detector is a process of its own in its own environment (``setup.sh`` makes them), and all are alive during the
whole run. They work in turns, a block of frames each, and every round begins with the next one, so that whatever else
the machine does falls on all alike. Ratios are taken within a round; their median comes with a 95 % bootstrap interval.

What is timed: from the BGR picture to the library's own result, its colour conversion, resize and decoding included.
What else is shown: CPU time a frame (one thread's work is no more than the wall time), and how many of our boxes each
found too: they resize and round in their own ways, so boxes near the threshold differ.

    bash bench/peers/setup.sh && python -m bench.peers.run [--rounds 12] [--frames 60] [--json OUT.json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bench.common import CLIP, MODEL, ROOT, machine, median_interval, need

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = ROOT / ".cache" / "peers"
OURS = "edge-agent"
WORKERS = {
    OURS: (Path(sys.executable), HERE / "edge_agent_worker.py"),
    "mediapipe": (ENVIRONMENTS / "mediapipe" / "bin" / "python", HERE / "mediapipe_worker.py"),
    "tflite-support": (ENVIRONMENTS / "tflite-support" / "bin" / "python", HERE / "tflite_support_worker.py"),
}
KEPT_FRAMES = 120
IOU_MATCH = 0.5


@dataclass
class Worker:
    """One detector's process, and what it has answered so far."""

    key: str
    process: subprocess.Popen[str]
    log: Path
    about: dict[str, Any] = field(default_factory=dict)
    blocks_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    frames_s: list[float] = field(default_factory=list)

    def ask(self, request: str) -> dict[str, Any]:
        """One request, one answer; ends the run with the worker's last words when it has died."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._mourn()
        return self.listen()

    def listen(self) -> dict[str, Any]:
        """The next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._mourn()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def block(self, frames: int) -> None:
        """One block of detections."""
        answer = self.ask(f"run {frames}")
        self.frames_s += answer["seconds"]
        self.blocks_s.append(sum(answer["seconds"]) / frames)
        self.cpu_s.append(answer["cpu_s"] / frames)

    def _mourn(self) -> None:
        words = self.log.read_text(errors="replace").strip().splitlines() or ["it left no word"]
        sys.exit(f"bench: the {self.key} worker died: {words[-1]}")


@contextmanager
def started(key: str, frames: Path, folder: Path) -> Iterator[Worker]:
    """A worker that has loaded and warmed up."""
    python, script = WORKERS[key]
    log = folder / f"{key}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(python), str(script), str(MODEL), str(frames)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)} if key == OURS else None,
        )
        worker = Worker(key, process, log)
        try:
            worker.about = worker.listen()
            yield worker
        finally:
            process.communicate()


def keep_frames(clip: Path, count: int, target: Path) -> None:
    """``count`` frames, evenly over the clip, decoded once for everybody."""
    video = cv2.VideoCapture(str(clip))
    pictures = []
    while True:
        there, picture = video.read()
        if not there:
            break
        pictures.append(picture)
    video.release()
    if not pictures:
        sys.exit(f"bench: {clip} cannot be decoded")
    np.save(target, np.stack([pictures[i] for i in np.linspace(0, len(pictures) - 1, count).astype(int)]))


def matched(ours: list[list[float]], theirs: list[list[float]]) -> int:
    """How many of our boxes have one of theirs upon them, each used once."""
    left = [np.array(box[:4]) for box in theirs]
    count = 0
    for box in ours:
        overlaps = [iou(np.array(box[:4]), other) for other in left]
        if overlaps and max(overlaps) >= IOU_MATCH:
            left.pop(int(np.argmax(overlaps)))
            count += 1
    return count


def iou(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Overlap of two xyxy boxes."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.run", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--frames", type=int, default=60, help="frames a block")
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    options = parser.parse_args(arguments)
    need(MODEL, CLIP)
    for key, (python, _) in WORKERS.items():
        if not python.exists():
            sys.exit(f"bench: no environment for {key}; run: bash bench/peers/setup.sh")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        frames = Path(name) / "frames.npy"
        keep_frames(CLIP, KEPT_FRAMES, frames)
        workers = [stack.enter_context(started(key, frames, Path(name))) for key in WORKERS]
        found = {worker.key: worker.ask(f"boxes {KEPT_FRAMES}")["boxes"] for worker in workers}
        for turn in range(options.rounds):
            first = turn % len(workers)
            for worker in workers[first:] + workers[:first]:
                worker.block(options.frames)
    rows = [row(worker, workers[0], found) for worker in workers]
    report(rows, options)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


def row(worker: Worker, ours: Worker, found: dict[str, list[list[list[float]]]]) -> dict[str, Any]:
    """One line of the table."""
    blocks, reference = np.array(worker.blocks_s), np.array(ours.blocks_s)
    boxes, mine = found[worker.key], found[ours.key]
    return {
        "name": worker.about["ready"],
        "load_s": worker.about["load_s"],
        "block_ms": median_interval(blocks * 1e3),
        "p99_ms": float(np.percentile(worker.frames_s, 99) * 1e3),
        "cpu_ms": float(np.median(worker.cpu_s) * 1e3),
        "ratio": median_interval(blocks / reference),
        "boxes": sum(map(len, boxes)),
        "same": sum(matched(a, b) for a, b in zip(mine, boxes, strict=True)),
        "blocks_s": worker.blocks_s,
    }


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    print(f"picture in, boxes out, one thread: {MODEL.name}, {KEPT_FRAMES} frames of {CLIP.name}")
    print(f"  {machine()}")
    print(f"  {options.rounds} rounds of blocks of {options.frames} frames, in turns; median [95 % interval]")
    print(f"  {'':<44} {'ms a frame':>24} {'p99':>7} {'CPU':>7} {'times ours':>22} {'boxes':>6} {'as ours':>8}")
    for each in rows:
        block, low, high = each["block_ms"]
        ratio, least, most = each["ratio"]
        print(
            f"  {each['name']:<44} {f'{block:.3f} [{low:.3f}, {high:.3f}]':>24} {each['p99_ms']:>7.2f}"
            f" {each['cpu_ms']:>7.2f} {f'{ratio:.3f} [{least:.3f}, {most:.3f}]':>22} {each['boxes']:>6}"
            f" {each['same']:>8}"
        )
    print(f"  command: python -m bench.peers.run --rounds {options.rounds} --frames {options.frames}")


if __name__ == "__main__":
    main()
