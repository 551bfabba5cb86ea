"""What the file system knows of a V4L2 device; a real kernel device is in tests/system."""

from pathlib import Path

import pytest

from agent.camera import Camera, check
from agent.camera.uri import parse
from agent.camera.v4l2 import expect_device, open_v4l2
from agent.config import CameraConfig
from agent.errors import CameraError


def test_an_absent_camera_names_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    (tmp_path / "video2").touch()
    with pytest.raises(CameraError) as refused:
        expect_device(tmp_path / "video7", tmp_path)
    assert f"no such camera; there is {tmp_path}/video0, {tmp_path}/video2" in str(refused.value)


def test_no_camera_at_all(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"there is no camera at all\. Is it plugged in"):
        expect_device(tmp_path / "video0", tmp_path)


def test_a_file_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    with pytest.raises(CameraError, match="is no camera but a file"):
        expect_device(tmp_path / "video0", tmp_path)


def test_a_path_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    with pytest.raises(CameraError, match="Not a directory"):
        expect_device(tmp_path / "video0" / "x", tmp_path)


def test_a_device_that_is_no_camera() -> None:
    with pytest.raises(CameraError, match="cannot be opened as a camera"):
        open_v4l2(parse("/dev/null"), CameraConfig(uri="/dev/null"), lambda: 0.0)


def test_an_absent_device_fails_the_check_and_is_down_in_a_run() -> None:
    config = CameraConfig(uri="usb:997", reconnect_min_s=0.01, reconnect_max_s=0.01)
    with pytest.raises(CameraError, match="/dev/video997: no such camera"):
        check(config)
    camera = Camera(config)
    camera.start()
    assert camera.read(0.1) is None
    status = camera.status()
    assert camera.stop()
    assert status.state == "down"
    assert "/dev/video997: no such camera" in status.reason
