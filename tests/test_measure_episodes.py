"""How often, how long and why the board was held back."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st

from agent.measure import Episodes, limit
from agent.records import BoardReading, Episode, EpisodeTotal, ProcessReading, ThermalReading


def at(now_s: float, word: int | None, celsius: float | None = None, alarm: bool | None = None) -> BoardReading:
    heat = ThermalReading(soc_celsius=celsius, throttle_bits=word, under_voltage=alarm)
    return BoardReading(now_s, ProcessReading(), heat)


def feed(episodes: Episodes, *readings: BoardReading) -> list[Episode]:
    return [episode for reading in readings for episode in episodes.take(reading)]


def test_an_episode_has_a_start_an_end_a_cause_and_a_peak() -> None:
    episodes = Episodes(end_after_s=30.0)
    ended = feed(episodes, at(0, 0, 70.0), at(5, 0x4, 80.5), at(10, 0x4, 84.0), at(15, 0, 79.0), at(40, 0, 60.0))
    assert ended == []
    assert episodes.active == {"throttled": 5.0}
    assert feed(episodes, at(45, 0, 90.0)) == [Episode("throttled", 5.0, 10.0, 84.0)]
    assert (episodes.active, episodes.totals()) == ({}, {"throttled": EpisodeTotal(1, 10.0)})


def test_one_that_comes_and_goes_is_one() -> None:
    episodes = Episodes(end_after_s=30.0)
    words = [0, 4, 0, 4, 0, 0, 4, 0]
    assert feed(episodes, *(at(5.0 * i, word) for i, word in enumerate(words))) == []
    assert feed(episodes, at(300, 0)) == [Episode("throttled", 5.0, 30.0)]


def test_causes_are_counted_side_by_side() -> None:
    episodes = Episodes(end_after_s=0.0)
    ended = feed(episodes, at(0, 0xB), at(10, 0x8), at(20, 0))
    assert {(e.cause, e.duration_s) for e in ended} == {
        ("under-voltage", 10.0),
        ("frequency-cap", 10.0),
        ("soft-limit", 20.0),
    }


def test_the_kernel_s_alarm_alone_tells_of_under_voltage() -> None:
    episodes = Episodes(end_after_s=0.0)
    assert feed(episodes, at(0, None, alarm=True), at(10, None, alarm=False)) == [Episode("under-voltage", 0.0, 10.0)]


def test_the_firmware_s_memory_tells_of_what_lay_between_two_readings() -> None:
    episodes = Episodes(end_after_s=30.0)
    # at the first reading it may be of last week; it stays set where no driver clears it; then it is cleared, and set
    ended = feed(episodes, at(0, 0x10000), at(5, 0x10000), at(10, 0), at(15, 0x50000), at(20, 0x50000), at(60, 0))
    assert sorted(ended, key=lambda e: e.cause) == [
        Episode("throttled", 15.0, 0.0),
        Episode("under-voltage", 15.0, 0.0),
    ]


def test_a_sensor_that_vanishes_ends_the_episode_where_it_was_last_seen() -> None:
    episodes = Episodes(end_after_s=30.0)
    ended = feed(episodes, at(0, 4), at(10, 4), at(15, None), at(30, None), at(45, None))
    assert ended == [Episode("throttled", 0.0, 10.0)]


def test_a_board_without_the_word_has_no_episodes() -> None:
    episodes = Episodes()
    assert feed(episodes, *(at(i, None) for i in range(100))) == []
    assert episodes.totals() == {}


WORDS = st.one_of(
    st.none(), st.integers(0, 15), st.builds(lambda a, b: a | b << 16, st.integers(0, 15), st.integers(0, 15))
)


@given(st.lists(st.tuples(st.floats(-5.0, 60.0), WORDS), max_size=60))
def test_totals_are_the_episodes_and_fit_into_the_time(steps: list[tuple[float, int | None]]) -> None:
    episodes, now_s, first_s, last_s, ended = Episodes(20.0), 0.0, 0.0, 0.0, []
    for step_s, word in steps:
        now_s += step_s
        first_s, last_s = min(first_s, now_s), max(last_s, now_s)
        ended += episodes.take(at(now_s, word))
    ended += feed(episodes, at(last_s + 1000.0, 0), at(last_s + 2000.0, 0))
    assert episodes.active == {}
    for cause, total in episodes.totals().items():
        mine = [episode for episode in ended if episode.cause == cause]
        assert total.count == len(mine)
        assert abs(total.seconds - sum(e.duration_s for e in mine)) < 1e-6
        assert all(e.duration_s >= 0.0 for e in mine)


def test_the_worked_examples_of_limits() -> None:
    assert doctest.testmod(limit).failed == 0


@given(st.lists(st.floats(0.0, 10.0), max_size=50))
def test_a_limit_of_nought_is_none(values: list[float]) -> None:
    one = limit.Limit(0.0)
    assert not any(one.take(value) for value in values)
