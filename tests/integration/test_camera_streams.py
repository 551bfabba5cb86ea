"""Network cameras for real: HTTP MJPEG and RTSP servers that stall, die, lie and come back."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.camera import Camera, check
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import CameraStatus, Frame
from tests.servers.mjpeg import MjpegServer, read_number
from tests.servers.rtsp import RtspServer, available

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mjpeg() -> Iterator[MjpegServer]:
    with MjpegServer() as server:
        yield server


@pytest.fixture(scope="session")
def gstreamer() -> None:
    reason = available()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def rtsp(gstreamer: None) -> Iterator[RtspServer]:
    with RtspServer() as server:
        yield server


@pytest.fixture
def private_rtsp(gstreamer: None) -> Iterator[RtspServer]:
    with RtspServer(private=True) as server:
        yield server


class Viewer:
    """A camera that is read all the time, with a diary of its states."""

    def __init__(self, uri: str, **more: float) -> None:
        timing: dict[str, float] = {
            "open_timeout_s": 3.0,
            "read_timeout_s": 1.0,
            "stall_s": 0.6,
            "reconnect_min_s": 0.1,
            "reconnect_max_s": 0.4,
        }
        self.states: list[str] = []
        self.reasons: list[str] = []
        self.frames: list[Frame] = []
        self.camera = Camera(CameraConfig(uri=uri, **(timing | more)), on_state=self._note)  # type: ignore[arg-type]

    def _note(self, status: CameraStatus) -> None:
        self.states.append(status.state)
        self.reasons.append(status.reason)

    def __enter__(self) -> "Viewer":
        self.camera.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.camera.stop(5.0), "the camera's thread does not end"

    def watch(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s and not until():
            frame = self.camera.read(0.1)
            if frame is not None:
                self.frames.append(frame)
        return until()

    def sees(self, state: str, seconds: float) -> bool:
        return self.watch(seconds, lambda: self.camera.status().state == state and self.states[-1:] == [state])


# HTTP MJPEG


def test_mjpeg_the_newest_picture_wins_over_a_slow_reader(mjpeg: MjpegServer) -> None:
    with Viewer(mjpeg.url()) as viewer:
        assert viewer.sees("streaming", 5.0)
        behind = []
        for _ in range(6):
            time.sleep(0.2)
            frame = viewer.camera.read(1.0)
            assert frame is not None
            behind.append(mjpeg.number - read_number(frame.pixels))
            assert time.monotonic() - frame.captured_s < 0.1
        assert max(behind) <= 3, "pictures pile up somewhere"
        status = viewer.camera.status()
        assert status.dropped_total > 10
        assert (status.corrupt_total, status.reconnects_total) == (0, 0)


def test_mjpeg_a_short_stall_is_a_state_and_no_reconnect(mjpeg: MjpegServer) -> None:
    with Viewer(mjpeg.url(), read_timeout_s=3.0) as viewer:
        assert viewer.sees("streaming", 5.0)
        mjpeg.mode = "stall"
        begun_s = time.monotonic()
        assert viewer.sees("stalled", 3.0)
        assert 0.4 < time.monotonic() - begun_s < 1.2
        mjpeg.mode = "ok"
        assert viewer.sees("streaming", 3.0)
        assert viewer.states == ["streaming", "stalled", "streaming"]
        assert (mjpeg.connections, viewer.camera.status().reconnects_total) == (1, 0)


def test_mjpeg_a_long_stall_ends_at_the_read_deadline_and_is_opened_again(mjpeg: MjpegServer) -> None:
    with Viewer(mjpeg.url(), stall_s=5.0) as viewer:
        assert viewer.sees("streaming", 5.0)
        mjpeg.mode = "stall"
        begun_s = time.monotonic()
        assert viewer.sees("down", 3.0)
        assert 0.8 < time.monotonic() - begun_s < 2.0, "not OpenCV's own 30 s"
        assert viewer.reasons[-1] == "no picture within 1 s"
        mjpeg.mode = "ok"
        assert viewer.sees("streaming", 8.0)
        assert viewer.states == ["streaming", "down", "streaming"]
        assert viewer.camera.status().reconnects_total == 1


def test_mjpeg_a_cut_is_down_until_pictures_have_come_for_a_while(mjpeg: MjpegServer) -> None:
    with Viewer(mjpeg.url(), stall_s=5.0) as viewer:
        assert viewer.sees("streaming", 5.0)
        mjpeg.mode = "one"  # comes back for one picture each time
        assert viewer.sees("down", 3.0)
        viewer.watch(2.5)
        assert mjpeg.connections > 2
        mjpeg.mode = "ok"
        assert viewer.sees("streaming", 5.0)
        assert viewer.states == ["streaming", "down", "streaming"], "one fault, told once"
        assert viewer.camera.status().corrupt_total == 0


def test_mjpeg_corrupt_pictures_are_counted_and_are_no_loss(mjpeg: MjpegServer) -> None:
    mjpeg.mode = "corrupt"
    with Viewer(mjpeg.url()) as viewer:
        assert viewer.watch(5.0, lambda: viewer.camera.status().corrupt_total >= 3)
        assert viewer.states == ["streaming"]
        assert mjpeg.connections == 1
        assert all(read_number(frame.pixels) % 10 for frame in viewer.frames)


def test_mjpeg_a_frozen_and_a_black_picture(mjpeg: MjpegServer) -> None:
    with Viewer(mjpeg.url(), frozen_s=0.8, black_s=0.5) as viewer:
        assert viewer.sees("streaming", 5.0)
        mjpeg.mode = "frozen"
        assert viewer.sees("frozen", 3.0)
        mjpeg.mode = "black"
        assert viewer.sees("black", 3.0)
        mjpeg.mode = "ok"
        assert viewer.sees("streaming", 4.0)
        assert viewer.states[:3] == ["streaming", "frozen", "black"]
        assert viewer.camera.status().reconnects_total == 0


def test_the_address_of_a_snapshot_is_told_from_a_stream(mjpeg: MjpegServer) -> None:
    mjpeg.mode = "one"
    with pytest.raises(CameraError, match="the address of a snapshot, not of a stream"):
        check(CameraConfig(uri=mjpeg.url()))


def test_a_camera_that_never_answers(mjpeg: MjpegServer) -> None:
    mjpeg.mode = "silent"
    begun_s = time.monotonic()
    with pytest.raises(CameraError, match=r"no answer from 127\.0\.0\.1:\d+ within 1 s"):
        check(CameraConfig(uri=mjpeg.url(), open_timeout_s=1.0))
    assert time.monotonic() - begun_s < 4.0
    with Viewer(mjpeg.url(), open_timeout_s=0.5, stall_s=5.0) as viewer:
        assert viewer.sees("down", 4.0)
        mjpeg.mode = "ok"
        assert viewer.sees("streaming", 5.0)
        assert viewer.camera.status().reconnects_total == 0, "it was never connected before"


def test_check_says_what_is_wrong_with_a_stream(mjpeg: MjpegServer, rtsp: RtspServer, private_rtsp: RtspServer) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        dead = bound.getsockname()[1]
        says = {
            mjpeg.url("/private"): "it wants a user and a password",
            mjpeg.url("/private", "admin:wrong"): "user or password is wrong",
            mjpeg.url("/nothing"): "no such path (404",
            mjpeg.url("/page", "admin:hunter2"): "not with a video that can be decoded",
            f"http://127.0.0.1:{dead}/stream": "connection refused",
            f"rtsp://admin:hunter2@127.0.0.1:{dead}/x": "connection refused",
            "rtsp://admin:hunter2@camera.invalid/x": "the name camera.invalid is not known",
            rtsp.url("nothing"): "no such path (404",
            private_rtsp.url("jpeg"): "the camera refuses us (401",
            private_rtsp.url("jpeg", "admin:wrong"): "user or password is wrong",
        }
        for uri, sentence in says.items():
            with pytest.raises(CameraError, match=re.escape(sentence)) as refused:
                check(CameraConfig(uri=uri, open_timeout_s=2.0))
            assert "hunter2" not in str(refused.value)
            assert "wrong@" not in str(refused.value)
            assert len(str(refused.value).splitlines()) == 1


def test_the_right_password_opens(mjpeg: MjpegServer, private_rtsp: RtspServer) -> None:
    for uri in (mjpeg.url("/private", "admin:hunter2"), private_rtsp.url("jpeg", "admin:hunter2")):
        assert check(CameraConfig(uri=uri))[:2] == (320, 240)


# RTSP


def test_rtsp_pictures_come_as_they_are_taken_not_in_one_gulp(rtsp: RtspServer) -> None:
    with Viewer(rtsp.url("h264"), stall_s=5.0) as viewer:
        assert viewer.watch(8.0, lambda: len(viewer.frames) >= 16)
        lasted_s = viewer.frames[15].captured_s - viewer.frames[0].captured_s
        assert lasted_s == pytest.approx(1.0, abs=0.35), "what queued up while opening must not count as new"
        assert viewer.frames[0].pixels.shape == (240, 320, 3)
        assert viewer.states == ["streaming"]


def test_rtsp_a_stopped_server_is_noticed_and_no_old_picture_is_shown(rtsp: RtspServer) -> None:
    with Viewer(rtsp.url("h264")) as viewer:
        assert viewer.sees("streaming", 8.0)
        viewer.watch(0.5)
        rtsp.signal(signal.SIGSTOP)
        begun_s = time.monotonic()
        assert viewer.sees("stalled", 3.0)
        assert time.monotonic() - begun_s < 1.5
        seen = len(viewer.frames)
        assert viewer.sees("down", 5.0)
        viewer.watch(1.0)
        assert len(viewer.frames) == seen, "a picture from before the stall was shown as new"
        rtsp.signal(signal.SIGCONT)
        assert viewer.sees("streaming", 12.0)
        assert viewer.states == ["streaming", "stalled", "down", "streaming"]


def test_rtsp_a_killed_server_is_down_and_comes_back_when_it_is_started_again(rtsp: RtspServer) -> None:
    with Viewer(rtsp.url("jpeg")) as viewer:
        assert viewer.sees("streaming", 8.0)
        rtsp.kill()
        assert viewer.sees("down", 3.0)
        assert viewer.watch(3.0, lambda: "nothing listens" in viewer.camera.status().reason)
        rtsp.start()
        assert viewer.sees("streaming", 12.0)
        assert viewer.camera.status().reconnects_total == 1


def test_stopping_does_not_wait_for_a_blocked_read(mjpeg: MjpegServer) -> None:
    viewer = Viewer(mjpeg.url(), read_timeout_s=2.0)
    viewer.camera.start()
    assert viewer.sees("streaming", 8.0)
    mjpeg.mode = "stall"
    viewer.watch(0.3)
    begun_s = time.monotonic()
    assert not viewer.camera.stop(0.3)
    assert time.monotonic() - begun_s < 0.6
    assert viewer.camera.stop(6.0), "the read deadline ends it"


def test_nothing_but_our_own_lines_is_on_stderr(mjpeg: MjpegServer) -> None:
    script = (
        "import sys, time; from agent.camera import Camera; from agent.config import CameraConfig\n"
        "for uri in sys.argv[1:]:\n"
        "    config = CameraConfig(uri=uri, read_timeout_s=0.5, reconnect_min_s=0.05, reconnect_max_s=0.1)\n"
        "    camera = Camera(config)\n"
        "    camera.start(); end = time.monotonic() + 1.0\n"
        "    while time.monotonic() < end: camera.read(0.1)\n"
        "    if not camera.stop(): sys.exit(3)\n"
    )
    mjpeg.mode = "one"
    command = [sys.executable, "-c", script, mjpeg.url(), mjpeg.url("/nothing"), mjpeg.url("/page")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    lines = done.stderr.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 3, f"FFmpeg or OpenCV talks: {lines}"
    assert all(": down: " in line for line in lines)
