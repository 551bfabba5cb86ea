"""The camera as the pipeline sees it, over sources that play a script."""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from agent.camera import Camera, check
from agent.camera.backoff import Backoff
from agent.camera.feed import MISS_PAUSE_S, Feed
from agent.camera.source import Grab, Source
from agent.camera.watch import Watch
from agent.config import CameraConfig
from agent.errors import AgentError, CameraError
from agent.records import CameraStatus, Frame, Pixels, Tensor
from tests.conftest import NewThreads
from tests.servers.mosquitto import wait_until

NOISE = np.random.default_rng(7)
Step = Grab | Callable[[], Grab]


class Scripted:
    """A source that gives what its script says and then is lost; a step that is callable is called."""

    is_still = False
    name = ""

    def __init__(self, steps: Iterator[Step], *, undecodable: frozenset[int] = frozenset()) -> None:
        self.corrupt_total = 0
        self.why_lost = "rtsp://u:***@cam/ch: unplugged"
        self.grabbed = 0
        self.closed = False
        self._steps = steps
        self._undecodable = undecodable

    def grab(self) -> Grab:
        step = next(self._steps, Grab.LOST)
        grab = step() if callable(step) else step
        self.grabbed += grab is Grab.PICTURE
        return grab

    def taken_s(self, now_s: float) -> float:
        return now_s

    def retrieve(self) -> Pixels | None:
        if self.grabbed in self._undecodable:
            self.corrupt_total += 1
            return None
        return NOISE.integers(0, 255, (48, 64, 3), np.uint8)

    def close(self) -> None:
        self.closed = True


def live(*sources: Source | CameraError, **more: object) -> Camera:
    """A live camera that opens these one after the other, and then no more."""
    queue = iter(sources)

    def opener() -> Source:
        source = next(queue, CameraError("cam: gone for good"))
        if isinstance(source, CameraError):
            raise source
        return source

    keywords = {name: more.pop(name) for name in ("prepare", "on_state") if name in more}
    timing = {"reconnect_min_s": 0.01, "reconnect_max_s": 0.02, **more}
    return Camera(CameraConfig(uri="rtsp://u:secret@cam/ch", **timing), opener=opener, **keywords)  # type: ignore[arg-type]


def steadily(count: int, pause_s: float = 0.005) -> Iterator[Step]:
    for _ in range(count):
        time.sleep(pause_s)
        yield Grab.PICTURE


def read_all(camera: Camera, until: Callable[[], bool] | None = None) -> list[Frame]:
    """Everything until something is so, else until the source is lost: silence alone may be a busy machine's."""
    is_over = until or (lambda: camera.status().state == "down")
    got: list[Frame] = []

    def is_read() -> bool:
        if (frame := camera.read(0.05)) is not None:
            got.append(frame)
            return False
        return camera.ended or is_over()

    assert wait_until(is_read, 60.0)
    return got


def test_frames_come_with_time_and_number() -> None:
    camera = live(Scripted(steadily(20)))
    begun_s = time.monotonic()
    camera.start()
    got = read_all(camera)
    camera.stop()
    assert [frame.sequence for frame in got] == sorted({frame.sequence for frame in got})
    assert all(begun_s <= frame.captured_s <= time.monotonic() for frame in got)
    assert all(frame.thumbnail.shape == (36, 64) for frame in got)
    status = camera.status()
    assert status.frames_total == 20
    assert status.frames_total == len(got) + status.dropped_total


def test_prepare_runs_on_the_cameras_thread_and_only_for_frames_that_are_offered() -> None:
    threads, prepared = set(), []

    def prepare(pixels: Pixels) -> Tensor:
        threads.add(threading.current_thread().name)
        time.sleep(0.002)
        prepared.append(pixels[0, 0, 0])
        return pixels[None]

    camera = live(Scripted(steadily(400, 0.001)), prepare=prepare)
    camera.start()
    got = []
    while camera.status().frames_total < 400:
        if (frame := camera.read(0.3)) is not None:
            got.append(frame)
            time.sleep(0.03)  # a reader far slower than the camera
    camera.stop()
    assert threads == {"camera"}
    assert all(frame.tensor is not None and frame.preprocess_s >= 0.002 for frame in got)
    assert len(prepared) < 0.5 * camera.status().frames_total


def test_a_lossless_source_decodes_ahead_and_is_never_stalled_by_its_reader() -> None:
    camera = Camera(
        CameraConfig(uri="clip", pace="fast", stall_s=0.05),
        opener=lambda: Scripted(iter([Grab.PICTURE] * 6 + [Grab.ENDED])),
        prepare=lambda pixels: pixels[None],
    )
    camera.start()
    got = []
    while (frame := camera.read(1.0)) is not None:
        got.append(frame.sequence)
        time.sleep(0.06)
        assert camera.status().state in ("streaming", "ended")
    assert got == [1, 2, 3, 4, 5, 6]
    assert camera.ended
    assert camera.status().state == "ended"


