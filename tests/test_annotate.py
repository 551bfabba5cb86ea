"""Drawing, and the writer that never holds up a live camera."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.annotate import Recorder, draw, write_picture
from agent.errors import StorageError
from agent.records import Detections, Frame, FrameResult, Labels, StageTimes

LABELS = Labels({0: "cat"})


def result(sequence: int = 1) -> FrameResult:
    pixels = np.full((60, 80, 3), 90, np.uint8)
    box = Detections(np.array([[10, 10, 50, 40]], np.float32), np.array([0.9], np.float32), np.array([0], np.int32))
    frame = Frame(pixels, 0.0, sequence, np.zeros((36, 64), np.uint8))
    return FrameResult(frame, box, StageTimes(0.0, 0.0, 0.0, 0.0))


def test_drawing_leaves_the_frame_alone() -> None:
    one = result()
    before = one.frame.pixels.copy()
    drawn = draw(one.frame.pixels, one.detections, LABELS)
    assert (one.frame.pixels == before).all()
    assert (drawn != before).any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-50, 200, width=32), min_size=4, max_size=4), st.integers(-3, 10**6))
def test_any_box_can_be_drawn(box: list[float], class_id: int) -> None:
    found = Detections(np.array([box], np.float32), np.array([1.0], np.float32), np.array([class_id], np.int32))
    assert draw(np.zeros((30, 40, 3), np.uint8), found, LABELS).shape == (30, 40, 3)


def test_a_folder_gets_one_picture_a_frame(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out", LABELS, wait=True)
    for sequence in range(1, 21):
        recorder.put(result(sequence))
    recorder.close()
    assert recorder.written_total == 20
    assert len(list((tmp_path / "out").glob("frame-*.jpg"))) == 20


def test_a_live_camera_does_not_wait_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out", LABELS, wait=False)
    for sequence in range(1, 501):
        recorder.put(result(sequence))
    recorder.close()
    assert recorder.written_total + recorder.left_out_total == 500
    assert len(list((tmp_path / "out").iterdir())) == recorder.written_total


def test_a_video_takes_frames_of_another_size(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out.mp4", LABELS, wait=True)
    recorder.put(result())
    small = FrameResult(
        Frame(np.zeros((30, 40, 3), np.uint8), 0.0, 2, np.zeros((36, 64), np.uint8)),
        Detections.empty(),
        StageTimes(0.0, 0.0, 0.0, 0.0),
    )
    recorder.put(small)
    recorder.close()
    reader = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert [reader.read()[0] for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("fps", [5.0, 20.0])
def test_a_video_plays_as_fast_as_its_frames_came(tmp_path: Path, fps: float) -> None:
    recorder = Recorder(tmp_path / "out.mp4", LABELS, wait=True)
    for number in range(30):
        one = result(number)
        frame = Frame(one.frame.pixels, 100.0 + number / fps, number, one.frame.thumbnail)
        recorder.put(FrameResult(frame, one.detections, one.times))
    recorder.close()
    reader = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=0.02)
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 30


def test_targets_that_cannot_be_written_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        Recorder(tmp_path / "file" / "out.mp4", LABELS)
    with pytest.raises(StorageError, match=r"no video.*\.mp4"):
        Recorder(tmp_path / "out.webm", LABELS)
    with pytest.raises(StorageError, match="no picture format"):
        write_picture(tmp_path / "x.txt", np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(StorageError, match="cannot be written"):
        write_picture(tmp_path / "none" / "x.jpg", np.zeros((3, 3, 3), np.uint8))
