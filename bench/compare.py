"""Whether ``edge-tools compare`` is calibrated on this machine: real runs, in turns.

Runs of ``edge-agent bench`` in processes of their own, three by three: two identical ones, and one that is slowed down
by a tenth (each query waits, busy, for a tenth of its own time), which is compared with the second; in the end one
beside a process that eats a core. Printed: in how many pairs the interval holds no change, how wide it is, in how many
the slow-down is found, what is said of the last, and how far identical runs really differ - which is what
``tools.compare`` states.

    python -m bench compare [--pairs 20] [--seconds 30] [--threads 1] [--keep FOLDER]

``--keep`` writes each result there; a run whose file is already there is read instead of made, so that a statistic
can be tried on runs that were made before.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agent import bench as benches
from bench.common import ROOT, machine
from tools.compare import BETWEEN_RUNS, BETWEEN_SHARE, METRICS, compare, judged, midmean, spread

SLOWER = 0.10
RUNS = (("one", 0.0), ("two", 0.0), ("slow", SLOWER))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench compare", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the results")
    options = parser.parse_args(arguments)
    print(f"compare: {machine()}; runs of {options.seconds:g} s on the demo bundle, {options.threads} thread(s)")
    runs = [[_kept(options, f"{at:02d}-{name}", slower) for name, slower in RUNS] for at in range(options.pairs)]
    same, slow = [(one, two) for one, two, _ in runs], [(two, three) for _, two, three in runs]
    with hog():
        beside = _kept(options, "hog")
    _report(same, slow, beside)
    words = f"--pairs {options.pairs} --seconds {options.seconds:g} --threads {options.threads}"
    print(f"  command: python -m bench compare {words}")


Pair = tuple[benches.Result, benches.Result]


def _report(same: list[Pair], slow: list[Pair], with_hog: benches.Result) -> None:
    many = len(same)
    valid = sum(result.valid for pair in same for result in pair) + sum(result.valid for _, result in slow)
    print(f"  {valid} of {3 * many} runs were valid")
    alike, planted = [compare(*pair) for pair in same], [compare(*pair) for pair in slow]
    for place, name in enumerate(METRICS):
        found = [each[place] for each in alike]
        holds = sum(each.low <= 1.0 <= each.high for each in found)
        width = np.median([each.high - each.low for each in found])
        narrow = sum(each.high - each.low <= 0.05 for each in found)
        seen = sum(each[place].word == "slower" for each in planted)
        wide = f"at most 5 % wide {narrow}/{many} (median {100 * width:.1f} %)"
        print(f"  {name:<16} holds no change {holds}/{many}, {wide}, a tenth slower found {seen}/{many}")
    for name, of in METRICS.items() if many > 1 else ():
        logs = [[np.log([of(window) for window in judged(result)]) for result in pair] for pair in same]
        apart = np.std([midmean(two) - midmean(one) for one, two in logs], ddof=1) / np.sqrt(2)
        windows = np.mean([spread(values) for pair in logs for values in pair])
        stated = max(BETWEEN_RUNS, BETWEEN_SHARE * windows)
        words = f"windows within one by {100 * windows:.1f} %; between runs {100 * stated:.1f} % are stated"
        print(f"  {name:<16} identical runs differ by {100 * apart:.1f} % (standard deviation), {words}")
    said = "; ".join(with_hog.invalid_because) or "nothing"
    print(f"  beside a process that eats a core: {'valid' if with_hog.valid else 'NOT VALID'}: {said}")


def _run(options: argparse.Namespace, slower: float = 0.0) -> benches.Result:
    program = "import sys; from bench.compare import child; child(*map(float, sys.argv[1:]))"
    words = [str(options.seconds), str(options.threads), str(slower)]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=True, cwd=ROOT)
    return benches.decode(done.stdout, "child")


def _kept(options: argparse.Namespace, name: str, slower: float = 0.0) -> benches.Result:
    if options.keep is None:
        return _run(options, slower)
    file = options.keep / f"{name}.json"
    if file.exists():
        return benches.decode(file.read_bytes(), str(file))
    result = _run(options, slower)
    options.keep.mkdir(parents=True, exist_ok=True)
    file.write_bytes(benches.encode(result))
    return result


@contextlib.contextmanager
def hog() -> Iterator[None]:
    """A process that eats a core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def child(seconds: float, threads: float, slower: float) -> None:
    """One run; ``slower``: so much longer, the share of its own time."""
    from agent import config as settings
    from agent.board import ready_model
    from agent.config import Config

    changes = {"model.bundle": "demo:", "camera.uri": "demo:", "runtime.num_threads": int(threads)}
    plan = benches.Plan(seconds=seconds, queries=100, window_s=max(0.25, min(1.0, seconds / 60)))

    def load(config: Config) -> Any:
        model = ready_model(config)
        plain, detector = model.detector._invoke, model.detector

        def slowed() -> None:
            begin = time.perf_counter()
            plain()
            # Preprocess and postprocess are a part of the query too: about a quarter of this model's.
            until = begin + (time.perf_counter() - begin) * (1.0 + slower * 1.3)
            while time.perf_counter() < until:
                pass

        if slower:
            detector._invoke = slowed
        return model

    result = benches.bench(settings.override(Config(), changes), plan, load)
    sys.stdout.buffer.write(benches.encode(result))


if __name__ == "__main__":
    main()
