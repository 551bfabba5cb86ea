"""Whether memory grows: planted leaks are found, caches and steps are none. Seeds are fixed; each run is a day."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agent.measure import Growth
from agent.measure.growth import BLOCKS, MOST_IN_BLOCK, slope_interval

MIB = float(2**20)
LIMIT = 2 * MIB
Shape = Callable[[random.Random], Callable[[float], float]]


def noise(rng: random.Random) -> Callable[[float], float]:
    return lambda _: rng.gauss(0.0, MIB)


def wandering(rng: random.Random) -> Callable[[float], float]:
    """Noise that remembers: 0.98 of a minute ago."""
    state = [0.0]

    def value(_: float) -> float:
        state[0] = 0.98 * state[0] + rng.gauss(0.0, 0.3 * MIB)
        return state[0]

    return value


def saw_tooth(period_s: float) -> Shape:
    """A cache that fills to 20 MiB and is emptied."""

    def shape(rng: random.Random) -> Callable[[float], float]:
        phase_s = rng.random() * period_s
        return lambda now_s: (now_s + phase_s) % period_s / period_s * 20 * MIB + rng.gauss(0.0, 0.2 * MIB)

    return shape


def step(rng: random.Random) -> Callable[[float], float]:
    """A model loaded, once, at any time."""
    at_s = rng.uniform(0.0, 20 * 3600.0)
    return lambda now_s: (40 * MIB if now_s > at_s else 0.0) + rng.gauss(0.0, 0.2 * MIB)


def slow_start(rng: random.Random) -> Callable[[float], float]:
    return lambda now_s: 40 * MIB * (1.0 - math.exp(-now_s / 1800.0)) + rng.gauss(0.0, 0.2 * MIB)


SHAPES: dict[str, Shape] = {
    "noise": noise,
    "wandering": wandering,
    "a cache of 20 minutes": saw_tooth(1200.0),
    "a cache of an hour": saw_tooth(3600.0),
    "a cache of two hours": saw_tooth(7200.0),
    "a step": step,
    "a slow start": slow_start,
}


LATEST_HOURS = {"wandering": 18.0, "a cache of two hours": 9.0, "a step": 9.0, "a slow start": 9.0}
"""What looks like a slope by chance makes a real one late."""


def first_alarm_hours(shape: Shape, seed: int, leak_bytes_hour: float, hours: float = 24.0) -> float | None:
    rng = random.Random(seed)  # noqa: S311  # noise
    extra, growth = shape(rng), Growth(0.0, LIMIT, 3600.0)
    for minute in range(int(hours * 60)):
        now_s = 60.0 * minute
        if growth.take(now_s, 120 * MIB + leak_bytes_hour * now_s / 3600.0 + extra(now_s)):
            return now_s / 3600.0
    return None


@pytest.mark.parametrize("shape", SHAPES)
def test_a_day_without_a_leak_is_a_day_without_an_alarm(shape: str) -> None:
    assert [first_alarm_hours(SHAPES[shape], seed, 0.0) for seed in (1,)] == [None]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_leak_of_6_mib_an_hour_is_found(shape: str) -> None:
    found = first_alarm_hours(SHAPES[shape], 1, 6 * MIB)
    assert found is not None
    assert 3.0 <= found <= LATEST_HOURS.get(shape, 6.0)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_thirty_days_and_thirty_leaks(shape: str) -> None:
    false = [first_alarm_hours(SHAPES[shape], seed, 0.0) for seed in range(30)]
    found = [first_alarm_hours(SHAPES[shape], seed, 6 * MIB) for seed in range(30)]
    print(f"{shape}: {sum(each is not None for each in false)} false alarms in 30 days")  # noqa: T201
    assert sum(each is not None for each in false) == 0
    print(f"{shape}: found after {sorted(each or 99.0 for each in found)} hours")  # noqa: T201
    assert all(each is not None and each <= LATEST_HOURS.get(shape, 6.0) for each in found), found


@pytest.mark.parametrize(("alike", "least"), [(0.0, 0.93), (0.5, 0.91), (0.8, 0.88)])
def test_the_interval_holds_the_true_slope(alike: float, least: float) -> None:
    """Of 95 %: 300 windows of noise that remembers, upon a slope."""
    rng, held = np.random.default_rng(7), 0
    for _ in range(300):
        fresh, rest = rng.normal(size=BLOCKS + 50), np.zeros(BLOCKS + 50)
        for i in range(1, len(rest)):
            rest[i] = alike * rest[i - 1] + fresh[i]
        times = np.arange(BLOCKS) * 300.0
        _, low, high = slope_interval(np.column_stack([times, 0.01 * times + rest[50:]]))
        held += low <= 0.01 <= high
    print(f"held in {held} of 300")  # noqa: T201
    assert least * 300 <= held <= 299


def test_a_leak_by_steps_is_one() -> None:
    growth = Growth(0.0, LIMIT, 3600.0)
    alarms = [growth.take(60.0 * i, 100 * MIB + 8 * MIB * (i // 60)) for i in range(12 * 60)]
    assert alarms[-1]


def test_the_alarm_ends_when_growth_does() -> None:
    growth = Growth(0.0, LIMIT, 3600.0)
    sizes = [100 * MIB + 10 * MIB * min(i, 480) / 60 for i in range(24 * 60)]
    alarms = [growth.take(60.0 * i, size) for i, size in enumerate(sizes)]
    assert any(alarms)
    assert not alarms[-1]
    assert growth.found is not None
    assert abs(growth.found.bytes_hour) < 0.01 * MIB


def test_it_waits_as_long_as_it_is_told() -> None:
    soon, late = Growth(0.0, LIMIT, 0.0), Growth(0.0, LIMIT, 7200.0)
    first = {}
    for minute in range(10 * 60):
        for name, growth in (("soon", soon), ("late", late)):
            if growth.take(60.0 * minute, 10 * MIB * minute / 60.0):
                first.setdefault(name, minute)
    assert first["late"] - first["soon"] == 120


def test_without_a_limit_it_tells_the_slope_and_never_alarms() -> None:
    growth = Growth(0.0, 0.0, 0.0)
    assert not any(growth.take(60.0 * i, 12 * MIB * i / 60.0) for i in range(6 * 60))
    assert growth.found is not None
    assert growth.found.bytes_hour == pytest.approx(12 * MIB, rel=0.01)
    assert growth.found.low_bytes_hour <= growth.found.bytes_hour <= growth.found.high_bytes_hour


def test_the_first_minutes_and_the_first_hours_say_nothing() -> None:
    growth = Growth(0.0, LIMIT, 0.0)
    for second in range(0, 600, 5):
        growth.take(float(second), 1e9 * second)
    assert growth.found is None
    for second in range(600, 7200, 5):
        growth.take(float(second), 1e6)
    assert growth.found is None
    assert len(growth._block) <= MOST_IN_BLOCK


def test_its_memory_is_bounded() -> None:
    growth = Growth(0.0, LIMIT, 0.0)
    for i in range(200_000):
        growth.take(0.5 * i, 1e6)
    assert len(growth._ring) == BLOCKS
    assert len(growth._block) <= MOST_IN_BLOCK


def test_a_clock_that_stands_still_or_goes_back_is_no_growth() -> None:
    growth = Growth(1e6, LIMIT, 0.0)
    for i in range(2000):
        assert not growth.take(1e6 + 700.0, 1e6 * i)
    assert growth.found is None
    for i in range(5 * 60):
        assert not growth.take(60.0 * i, 1e8)
    assert growth.found is not None
    assert growth.found.bytes_hour == 0.0


POINTS = arrays.arrays(np.float64, st.integers(3, 40), elements=st.floats(-1e9, 1e9))


@given(POINTS, st.floats(-1e6, 1e6), st.floats(1.0, 1e3))
def test_the_slope_lies_in_its_interval_and_moves_with_the_data(values: np.ndarray, tilt: float, spread: float) -> None:
    times = np.arange(len(values)) * spread
    slope, low, high = slope_interval(np.column_stack([times, values]))
    assert low <= slope <= high
    tilted, _, _ = slope_interval(np.column_stack([times, values + tilt * times]))
    assert tilted == pytest.approx(slope + tilt, rel=1e-6, abs=1e-3)
