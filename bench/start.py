"""From the command to the first detection: ``edge-agent run`` as a new process, wall time to its first line of JSON.

python -m bench start [--runs 10]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from bench.common import CLIP, MODEL, machine, median_interval, need


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench start", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args(arguments)
    need(MODEL, CLIP)
    command = [sys.executable, "-m", "agent", "run", "--camera", str(CLIP), "--model", str(MODEL)]
    command += ["--pace", "fast", "--frames", "1", "--json"]
    once(command)
    middle, low, high = median_interval([once(command) for _ in range(options.runs)])
    print(f"start to first detection: {CLIP.name}, {MODEL.stem}; {machine()}")
    print(f"  {middle:.2f} s  [{low:.2f}, {high:.2f}], {options.runs} runs   target <= 1.5 s")
    print(f"  command: python -m bench start --runs {options.runs}")


def once(command: list[str]) -> float:
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        elapsed = time.perf_counter() - begin
        child.stdout.read()
    if b"invoke_s" not in line:
        sys.exit(f"bench: no result from {' '.join(command)}")
    return elapsed


if __name__ == "__main__":
    main()
