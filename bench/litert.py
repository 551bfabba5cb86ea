"""Our bare invoke beside the runtime's own tool, ``litert-benchmark`` of the ai-edge-litert wheel, interleaved.

Each pair is a child process of ours and one of theirs, in turns of order; same file, same threads, as many runs, random
input of the same range (0 to 127 for uint8, as their ``fill_random_input`` has it). Theirs goes through
``CompiledModel``, ours through ``Interpreter``. The ratio is taken pair by pair.

    python -m bench litert [--pairs 12] [--runs 200] [--threads 1] [--model FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.common import MODEL, machine, median_interval, need

TOOL = Path(sys.executable).with_name("litert-benchmark")
WARMUP = 10


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench litert", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--runs", type=int, default=200, help="invokes a child")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path, default=MODEL)
    options = parser.parse_args(arguments)
    need(options.model, TOOL)
    ours, theirs = [], []
    for pair in range(options.pairs):
        for side in (0, 1) if pair % 2 else (1, 0):
            found = _ours(options) if side else _theirs(options)
            (ours if side else theirs).append(found)
    report(np.array(ours), np.array(theirs), options)


def report(ours: np.ndarray, theirs: np.ndarray, options: argparse.Namespace) -> None:
    print(f"bare invoke, ours against litert-benchmark: {options.model.name}, {options.threads} thread(s)")
    print(f"  {machine()}; {len(ours)} pairs of processes of {options.runs} runs")
    for name, column in (("median", 0), ("mean", 1)):
        middle, low, high = median_interval(ours[:, column] / theirs[:, column])
        both = f"ours {np.median(ours[:, column]):.3f} ms, theirs {np.median(theirs[:, column]):.3f} ms"
        print(f"  ratio of {name}s  {middle:.3f}  [{low:.3f}, {high:.3f}]   target 0.95 to 1.05   {both}")
    words = f"--pairs {options.pairs} --runs {options.runs} --threads {options.threads}"
    print(f"  command: python -m bench litert {words}")


def _theirs(options: argparse.Namespace) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        words = [f"--model={options.model}", f"--num_runs={options.runs}", f"--warmup_runs={WARMUP}"]
        words += [f"--num_threads={options.threads}", f"--result_json={out}"]
        subprocess.run([str(TOOL), *words], check=True, capture_output=True)
        latency = json.loads(out.read_text())["latency"]
    return float(latency["median_ms"]), float(latency["avg_ms"])


def _ours(options: argparse.Namespace) -> tuple[float, float]:
    request = [str(options.model), str(options.runs), str(options.threads)]
    program = "import sys; from bench.litert import child; child(*sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", program, *request], check=True, capture_output=True, text=True)
    median_ms, mean_ms = json.loads(done.stdout.splitlines()[-1])
    return median_ms, mean_ms


def child(name: str, runs: str, threads: str) -> None:
    """Our own interpreter, as ``agent.infer`` makes it; only ``invoke`` is timed."""
    from agent.config import RuntimeConfig
    from agent.infer import Detector, choose_backend
    from agent.model import describe

    path = Path(name)
    card = describe(path)
    detector = Detector(path, card, choose_backend("litert"), RuntimeConfig(num_threads=int(threads)))
    shape = tuple(max(1, size) for size in card.input.shape)
    rng = np.random.default_rng()
    low, high = (0, 128) if card.input.dtype == "uint8" else (-128, 128)
    is_float = card.input.dtype == "float32"
    tensor = rng.uniform(-1, 1, shape) if is_float else rng.integers(low, high, shape)
    detector.invoke(tensor.astype(card.input.dtype))
    times = []
    for number in range(WARMUP + int(runs)):
        begin = time.perf_counter()
        detector._invoke()
        if number >= WARMUP:
            times.append(1e3 * (time.perf_counter() - begin))
    print(json.dumps([float(np.median(times)), float(np.mean(times))]))
