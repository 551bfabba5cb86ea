"""Time and trouble of sources, judged without any: pacing by timestamps, misses, back-off."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.backoff import Backoff
from agent.camera.pace import LATE_S, NOMINAL_S, Paced, Pacer
from agent.camera.source import MISS_LIMIT, Grab, Misses
from agent.records import Pixels

ANY_TIME = st.one_of(st.floats(-1e6, 1e6), st.just(0.0), st.just(math.nan), st.just(math.inf))


def test_uneven_timestamps_are_kept() -> None:
    pacer = Pacer(2.5)
    stamps = [0.0, 0.1, 0.25, 0.3, 2.3]
    assert [pacer.due_s(stamp, 100.0) for stamp in stamps] == pytest.approx([100.0 + stamp for stamp in stamps])


def test_zero_timestamps_play_at_the_nominal_rate() -> None:
    pacer = Pacer(2.5)
    assert [pacer.due_s(0.0, 7.0) for _ in range(4)] == pytest.approx([7.0 + number * NOMINAL_S for number in range(4)])


def test_a_cut_is_played_as_the_longest_gap_and_the_step_is_kept() -> None:
    pacer = Pacer(2.5)
    due_s = [pacer.due_s(stamp, 0.0) for stamp in (0.0, 0.1, 900.0, 900.0)]
    assert due_s == pytest.approx([0.0, 0.1, 2.6, 2.7])


def test_a_picture_that_came_late_is_as_old_as_it_is_late() -> None:
    now = [50.0]
    paced = Paced(Reel(), Pacer(2.5), lambda: now[0], lambda _: None)
    paced.grab()
    now[0] += 0.7  # due after 0.5
    paced.grab()
    assert paced.taken_s(now[0]) == 50.5


def test_a_wait_that_was_cut_short_gives_no_picture_from_the_future() -> None:
    paced = Paced(Reel(), Pacer(2.5), lambda: 50.0, lambda _: None)
    paced.grab()
    paced.grab()
    assert paced.taken_s(50.1) == 50.1


def test_going_back_to_the_beginning_is_one_usual_step() -> None:
    pacer = Pacer(2.5)
    due_s = [pacer.due_s(stamp, 0.0) for stamp in (0.0, 0.1, 0.2, 0.0, 0.1)]
    assert due_s == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_a_recording_that_cannot_keep_up_is_played_later() -> None:
    pacer = Pacer(2.5)
    pacer.due_s(0.0, 10.0)
    assert pacer.due_s(0.1, 10.0 + 0.1 + LATE_S) == pytest.approx(10.1), "a second late: still the due time"
    assert pacer.due_s(0.2, 20.0) == 20.0
    assert pacer.due_s(0.3, 20.0) == pytest.approx(20.1)


@given(stamps=st.lists(ANY_TIME, min_size=1, max_size=50), step_s=st.floats(0.0, 3.0))
def test_law_due_times_never_run_back_nor_far_ahead(stamps: list[float], step_s: float) -> None:
    pacer, now_s, before_s = Pacer(2.5), 0.0, 0.0
    for stamp in stamps:
        due_s = pacer.due_s(stamp, now_s)
        assert before_s <= due_s or due_s == now_s
        assert due_s >= before_s
        assert due_s <= max(before_s, now_s) + 2.5
        assert now_s - due_s <= LATE_S
        before_s = due_s
        now_s += step_s


class Reel:
    """A recording of three pictures."""

    is_still = False
    name = "reel"
    corrupt_total = 3
    why_lost = "gone"

    def __init__(self) -> None:
        self.stamps = [0.0, 0.5, 1.5]
        self.at = -1
        self.closed = False

    def grab(self) -> Grab:
        self.at += 1
        return Grab.PICTURE if self.at < len(self.stamps) else Grab.ENDED

    def media_s(self) -> float:
        return self.stamps[self.at]

    def taken_s(self, now_s: float) -> float:
        return now_s

    def retrieve(self) -> Pixels | None:
        return None

    def close(self) -> None:
        self.closed = True


def test_a_paced_recording_waits_for_each_picture_and_ends() -> None:
    now, waits = [50.0], []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    reel = Reel()
    paced = Paced(reel, Pacer(2.5), lambda: now[0], wait)
    taken = []
    while paced.grab() is Grab.PICTURE:
        taken.append(paced.taken_s(now[0]))
        now[0] += 0.1  # the work on each picture
    assert taken == pytest.approx([50.0, 50.5, 51.5])
    assert waits == pytest.approx([0.4, 0.9]), "the work is part of the pace"
    assert (paced.name, paced.corrupt_total, paced.why_lost) == ("reel", 3, "gone")
    paced.close()
    assert reel.closed


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - jitter, no secret


def judge(misses: Misses, *results: tuple[bool, float]) -> list[Grab]:
    return [misses.judge(ok, took_s) for ok, took_s in results]


def test_one_corrupt_picture_is_a_miss_and_is_counted() -> None:
    misses = Misses(3.0)
    assert judge(misses, (True, 0.03), (False, 0.03), (True, 0.03)) == [Grab.PICTURE, Grab.MISS, Grab.PICTURE]
    assert misses.corrupt_total == 1


def test_failures_without_end_are_a_loss_and_no_corrupt_pictures() -> None:
    misses = Misses(3.0)
    assert judge(misses, *[(False, 0.0)] * MISS_LIMIT) == [Grab.MISS] * (MISS_LIMIT - 1) + [Grab.LOST]
    assert misses.corrupt_total == 0


def test_a_failure_after_the_whole_deadline_is_a_loss_at_once() -> None:
    assert judge(Misses(3.0), (False, 3.01)) == [Grab.LOST]


def test_a_success_after_the_whole_deadline_is_stale() -> None:
    # As seen with a stopped RTSP server: two pictures from before, each after a full deadline, then the failure.
    misses = Misses(2.0)
    results = judge(misses, (True, 0.07), (True, 2.01), (True, 2.02), (False, 2.01))
    assert results == [Grab.PICTURE, Grab.STALE, Grab.STALE, Grab.LOST]


def test_stale_pictures_without_end_are_a_loss() -> None:
    assert judge(Misses(2.0), *[(True, 2.0)] * MISS_LIMIT)[-1] is Grab.LOST


def test_delays_double_up_to_the_limit_and_begin_anew_after_a_reset() -> None:
    delays = Backoff(0.5, 8.0, seeded(1))
    steps = [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    for step_s in steps:
        assert 0.5 * step_s <= delays.next_s() <= step_s
    delays.reset()
    assert delays.next_s() <= 0.5


def test_two_cameras_do_not_wait_the_same() -> None:
    first, second = Backoff(0.5, 30.0, seeded(1)), Backoff(0.5, 30.0, seeded(2))
    assert [first.next_s() for _ in range(5)] != [second.next_s() for _ in range(5)]


@given(st.floats(0.001, 100.0), st.floats(0.001, 100.0), st.integers())
def test_law_no_delay_is_zero_or_over_the_limit(min_s: float, max_s: float, seed: int) -> None:
    delays = Backoff(min_s, max_s, seeded(seed))
    for _ in range(20):
        assert 0.5 * min_s <= delays.next_s() <= max(min_s, max_s)
