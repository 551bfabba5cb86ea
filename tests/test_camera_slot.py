"""The slot of one frame: nothing is lost without being counted, nothing is delivered out of order."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.slot import Slot
from agent.records import Frame

PIXELS = np.zeros((2, 2, 3), np.uint8)


def frame(sequence: int) -> Frame:
    return Frame(PIXELS, captured_s=float(sequence), sequence=sequence, thumbnail=PIXELS)


def lawful(slot: Slot) -> bool:
    return slot.produced_total == slot.delivered_total + slot.dropped_total + slot.full


@given(st.lists(st.sampled_from(["put", "skip", "take"]), max_size=60))
def test_laws_of_the_newest_wins(steps: list[str]) -> None:
    slot, newest, delivered = Slot(), 0, 0
    for step in steps:
        if step == "put":
            newest = slot.produced_total + 1
            slot.put(frame(newest))
        elif step == "skip":
            slot.skip()
            assert not slot.full, "an older frame than the one passed over"
        elif (got := slot.take(0.0)) is not None:
            assert got.sequence == newest, "not the newest"
            assert got.sequence > delivered, "older than what was delivered before"
            delivered = got.sequence
        assert lawful(slot)


def test_a_replaced_frame_is_a_dropped_one() -> None:
    slot = Slot()
    for number in (1, 2, 3):
        slot.put(frame(number))
    assert (slot.produced_total, slot.dropped_total, slot.full) == (3, 2, True)
    got = slot.take(0.0)
    assert got is not None
    assert got.sequence == 3
    assert slot.take(0.0) is None


def test_lossless_gives_every_frame_in_order() -> None:
    slot, total = Slot(), 500

    def produce() -> None:
        for number in range(1, total + 1):
            assert slot.put_next(frame(number))
        slot.close()

    thread = threading.Thread(target=produce)
    thread.start()
    got = []
    while (taken := slot.take(5.0)) is not None:
        got.append(taken.sequence)
    thread.join(5.0)
    assert got == list(range(1, total + 1))
    assert slot.dropped_total == 0
    assert lawful(slot)


def test_newest_wins_across_threads() -> None:
    slot, total = Slot(), 2000

    def produce() -> None:
        for number in range(1, total + 1):
            slot.put(frame(number))
        slot.close()

    thread = threading.Thread(target=produce)
    thread.start()
    got = []
    while (taken := slot.take(5.0)) is not None:
        got.append(taken.sequence)
    thread.join(5.0)
    assert got == sorted(set(got))
    assert got[-1] == total, "the newest frame is never lost"
    assert slot.delivered_total == len(got)
    assert lawful(slot)


def test_closing_frees_a_waiting_reader_and_a_waiting_producer() -> None:
    empty, full = Slot(), Slot()
    full.put(frame(1))
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(empty.take(60.0))),
        threading.Thread(target=lambda: results.append(full.put_next(frame(2)))),
    ]
    for thread in threads:
        thread.start()
    empty.close()
    full.close()
    for thread in threads:
        thread.join(5.0)
        assert not thread.is_alive()
    assert sorted(map(str, results)) == ["False", "None"]
    last = full.take(0.0)
    assert last is not None, "what was in the slot can still be taken"
    assert last.sequence == 1
    assert lawful(full)
