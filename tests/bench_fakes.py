"""A board, a clock and queries that a test makes up, for the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.bench.observe import Conditions, Observer
from agent.bench.plan import Plan
from agent.bench.result import Environment, ModelFacts, Source, Window
from agent.bench.run import Run, Told
from agent.bench.scenarios import Query
from agent.records import BoardInfo, BoardReading, ProcessReading, RuntimeInfo, ThermalReading

ENVIRONMENT = Environment(
    agent="0",
    board=BoardInfo("Raspberry Pi 4", "aarch64", 4, 2**30, "Debian", "6.1", "3.11"),
    runtime=RuntimeInfo("litert", "2.3.0", 1),
    model=ModelFacts(name="ssd", version="1", sha256="ab" * 32, size_bytes=1000, input="uint8 300x300x3"),
    source=Source(uri="clip.mp4", frames=64, width=640, height=480),
    settings={"model": {}, "runtime": {}},
    config_sha256="0" * 12,
)


class Time:
    """Monotonic seconds that pass only when something is done."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Queries:
    """A scenario of made-up latencies, which takes as long as it says."""

    def __init__(self, clock: Time, latencies: Callable[[float], float | None], most: int | None = None) -> None:
        self.clock, self._latency, self._most = clock, latencies, most
        self.count = 0

    def step(self) -> Query | None:
        self.count += 1
        latency_s = self._latency(self.clock.now_s - 1000.0)
        if latency_s is None:
            self.clock.now_s += 0.25
            return None
        self.clock.now_s += latency_s
        return Query(latency_s, 0.1 * latency_s, 0.8 * latency_s, 0.1 * latency_s)

    def dropped_total(self) -> int | None:
        return None

    def has_ended(self) -> bool:
        return self._most is not None and self.count >= self._most

    def close(self) -> None:
        pass


class Board(Observer):
    """An observer of a made-up board."""

    def __init__(self, clock: Time, seen: Callable[[float], Conditions]) -> None:
        self.board_clock, self._seen = clock, seen

    def begin(self) -> None:
        pass

    def end(self) -> Conditions:
        return self._seen(self.board_clock.now_s - 1000.0)

    def close(self) -> None:
        pass


def conditions(
    celsius: float | None = 50.0, *, bits: int | None = 0, hertz: float | None = 1.5e9, **more: Any
) -> Conditions:
    thermal = ThermalReading(
        soc_celsius=celsius,
        frequency_hz=hertz,
        throttle_bits=bits,
        under_voltage=None if bits is None else bool(bits & 1),
        throttled=None if bits is None else bool(bits & 0xE),
    )
    reading = BoardReading(0.0, ProcessReading(rss_bytes=10**8), thermal)
    return Conditions(reading, **({"others_cores": 0.0, "waited_share": 0.0, "stolen_share": 0.0} | more))


def make_run(
    plan: Plan,
    latencies: Callable[[float], float | None],
    seen: Callable[[float], Conditions] = lambda _: conditions(),
    *,
    told: Told | None = None,
    most: int | None = None,
) -> Run:
    clock = Time()
    scenario = Queries(clock, latencies, most)
    return Run(
        plan, scenario, Board(clock, seen), ENVIRONMENT, created="2026-11-21T00:00:00+00:00", told=told, clock=clock
    )


def window(number: int = 0, p50_s: float = 0.1, *, celsius: float | None = 50.0, **more: object) -> Window:
    """The tenth-of-a-minute window ``number``."""
    base = {
        "started_s": 10.0 * number,
        "duration_s": 10.0,
        "queries": 100,
        "samples_per_s": 1 / p50_s,
        "p50_s": p50_s,
        "p90_s": 1.1 * p50_s,
        "p99_s": 1.3 * p50_s,
        "max_s": 1.5 * p50_s,
        "soc_celsius": celsius,
    }
    return Window(**(base | more))  # type: ignore[arg-type]


def tree(root: Path, files: dict[str, str]) -> Path:
    """A little /proc and /sys."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def numbers(*values: float) -> Iterator[float]:
    yield from values
