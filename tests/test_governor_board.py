"""The simulated board against the curves it was fitted to, and the governor on it."""

from __future__ import annotations

import doctest
from functools import cache

import pytest

from agent import governor, pacing
from agent.config import GovernorConfig
from agent.governor import Governor, limits_of
from bench import thermal_board
from bench.governor import Figures, figures, simulate
from bench.thermal_board import BODIES, Board

CURVES = {
    "Pi 4, bare": {20: 58.2, 60: 63.7, 120: 67.0, 180: 69.5, 280: 71.4},
    "Pi 4, heat sink": {20: 44.4, 60: 45.6, 120: 47.1, 180: 47.9, 280: 49.8},
    "Pi 3B+, heat sink": {20: 52.5, 60: 55.0, 120: 57.3, 180: 58.8},
}
"""Seconds of full load and degrees, means over 16 s of the stressberry files that bench.thermal_board names."""


@pytest.mark.parametrize("name", CURVES)
def test_the_model_goes_through_the_published_curve(name: str) -> None:
    kind, body = BODIES[name]
    board, now_s = Board(kind, body, 22.0), 0.0
    for at_s, celsius in CURVES[name].items():
        while now_s < at_s:
            board.step(0.5, 1.0)
            now_s += 0.5
        assert board.die_celsius == pytest.approx(celsius, abs=1.2), f"after {at_s} s"


def test_an_idle_board_stays_where_it_is_and_a_hot_one_cools_down() -> None:
    for kind, body in BODIES.values():
        board = Board(kind, body, 25.0)
        for _ in range(2000):
            board.step(0.5, 0.0)
        assert board.die_celsius == pytest.approx(25.0 + body.idle_rise_celsius, abs=0.01)


def test_the_firmware_takes_the_clock_down_and_gives_it_back() -> None:
    kind, body = BODIES["Pi 5, bare"]
    board = Board(kind, body, 40.0)
    for _ in range(4000):
        board.step(0.5, 1.0)
    assert board.clock_hz == kind.lowest_hz
    for _ in range(4000):
        board.step(0.5, 0.0)
    assert board.clock_hz == kind.full_hz


@cache
def governed(name: str, ambient: float, **changes: float) -> Figures:
    config = GovernorConfig(mode="act", **changes)  # type: ignore[arg-type]
    return figures(simulate(name, ambient, Governor(config, limits_of(BODIES[name][0].name)), 1.5))


@cache
def alone(name: str, ambient: float) -> Figures:
    return figures(simulate(name, ambient, None, 1.5))


@pytest.mark.parametrize(("name", "ambient"), [("Pi 4, bare", 40.0), ("Pi 5, heat sink", 40.0), ("Pi 5, bare", 25.0)])
def test_given_room_it_keeps_the_board_below_and_the_latency_flat(name: str, ambient: float) -> None:
    before, after = alone(name, ambient), governed(name, ambient, lowest_share=0.3, tolerance=0.0)
    assert before.throttled > 0.9
    assert after.throttled < 0.05
    full_s = BODIES[name][0].frame_s
    assert after.total_p99_s <= 1.05 * full_s < before.total_p99_s
    assert after.age_p99_s < 0.9 * before.age_p99_s
    assert after.changes <= 30, "it comes to rest"


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("ambient", [25.0, 40.0])
def test_by_default_no_latency_is_worse_and_the_price_has_a_bound(name: str, ambient: float) -> None:
    before, after = alone(name, ambient), governed(name, ambient)
    assert after.fps >= 0.8 * before.fps
    assert after.total_p99_s <= before.total_p99_s + 1e-6
    assert after.age_p99_s <= before.age_p99_s + 1e-3
    assert after.hottest_celsius <= before.hottest_celsius + 0.1
    assert after.changes <= 30, "no oscillation"


@pytest.mark.parametrize("name", ["Pi 4, bare", "Pi 4, heat sink", "Pi 5, heat sink", "Pi 3B+, heat sink"])
def test_a_board_that_is_not_throttled_by_heat_loses_nothing(name: str) -> None:
    before, after = alone(name, 25.0), governed(name, 25.0)
    assert after.fps == pytest.approx(before.fps)
    assert after.age_p99_s == pytest.approx(before.age_p99_s)
    assert after.changes == 0


@pytest.mark.parametrize("module", [governor, pacing, thermal_board])
def test_the_worked_examples_hold(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted
    assert not found.failed