def test_states_are_told_once_on_the_readers_thread_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, str]] = []

    def on_state(status: CameraStatus) -> None:
        told.append((status.state, threading.current_thread().name))

    sources = (
        Scripted(steadily(10)),
        CameraError("cam: refused"),
        CameraError("cam: refused"),
        Scripted(steadily(240)),
    )
    camera = live(*sources, on_state=on_state)
    with caplog.at_level(logging.INFO, "agent.camera"):
        camera.start()
        read_all(camera, lambda: len(told) == 4)
        camera.stop()
    main = threading.current_thread().name
    assert told == [("streaming", main), ("down", main), ("streaming", main), ("down", main)]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert lines[0] == "camera rtsp://u:***@cam/ch: streaming"
    assert lines[1] == "camera rtsp://u:***@cam/ch: down: unplugged"
    assert re.match(r"camera rtsp://u:\*\*\*@cam/ch: streaming again after \d+ s of down", lines[2])
    assert camera.status().reconnects_total == 1
    assert all(source.closed for source in sources if isinstance(source, Scripted))


def test_a_stall_is_told_in_time_though_the_read_is_patient_and_the_source_hangs() -> None:
    release = threading.Event()

    def hang() -> Grab:
        release.wait(60.0)
        return Grab.LOST

    told: list[str] = []
    camera = live(Scripted(iter([Grab.PICTURE, hang])), stall_s=0.2, on_state=lambda status: told.append(status.state))
    camera.start()
    assert camera.read(30.0) is not None
    reader = threading.Thread(target=camera.read, args=(60.0,))
    reader.start()
    assert wait_until(lambda: told == ["streaming", "stalled"])
    assert reader.is_alive(), "not only when the reader's patience ends"
    assert camera.status().state == "stalled"
    assert not camera.stop(0.05), "the thread hangs and stop does not"
    release.set()
    assert camera.stop(30.0)
    reader.join(30.0)
    assert not reader.is_alive()


def test_stale_pictures_are_counted_and_not_shown() -> None:
    def stale() -> Grab:
        time.sleep(0.05)
        return Grab.STALE

    camera = live(Scripted(iter([Grab.PICTURE, stale, stale])))
    camera.start()
    got = read_all(camera)
    camera.stop()
    assert [frame.sequence for frame in got] == [1]
    status = camera.status()
    assert (status.frames_total, status.dropped_total) == (3, 2)


def test_one_miss_is_no_reconnect() -> None:
    def steps() -> Iterator[Step]:
        for number in range(12):
            time.sleep(0.002)
            yield Grab.MISS if number % 4 == 3 else Grab.PICTURE

    source = Scripted(steps())
    camera = live(source)
    camera.start()
    read_all(camera)
    camera.stop()
    assert camera.status().frames_total == 9
    assert camera.status().reconnects_total == 0


def test_a_failing_source_is_given_a_moment_before_it_is_asked_again() -> None:
    camera = live(Scripted(iter([Grab.MISS] * 9 + [Grab.PICTURE])))
    begun_s = time.monotonic()
    camera.start()
    assert camera.read(2.0) is not None
    assert time.monotonic() - begun_s >= 9 * MISS_PAUSE_S
    camera.stop()


def test_a_frame_that_cannot_be_decoded_is_corrupt_and_not_given() -> None:
    camera = Camera(
        CameraConfig(uri="clip", pace="fast"),
        opener=lambda: Scripted(iter([Grab.PICTURE] * 5 + [Grab.ENDED]), undecodable=frozenset({2, 5})),
    )
    camera.start()
    assert [frame.sequence for frame in read_all(camera)] == [1, 2, 3]
    assert camera.status().corrupt_total == 2


