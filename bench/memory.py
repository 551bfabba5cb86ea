"""Resident memory of the running agent: how much, what it is made of, and whether it grows.

python -m bench memory [--frames 600]
python -m bench growth [--minutes 10]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from bench.common import CLIP, MODEL, broker, machine, need

_STAGES = """
import sys
def rss():
    return int(open('/proc/self/statm').read().split()[1]) * 4096 / 2**20
print('the interpreter', rss())
import numpy; print('numpy', rss())
import cv2; print('opencv', rss())
from agent.infer import choose_backend; choose_backend(); print('the runtime', rss())
import agent.service, agent.console, agent.cli; print('the agent, MQTT and all else', rss())
from agent import board, config
c = config.override(config.Config(), {'model.path': sys.argv[1]})
m = board.ready_model(c); print('the model, loaded and warm', rss())
"""


def rss_mib(pid: int) -> float:
    """Resident memory of a process now, MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def agent_command(port: int | None, *extra: str) -> list[str]:
    command = [sys.executable, "-m", "agent", "run", "--camera", str(CLIP), "--model", str(MODEL), "--loop", *extra]
    if port:
        settings = Path(f"/tmp/edge-agent-bench-{port}.toml")  # noqa: S108
        settings.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n')
        command += ["--config", str(settings)]
    return command


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    need(MODEL, CLIP)
    print(f"memory: {CLIP.name}, {MODEL.stem}; {machine()}")
    before = 0.0
    staged = subprocess.run(
        [sys.executable, "-c", _STAGES, str(MODEL)], check=True, capture_output=True, text=True
    ).stdout
    for line in staged.splitlines():
        name, _, value = line.rpartition(" ")
        print(f"  {name:<30} {float(value) - before:+7.1f} MiB")
        before = float(value)
    with broker() as port:
        samples = watch(agent_command(port, "--pace", "fast", "--seconds", str(options.seconds)), options.seconds)
    peak = max(value for _, value in samples)
    print(f"  {'the clip, threads and queues':<30} {samples[-1][1] - before:+7.1f} MiB")
    print(f"  running agent: {samples[-1][1]:.1f} MiB at the end, {peak:.1f} MiB at most   target <= 130 MiB")
    print(f"  command: python -m bench memory --seconds {options.seconds:g}")


def growth(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench growth", description="slope of resident memory")
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args(arguments)
    need(MODEL, CLIP)
    seconds = options.minutes * 60
    with broker() as port:
        samples = watch(agent_command(port, "--pace", "fast", "--seconds", str(seconds)), seconds)
    settled = np.array([sample for sample in samples if sample[0] >= min(60.0, seconds / 5)])
    slope, low, high = slope_per_hour(settled)
    print(f"growth: {options.minutes:g} minutes of {CLIP.name} in a loop; {machine()}")
    first, last = settled[0, 1], settled[-1, 1]
    print(f"  {first:.1f} MiB to {last:.1f} MiB; slope {slope:+.2f} MiB an hour [{low:+.2f}, {high:+.2f}]")
    print(f"  command: python -m bench growth --minutes {options.minutes:g}")


def watch(command: list[str], seconds: float) -> list[tuple[float, float]]:
    """(time, resident MiB) once a second while the command runs."""
    samples = []
    begin = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while child.poll() is None and time.monotonic() - begin < seconds - 0.5:
            time.sleep(min(1.0, seconds / 20))
            samples.append((time.monotonic() - begin, rss_mib(child.pid)))
        if child.wait() != 0:
            sys.exit(f"bench: {' '.join(command)} ended with {child.returncode}")
    return samples


def slope_per_hour(samples: np.ndarray, *, blocks: int = 20, seed: int = 1) -> tuple[float, float, float]:
    """Theil-Sen slope in MiB an hour, with a 95 % interval over resampled blocks of consecutive samples."""
    pieces = np.array_split(samples, min(blocks, len(samples)))
    centres = np.array([piece.mean(axis=0) for piece in pieces])
    rng = np.random.default_rng(seed)
    slopes = []
    for _ in range(2000):
        picked = centres[rng.integers(0, len(centres), len(centres))]
        slopes.append(theil_sen(picked))
    low, high = np.nanpercentile(slopes, [2.5, 97.5])
    return theil_sen(centres) * 3600, float(low) * 3600, float(high) * 3600


def theil_sen(points: np.ndarray) -> float:
    """Median of the slopes of all pairs."""
    first, second = np.triu_indices(len(points), 1)
    span = points[second, 0] - points[first, 0]
    rise = points[second, 1] - points[first, 1]
    return float(np.median(rise[span != 0] / span[span != 0])) if (span != 0).any() else float("nan")


if __name__ == "__main__":
    main()
