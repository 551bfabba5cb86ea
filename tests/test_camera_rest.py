"""A camera that is asked for fewer frames: never more than that, each of them fresh, none queued."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from agent.camera import Camera
from agent.camera.demand import Demand
from agent.config import CameraConfig
from agent.records import Frame
from tests.publish_fakes import Clock
from tests.test_camera import Scripted, live, steadily


def test_a_paced_camera_gives_fresh_frames_and_no_more_than_that() -> None:
    camera = live(Scripted(steadily(30_000, 0.004)))
    camera.interval_s = 0.1
    camera.start()
    taken = []
    while len(taken) < 6 and (frame := camera.read(30.0)) is not None:
        taken.append((time.monotonic(), frame))
    camera.stop()
    assert len(taken) == 6
    span_s = taken[-1][0] - taken[0][0]
    assert span_s >= 4 * 0.1, "at most one a beat, but for the first, that may be late"
    for (before_s, _), (_, frame) in pairwise(taken[1:]):
        assert frame.captured_s > before_s, "what lay in the slot meanwhile is not given"
    status = camera.status()
    assert status.frames_total == len(taken) + status.dropped_total + camera._feed.slot.full


def test_frames_that_nobody_will_take_are_not_decoded() -> None:
    prepared = []
    camera = live(Scripted(steadily(160, 0.004)), prepare=lambda pixels: prepared.append(1) or pixels[None])
    camera.interval_s = 0.2
    camera.start()
    while camera.status().state != "down":
        camera.read(0.3)
    camera.stop()
    assert len(prepared) < 0.5 * camera.status().frames_total


class Nap:
    """Waiting moves the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def wait(self, timeout_s: float) -> None:
        self.clock.now_s += timeout_s


def test_what_lay_in_the_slot_during_the_rest_is_dropped() -> None:
    clock = Clock()
    camera = Camera(CameraConfig(uri="rtsp://cam/ch"), clock=clock, opener=lambda: Scripted(iter(())))
    camera._stopping = Nap(clock)  # type: ignore[assignment]
    camera.interval_s = 0.25
    slot, demand = camera._feed.slot, camera._feed.demand
    slot.put(frame(1))
    assert camera.read(0.0) is not None
    assert demand.not_before_s == clock.now_s + 0.25
    slot.put(frame(2))
    assert camera.read(0.125) is None, "it rests"
    assert slot.full
    assert camera.read(0.125) is None, "it is rested, and waits for a fresh one"
    assert not slot.full
    assert camera.dropped_total == 1
    slot.put(frame(3))
    last = camera.read(0.0)
    assert last is not None
    assert last.sequence == 3


def test_the_next_frame_is_foreseen_at_the_end_of_the_rest() -> None:
    demand = Demand()
    for number in range(1, 10):
        demand.wants(number / 100, number / 100)  # the camera's beat: 10 ms
    demand.asked(0.1)
    demand.taken(0.1)
    demand.asked(0.11)
    demand.taken(0.11)  # it comes back at once, as far as that goes
    demand.not_before_s = 0.3
    wanted = [number / 100 for number in range(12, 32) if demand.wants(number / 100, number / 100)]
    assert wanted[0] >= 0.28


def frame(number: int) -> Frame:
    pixels = np.zeros((48, 64, 3), np.uint8)
    return Frame(pixels, 0.0, number, np.zeros((36, 64), np.uint8))


def test_a_rest_is_no_longer_than_the_readers_patience() -> None:
    camera = live(Scripted(steadily(30_000, 0.004)))
    camera.interval_s = 60.0
    camera.start()
    first = camera.read(30.0)
    second = camera.read(0.0) or camera.read(0.02)
    assert first is not None
    begun_s = time.monotonic()
    assert camera.read(0.02) is None
    camera.interval_s = 0.0
    assert camera.read(30.0) is not None, "and is over when the pace is"
    assert time.monotonic() - begun_s < 50.0
    camera.stop()
    assert second is None or second.sequence > first.sequence


def test_every_frame_of_a_recording_is_given_at_any_pace(tmp_path: Path) -> None:
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((48, 64, 3), 40 * number + 20, np.uint8))
    camera = Camera(CameraConfig(uri=str(tmp_path), pace="fast"))
    camera.interval_s = 0.02
    camera.start()
    got = []
    while not camera.ended:
        frame = camera.read(1.0)
        if frame is not None:
            got.append(frame.sequence)
    camera.stop()
    assert got == [1, 2, 3, 4, 5]