def test_a_dead_source_costs_no_processor_time() -> None:
    # An unplugged camera: opens, fails at once, for ever.
    opened = []

    def opener() -> Source:
        opened.append(1)
        return Scripted(iter([Grab.MISS] * 9))

    config = CameraConfig(uri="usb:0", reconnect_min_s=0.1, reconnect_max_s=0.2)
    camera = Camera(config, opener=opener)
    waits_s: list[float] = []

    class Pauses(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits_s.append(timeout or 0.0)
            return super().wait(timeout)

    camera._feed._stopping = Pauses()
    camera.start()
    assert wait_until(lambda: len(opened) >= 4 or camera.read(0.1) is not None)
    camera.stop()
    between = [wait_s for wait_s in waits_s if wait_s != MISS_PAUSE_S]
    assert waits_s.count(MISS_PAUSE_S) >= 3 * 9, "a pause after each miss"
    assert all(wait_s >= 0.05 for wait_s in between), "and a longer one before it is opened again"
    assert len(between) >= len(opened) - 1


class CountingBackoff(Backoff):
    """Waits for nothing and counts."""

    def __init__(self) -> None:
        super().__init__(1.0, 2.0, Random(1))  # noqa: S311 - jitter, no secret
        self.asked = 0
        self.resets = 0

    def next_s(self) -> float:
        self.asked += 1
        return 0.0

    def reset(self) -> None:
        self.resets += 1


@pytest.mark.parametrize(("lasts_s", "resets"), [(4.0, 0), (6.0, 3)])
def test_only_a_camera_that_was_steady_gets_a_fresh_backoff(lasts_s: float, resets: int) -> None:
    now = [0.0]

    def sessions() -> Iterator[Source]:
        def play() -> Iterator[Step]:
            for _ in range(10):
                now[0] += lasts_s / 10
                yield Grab.PICTURE
            now[0] += 60.0  # silence before the loss does not count

        for _ in range(3):
            yield Scripted(play())
        yield Scripted(iter([Grab.ENDED]))

    backoff = CountingBackoff()
    queue = sessions()
    feed = Feed(
        lambda: next(queue),
        shown="cam",
        watch=Watch(begin_s=0.0, stall_s=5.0, frozen_s=0.0, black_s=0.0),
        backoff=backoff,
        black_luma=16.0,
        is_lossless=False,
        prepare=None,
        clock=lambda: now[0],
    )
    feed.run(None)
    assert (backoff.asked, backoff.resets) == (3, resets)
    assert feed.reconnects_total == 2
    assert feed.slot.produced_total == 30


def test_the_delay_grows() -> None:
    waits_s: list[float] = []

    class Hurried(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits_s.append(timeout or 0.0)
            if len(waits_s) == 7:
                self.set()
            return self.is_set()

    def opener() -> Source:
        raise CameraError("refused")

    camera = Camera(CameraConfig(uri="usb:0", reconnect_min_s=0.02, reconnect_max_s=10.0), opener=opener)
    camera._feed._stopping = Hurried()
    camera.start()
    assert wait_until(lambda: camera.read(0.1) is None and camera.ended)
    assert len(waits_s) == 7
    assert all(after >= before for before, after in pairwise(waits_s)), "each step begins where the last one ends"
    assert waits_s[-1] > 8.0 * waits_s[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_on_the_cameras_thread_reaches_the_reader() -> None:
    def prepare(_: Pixels) -> Tensor:
        raise ZeroDivisionError("in prepare")

    source = Scripted(steadily(3))
    camera = live(source, prepare=prepare)
    camera.start()
    with pytest.raises(AgentError, match="died of ZeroDivisionError"):
        read_all(camera)
    assert source.closed
    assert camera.stop()


def test_stopping_ends_the_thread_in_every_situation(
    new_threads: NewThreads,
) -> None:
    def waiting_for_the_reader() -> Camera:
        return Camera(CameraConfig(uri="x", pace="fast"), opener=lambda: Scripted(steadily(100)))

    def backing_off() -> Camera:
        return live(reconnect_min_s=60.0, reconnect_max_s=60.0)

    def streaming() -> Camera:
        return live(Scripted(steadily(10_000, 0.001)))

    for make in (waiting_for_the_reader, backing_off, streaming):
        camera = make()
        camera.start()
        camera.read(0.05)
        assert camera.stop(30.0), make.__name__
        assert camera.read(0.0) is None or camera.read(0.0) is None
        assert camera.ended
        assert not new_threads("camera")


def test_stopping_before_the_start_is_nothing() -> None:
    assert live().stop()


def test_check_gives_size_and_time_and_closes() -> None:
    source = Scripted(iter([Grab.MISS, Grab.PICTURE]))
    width, height, seconds = check(CameraConfig(uri="usb:0"), opener=lambda: source)
    assert (width, height) == (64, 48)
    assert 0.0 <= seconds < 30.0
    assert source.closed


@pytest.mark.parametrize(
    ("steps", "says"), [([], ": unplugged"), ([Grab.MISS] * 50, "gives no picture that can be decoded")]
)
def test_check_says_why_there_is_no_picture(steps: list[Step], says: str) -> None:
    source = Scripted(iter(steps))
    with pytest.raises(CameraError, match=says):
        check(CameraConfig(uri="usb:0"), opener=lambda: source)
    assert source.closed


def test_a_wrong_address_is_refused_before_anything_starts() -> None:
    with pytest.raises(CameraError, match="did you mean usb:0"):
        Camera(CameraConfig(uri="0"))
