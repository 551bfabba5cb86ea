"""Recordings: clips and pictures, real and made here, whole, damaged, absent."""

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.camera import Camera, check
from agent.camera.files import Pictures, Video, open_path
from agent.camera.source import Grab, Recording
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import CameraStatus, Frame, Pixels
from tests.servers.mosquitto import wait_until


def scene(number: int, width: int = 96, height: int = 64) -> Pixels:
    pixels = np.full((height, width, 3), 40, np.uint8)
    cv2.rectangle(pixels, (number * 5 % width, 10), (number * 5 % width + 20, 40), (20, 200, 90), -1)
    return pixels


def write_clip(path: Path, count: int = 12) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (96, 64))
    for number in range(count):
        writer.write(scene(number))
    writer.release()
    return path


def write_pictures(folder: Path, names: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), scene(number))
    return folder


def settings(path: Path, **more: object) -> CameraConfig:
    return CameraConfig(uri=str(path), **{"pace": "fast", **more})  # type: ignore[arg-type]


def frames(config: CameraConfig) -> tuple[list[Frame], CameraStatus]:
    camera = Camera(config)
    camera.start()
    got = []
    while (frame := camera.read(10.0)) is not None:
        got.append(frame)
    assert camera.ended
    assert camera.stop()
    return got, camera.status()


def pictures_of(recording: Recording) -> Iterator[Pixels]:
    while recording.grab() is Grab.PICTURE:
        pixels = recording.retrieve()
        assert pixels is not None
        yield pixels
    recording.close()


@pytest.mark.parametrize(
    ("name", "count", "width", "height"),
    [
        ("car-detection.mp4", 377, 768, 432),
        ("ambianic_doorcam_person1.mkv", 60, 1280, 720),  # its header promises 354
        ("jneines_pi_daily_timelapse.gif", 100, 480, 270),
        ("roboflow_night_street.mp4", 431, 426, 240),
    ],
)
def test_every_frame_of_a_real_clip_is_given_once(assets: Path, name: str, count: int, width: int, height: int) -> None:
    config = settings(assets / "video" / name)
    got, status = frames(config)
    assert [frame.sequence for frame in got] == list(range(1, count + 1))
    assert {frame.pixels.shape for frame in got} == {(height, width, 3)}
    assert (status.state, status.frames_total, status.dropped_total, status.corrupt_total) == ("ended", count, 0, 0)
    assert check(config)[:2] == (width, height)


def test_frames_are_the_clips_own_in_order(assets: Path) -> None:
    path = assets / "video" / "ambianic_doorcam_person1.mkv"
    plain = cv2.VideoCapture(str(path))
    got, _ = frames(settings(path))
    for frame in got:
        ok, expected = plain.read()
        assert ok
        assert np.array_equal(frame.pixels, expected)


def test_memory_is_used_again_unless_a_frame_is_held(assets: Path) -> None:
    video = Video(assets / "video" / "car-detection.mp4", loop=False)
    assert len({id(pixels) for pixels in pictures_of(video)}) <= 2
    held = list(pictures_of(Video(assets / "video" / "jneines_pi_daily_timelapse.gif", loop=False)))
    assert len({id(pixels) for pixels in held}) == 100
    assert len({pixels.tobytes() for pixels in held[::10]}) == 10, "held frames are not written over"


def test_real_time_follows_the_timestamps_of_the_lying_clip(assets: Path) -> None:
    # The header says 60 frames a second and 354 frames; its timestamps say about ten, uneven.
    camera = Camera(CameraConfig(uri=str(assets / "video" / "ambianic_doorcam_person1.mkv")))
    begun_s = time.monotonic()
    camera.start()
    got = [frame for frame in (camera.read(30.0) for _ in range(8)) if frame is not None]
    read_s = time.monotonic()
    camera.stop()
    due_s = [0.0, 0.1, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7]
    first = got[0]
    for frame in got:  # a busy machine leaves some out
        if frame.sequence <= len(due_s):
            since_s = due_s[frame.sequence - 1] - due_s[first.sequence - 1]
            assert frame.captured_s - first.captured_s == pytest.approx(since_s, abs=0.003)
    assert first.sequence < 8
    assert begun_s <= first.captured_s <= got[-1].captured_s <= read_s, "the due time, on the monotonic clock"


