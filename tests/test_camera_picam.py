"""Raspberry Pi cameras against a stand-in for picamera2; the real one runs on boards only."""

from concurrent.futures import TimeoutError as JobTimeout
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agent.camera.opening import make_opener
from agent.camera.picam import load_picamera2, open_picamera
from agent.camera.source import Grab
from agent.camera.uri import parse
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import Pixels


class Request:
    def __init__(self, number: int) -> None:
        self.number = number
        self.released = 0

    def make_array(self, name: str) -> Pixels:
        assert name == "main"
        assert not self.released, "read after it was given back"
        return np.full((48, 64, 3), self.number, np.uint8)

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": 1_000_000_000 * self.number}

    def release(self) -> None:
        self.released += 1


class FakePicamera2:
    """As much of Picamera2 as is used; ``trouble`` says which call fails and how."""

    def __init__(self, number: int, trouble: dict[str, Exception], made: list["FakePicamera2"]) -> None:
        self.number, self.trouble = number, trouble
        self.wishes: dict[str, Any] = {}
        self.started = self.closed = False
        self.requests: list[Request] = []
        made.append(self)
        self._maybe("open")

    def _maybe(self, step: str) -> None:
        if step in self.trouble:
            raise self.trouble[step]

    def create_video_configuration(self, **wishes: Any) -> dict[str, Any]:
        return wishes

    def configure(self, wishes: dict[str, Any]) -> None:
        self._maybe("configure")
        self.wishes = wishes

    def start(self) -> None:
        self._maybe("start")
        self.started = True

    def capture_request(self, wait: float) -> Request:
        assert wait == 3.0
        self._maybe("capture")
        self.requests.append(Request(len(self.requests) + 1))
        return self.requests[-1]

    def close(self) -> None:
        self.closed = True


def package(**trouble: Exception) -> Any:
    made: list[FakePicamera2] = []
    return SimpleNamespace(Picamera2=lambda number: FakePicamera2(number, trouble, made), made=made)


def config(**more: Any) -> CameraConfig:
    return CameraConfig(uri="picamera:1", **more)


def test_frames_are_bgr_copies_with_the_sensors_time_and_go_back_to_the_camera() -> None:
    picamera2 = package()
    source = open_picamera(parse("picamera:1"), config(width=640, height=480, fps=15.0), picamera2)
    fake = picamera2.made[0]
    assert (fake.number, fake.started) == (1, True)
    assert fake.wishes["main"] == {"format": "RGB888", "size": (640, 480)}, "picamera2's RGB888 is BGR in memory"
    assert fake.wishes["controls"] == {"FrameRate": 15.0}
    for number in (1, 2, 3):
        assert source.grab() is Grab.PICTURE
        assert source.taken_s(number + 0.07) == pytest.approx(number)
        pixels = source.retrieve()
        assert pixels is not None
        assert pixels[0, 0, 0] == number
    source.grab()
    source.grab()  # a frame that nobody wanted
    source.close()
    assert [request.released for request in fake.requests] == [1] * 5
    assert fake.closed


def test_a_time_stamp_of_another_clock_is_not_believed() -> None:
    source = open_picamera(parse("picamera:"), config(), package())
    source.grab()
    assert source.taken_s(0.5) == 0.5, "from the future"
    assert source.taken_s(500.0) == 500.0, "from long ago"


def test_without_settings_the_camera_chooses() -> None:
    picamera2 = package()
    open_picamera(parse("picamera:"), config(), picamera2)
    assert picamera2.made[0].wishes["main"] == {"format": "RGB888"}
    assert "controls" not in picamera2.made[0].wishes


@pytest.mark.parametrize(
    ("step", "fault", "says"),
    [
        ("open", IndexError("list index out of range"), "no such camera"),
        ("open", RuntimeError("Camera __init__ sequence did not complete."), "is another program using it?"),
        ("configure", ValueError("bad size"), "cannot be started: bad size"),
        ("start", RuntimeError("Failed to start camera"), "cannot be started: Failed to start camera"),
    ],
)
def test_a_camera_that_does_not_open_says_why(step: str, fault: Exception, says: str) -> None:
    picamera2 = package(**{step: fault})
    with pytest.raises(CameraError, match="picamera:1") as refused:
        open_picamera(parse("picamera:1"), config(), picamera2)
    assert says in str(refused.value)
    assert picamera2.made[0].closed == (step != "open"), "what was opened is closed again"


@pytest.mark.parametrize(
    ("fault", "says"),
    [(JobTimeout(), "no picture within 3 s"), (RuntimeError("device lost"), "device lost")],
)
def test_a_camera_that_dies_is_lost(fault: Exception, says: str) -> None:
    picamera2 = package()
    source = open_picamera(parse("picamera:"), config(), picamera2)
    assert source.grab() is Grab.PICTURE
    picamera2.made[0].trouble["capture"] = fault
    assert source.grab() is Grab.LOST
    assert says in source.why_lost
    source.close()
    assert picamera2.made[0].requests[0].released == 1


def test_the_absent_package_says_what_to_install() -> None:
    with pytest.raises(CameraError, match=r"python3-picamera2.*--system-site-packages") as refused:
        load_picamera2("picamera2_that_is_not_here")
    assert "picamera2_that_is_not_here" in str(refused.value)


def test_the_package_is_asked_for_before_the_thread_starts() -> None:
    def load() -> Any:
        raise CameraError("picamera: absent")

    with pytest.raises(CameraError, match="absent"):
        make_opener(parse("picamera:"), config(), lambda: 0.0, lambda _: None, load)


def test_an_opener_opens_a_camera_anew_each_time() -> None:
    picamera2 = package()
    opener = make_opener(parse("picamera:1"), config(), lambda: 0.0, lambda _: None, lambda: picamera2)
    opener()
    opener()
    assert [fake.number for fake in picamera2.made] == [1, 1]
