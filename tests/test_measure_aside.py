"""A sensor that blocks holds nobody but itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from agent.measure.aside import Aside, BlockedError
from tests.conftest import NewThreads
from tests.servers.mosquitto import wait_until

Workers = Callable[[], int]


@pytest.fixture
def workers(new_threads: NewThreads) -> Workers:
    return lambda: len(new_threads("sensors"))


@pytest.fixture
def gate(workers: Workers) -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()
    assert wait_until(lambda: workers() == 0)


def test_what_answers_is_passed_on_and_no_thread_is_left(workers: Workers) -> None:
    aside = Aside()
    assert [aside.ask("a", lambda: 7), aside.ask("b", lambda: None)] == [7, None]
    assert workers() == 1
    aside.rest()
    assert wait_until(lambda: workers() == 0)
    assert aside.ask("a", lambda: 8) == 8
    aside.rest()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("no number")])
def test_a_fault_is_passed_on(error: Exception) -> None:
    def fail() -> None:
        raise error

    aside = Aside()
    with pytest.raises(type(error), match=str(error.args[-1])):
        aside.ask("a", fail)
    assert aside.ask("a", lambda: 1) == 1
    aside.rest()


def test_one_that_blocks_is_left_behind_and_the_others_go_on(gate: threading.Event, workers: Workers) -> None:
    aside = Aside(deadline_s=0.5)
    with pytest.raises(BlockedError, match=r"did not answer within 0\.5 s"):
        aside.ask("dead", gate.wait)
    assert aside.is_stuck("dead")
    for _ in range(5):
        assert aside.ask("well", lambda: 3) == 3
        with pytest.raises(BlockedError, match="blocks for"):
            aside.ask("dead", gate.wait)
        aside.rest()
    assert wait_until(lambda: workers() == 1), "one stuck thread, however often it was asked"


def test_two_that_block_are_two(gate: threading.Event, workers: Workers) -> None:
    aside = Aside(deadline_s=0.05)
    for name in ("one", "two", "one", "two"):
        with pytest.raises(BlockedError):
            aside.ask(name, gate.wait)
    aside.rest()
    assert wait_until(lambda: workers() == 2)


def test_a_late_answer_is_old_and_dropped(gate: threading.Event) -> None:
    aside = Aside(deadline_s=0.5)
    answers = iter(["old", "new"])

    def collect() -> str:
        answer = next(answers)
        gate.wait()
        return answer

    with pytest.raises(BlockedError):
        aside.ask("slow", collect)
    gate.set()
    assert wait_until(lambda: not aside.is_stuck("slow"))
    assert aside.ask("slow", collect) == "new"
    aside.rest()