def test_a_slow_reader_of_a_real_time_clip_gets_the_newest(tmp_path: Path) -> None:
    camera = Camera(settings(write_clip(tmp_path / "clip.avi", 20), pace="real"))
    camera.start()
    first = camera.read(30.0)
    assert wait_until(lambda: camera.dropped_total >= 4)
    second = camera.read(30.0)
    camera.stop()
    assert first is not None
    assert second is not None
    assert second.sequence - first.sequence >= 4
    assert camera.dropped_total >= second.sequence - first.sequence - 1


def test_a_looping_clip_goes_on_in_step(tmp_path: Path) -> None:
    camera = Camera(settings(write_clip(tmp_path / "clip.avi", 5), loop=True))
    camera.start()
    got = [camera.read(5.0) for _ in range(23)]
    assert not camera.ended
    camera.stop()
    assert [frame.sequence for frame in got if frame] == list(range(1, 24))
    assert np.array_equal(got[2].pixels, got[22].pixels)  # type: ignore[union-attr]
    assert not np.array_equal(got[2].pixels, got[21].pixels)  # type: ignore[union-attr]


def test_a_looping_clip_that_vanishes_is_down_and_recovers(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", 5)
    camera = Camera(settings(path, loop=True, reconnect_min_s=0.01, reconnect_max_s=0.02))
    camera.start()
    path.rename(tmp_path / "away.avi")
    assert wait_until(lambda: camera.read(0.2) is None and camera.status().state == "down")
    status = camera.status()
    assert (status.state, "no such file" in status.reason or "can be decoded" in status.reason) == ("down", True)
    (tmp_path / "away.avi").rename(path)
    assert camera.read(30.0) is not None
    assert camera.status().reconnects_total == 1
    camera.stop()


def test_damaged_frames_in_a_clip_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", 12)
    content = bytearray(path.read_bytes())
    starts = [at for at in range(len(content) - 4) if content[at : at + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 12
    for number in (3, 7, 8):
        content[starts[number] : starts[number + 1] - 8] = bytes(starts[number + 1] - 8 - starts[number])
    path.write_bytes(content)
    got, status = frames(settings(path))
    assert len(got) == 9
    assert (status.corrupt_total, status.state) == (3, "ended")


def test_a_cut_clip_gives_what_it_has(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", 12)
    path.write_bytes(path.read_bytes()[:-6000])
    got, _ = frames(settings(path))
    assert 1 <= len(got) < 12


def test_pictures_of_a_folder_come_by_name_with_their_names(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shots", ["b.PNG", "a.jpg", "c.bmp"])
    (folder / "notes.txt").write_text("no picture")
    (folder / "._a.jpg").write_bytes(b"left by another system")
    (folder / "sub.jpg").mkdir()
    got, status = frames(settings(folder))
    assert [frame.name for frame in got] == ["a.jpg", "b.PNG", "c.bmp"]
    assert status.corrupt_total == 0


def test_an_unreadable_picture_is_counted_and_passed_over(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shots", ["a.png", "b.png", "c.png", "d.png", "e.png"])
    (folder / "a.png").write_bytes(b"")
    (folder / "c.png").write_bytes((folder / "d.png").read_bytes()[:60])
    (folder / "e.png").write_bytes(b"neither")
    got, status = frames(settings(folder))
    assert [frame.name for frame in got] == ["b.png", "d.png"]
    assert status.corrupt_total == 3


def test_a_folder_in_real_time_keeps_its_rate(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shots", ["a.png", "b.png", "c.png"])
    got, _ = frames(settings(folder, pace="real", folder_fps=20.0))
    for before, after in pairwise(got):
        assert after.captured_s - before.captured_s == pytest.approx(0.05 * (after.sequence - before.sequence))


def test_stopping_does_not_wait_for_the_next_picture(tmp_path: Path) -> None:
    camera = Camera(settings(write_pictures(tmp_path / "shots", ["a.png", "b.png"]), pace="real", folder_fps=0.01))
    camera.start()
    assert camera.read(30.0) is not None
    assert camera.stop(30.0), "the next one is due in 100 s"


def test_a_looping_folder_sees_new_pictures(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shots", ["a.png"])
    recording = open_path(str(folder), settings(folder, loop=True))
    assert (recording.grab(), recording.name) == (Grab.PICTURE, "a.png")
    write_pictures(folder, ["b.png"])
    assert (recording.grab(), recording.name) == (Grab.PICTURE, "a.png")
    assert (recording.grab(), recording.name) == (Grab.PICTURE, "b.png")
    for path in folder.iterdir():
        path.unlink()
    assert recording.grab() is Grab.LOST
    assert "no pictures" in recording.why_lost


def test_one_picture_is_one_frame(assets: Path) -> None:
    got, status = frames(settings(assets / "images" / "misc" / "pets.jpg", pace="real"))
    assert [frame.name for frame in got] == ["pets.jpg"]
    assert status.state == "ended"


def test_what_a_file_is_its_content_says(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi").rename(tmp_path / "clip.jpg")
    cv2.imwrite(str(tmp_path / "a.png"), scene(1))
    picture = (tmp_path / "a.png").rename(tmp_path / "picture")
    assert isinstance(open_path(str(clip), settings(clip)), Video)
    assert isinstance(open_path(str(picture), settings(picture)), Pictures)


def test_a_still_picture_is_not_frozen(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shots", ["a.png"])
    camera = Camera(settings(folder, loop=True, frozen_s=0.05))
    camera.start()
    ends_s = time.monotonic() + 0.2
    while time.monotonic() < ends_s:
        assert camera.read(30.0) is not None
        assert camera.status().state == "streaming"
    camera.stop()


def test_a_clip_that_stands_still_is_frozen(tmp_path: Path) -> None:
    path = tmp_path / "still.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (96, 64))
    for _ in range(400):
        writer.write(scene(1))
    writer.release()
    camera = Camera(settings(path, loop=True, frozen_s=0.05))
    camera.start()
    assert wait_until(lambda: camera.read(30.0) is not None and camera.status().state == "frozen")
    camera.stop()


def test_every_unusable_path_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "cut.jpg").write_bytes(cv2.imencode(".jpg", scene(1))[1].tobytes()[:30])
    (tmp_path / "blind").mkdir()
    (tmp_path / "blind" / "a.jpg").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    says = {
        "absent.mp4": "no such file or folder",
        "absent/clip.mp4": "no such file or folder",
        "empty.mp4/clip.mp4": "cannot be read: Not a directory",
        "empty.mp4": "the file is empty",
        "empty": "no pictures in this folder",
        "text.mp4": "neither a picture nor a video",
        "cut.jpg": "the picture can be decoded",
        "blind": "none of the 1 pictures can be decoded",
        "pipe": "neither a file nor a folder",
        "ring": "cannot be read: Too many levels of symbolic links",
    }
    for name, sentence in says.items():
        config = settings(tmp_path / name)
        for attempt in (Camera(config).start, lambda config=config: check(config)):
            with pytest.raises(CameraError) as refused:
                attempt()
            told = str(refused.value)
            assert sentence in told, name
            assert str(tmp_path / name) in told
            assert "\n" not in told


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi")
    path.chmod(0)
    as_root = os.geteuid() == 0
    if as_root:  # root may read everything: be nobody for a moment
        for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(CameraError, match="cannot be read: Permission denied"):
            Camera(settings(path)).start()
    finally:
        if as_root:
            os.seteuid(0)


def test_a_truncated_mp4_is_refused(assets: Path, tmp_path: Path) -> None:
    # Its index is at the end; without it nothing can be decoded.
    content = (assets / "video" / "one-by-one-person-detection.mp4").read_bytes()
    tail = content.rfind(b"moov")
    assert tail > 0
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[:tail] if tail > len(content) // 2 else content[:2000])
    with pytest.raises(CameraError, match="cut off or damaged"):
        check(settings(path))
