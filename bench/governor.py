"""The thermal governor against letting the firmware throttle, on a simulated board: frames a second, latency, age.

python -m bench governor [--hours 1.5] [--lowest-share 0.7] [--tolerance 0.1] [--camera-fps 30] [--fixed-voltage]

Each case runs from a cold start; the last hour is what counts as sustained. The camera gives 30 frames a second and
the model keeps four cores busy as long as it runs: the worst case. It is a simulation, the same to the last digit each
time; the board is :mod:`bench.thermal_board`, and no board was seen.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agent.config import GovernorConfig
from agent.governor import Governor, limits_of
from agent.records import Heat, Pace
from bench.thermal_board import BODIES, Board, sensor

CAMERA_FPS = 30.0
SENSORS_S = 5.0
WINDOW_S = 10.0


@dataclass
class Run:
    """One run's frames and what the governor did.

    Attributes:
        ended_s, total_s, age_s: of each frame: when it was answered, what it took, how old it was then.
        throttled_s, hottest_celsius: over the last hour.
        changes_s: when the pace changed.
    """

    ended_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)
    age_s: list[float] = field(default_factory=list)
    throttled_s: float = 0.0
    hottest_celsius: float = 0.0
    changes_s: list[float] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)


def simulate(
    name: str,
    ambient_celsius: float,
    governor: Governor | None,
    hours: float,
    *,
    last_s: float = 3600.0,
    camera_fps: float = CAMERA_FPS,
    fixed_voltage: bool = False,
) -> Run:
    """A camera, a model, a board and, if any, its governor, frame by frame."""
    kind, body = BODIES[name]
    board = Board(kind, body, ambient_celsius, fixed_voltage=fixed_voltage)
    run, rng = Run(), random.Random(1)  # noqa: S311  # noise
    now_s, beat_s, frame, look_s, window_s, window = 0.0, 0.0, 0, SENSORS_S, WINDOW_S, 0
    fps: float | None = None
    camera_s = 1.0 / camera_fps
    end_s = hours * 3600.0
    while now_s < end_s:
        begun_s = now_s
        beat_s = max(beat_s + run.pace.interval_s, now_s - run.pace.interval_s)
        due_s = max(now_s, beat_s)
        newest = int(due_s / camera_s)
        if newest <= frame or due_s > now_s:  # it waits for the next one
            newest = max(newest, frame) + 1
            due_s = newest * camera_s
        _idle(board, due_s - now_s)
        frame = newest
        total_s = kind.frame_s * kind.full_hz / board.clock_hz
        board.step(total_s, 1.0)
        now_s = due_s + total_s
        window += 1
        run.ended_s.append(now_s)
        run.total_s.append(total_s)
        run.age_s.append(now_s - newest * camera_s)
        if now_s > end_s - last_s:
            run.throttled_s += (now_s - begun_s) * board.is_throttled
            run.hottest_celsius = max(run.hottest_celsius, board.die_celsius)
        if now_s >= window_s:
            fps, window, window_s = window / WINDOW_S, 0, window_s + WINDOW_S
        if governor is not None and now_s >= look_s:
            look_s += SENSORS_S
            soc = sensor(board.die_celsius, rng)
            pace = governor.look(Heat(now_s, soc, None, board.is_throttled, fps, total_s))
            if pace.interval_s != run.pace.interval_s:
                run.changes_s.append(now_s)
            run.pace = pace
    return run


def _idle(board: Board, span_s: float) -> None:
    while span_s > 0.0:
        board.step(min(span_s, 0.5), 0.0)
        span_s -= 0.5


@dataclass(frozen=True)
class Figures:
    """What is sustained, over the last hour."""

    fps: float
    total_p99_s: float
    age_p99_s: float
    throttled: float
    hottest_celsius: float
    changes: int


def figures(run: Run, last_s: float = 3600.0) -> Figures:
    """The last hour of a run."""
    since_s = run.ended_s[-1] - last_s
    late = np.array(run.ended_s) > since_s
    return Figures(
        fps=float(late.sum()) / last_s,
        total_p99_s=float(np.quantile(np.array(run.total_s)[late], 0.99)),
        age_p99_s=float(np.quantile(np.array(run.age_s)[late], 0.99)),
        throttled=run.throttled_s / last_s,
        hottest_celsius=run.hottest_celsius,
        changes=sum(at_s > since_s for at_s in run.changes_s),
    )


def compare(
    hours: float, config: GovernorConfig, camera_fps: float, *, fixed_voltage: bool = False
) -> Iterator[tuple[str, float, Figures, Figures]]:
    """Every board and ambient temperature: let alone, and governed."""
    told: Any = {"camera_fps": camera_fps, "fixed_voltage": fixed_voltage}
    for name, (kind, _) in BODIES.items():
        for ambient in (25.0, 40.0):
            alone = figures(simulate(name, ambient, None, hours, **told))
            governor = Governor(config, limits_of(kind.name))
            yield name, ambient, alone, figures(simulate(name, ambient, governor, hours, **told))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench governor", description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.5, help="of each run; the last hour counts")
    parser.add_argument("--lowest-share", type=float, default=GovernorConfig().lowest_share)
    parser.add_argument("--tolerance", type=float, default=GovernorConfig().tolerance)
    parser.add_argument("--camera-fps", type=float, default=CAMERA_FPS)
    parser.add_argument("--fixed-voltage", action="store_true", help="the voltage stays when the clock falls")
    options = parser.parse_args(arguments)
    config = GovernorConfig(mode="act", lowest_share=options.lowest_share, tolerance=options.tolerance)
    print(f"governor: a simulation, no board was seen; alone -> governed; {options.camera_fps:g} frames a second come")
    print("  board              air        frames/s            total p99, ms    age p99, ms     throttled    changes/h")
    for name, ambient, alone, paced in compare(
        options.hours, config, options.camera_fps, fixed_voltage=options.fixed_voltage
    ):
        print(f"  {name:<18}{ambient:>4.0f}{_row(alone, paced)}")


def _row(alone: Figures, paced: Figures) -> str:
    return (
        f"{alone.fps:>9.2f} -> {paced.fps:<6.2f}{paced.fps / alone.fps - 1.0:>+7.1%}"
        f"{alone.total_p99_s * 1e3:>8.0f} -> {paced.total_p99_s * 1e3:<5.0f}"
        f"{alone.age_p99_s * 1e3:>7.0f} -> {paced.age_p99_s * 1e3:<5.0f}"
        f"{alone.throttled:>8.0%} -> {paced.throttled:<5.0%}{paced.changes:>6}"
    )


if __name__ == "__main__":
    main()
