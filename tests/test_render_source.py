"""The rendered camera as a camera: paced, ended, turned while it runs, with the truth beside each frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.camera import Camera, check
from agent.camera.pace import Paced, Pacer
from agent.camera.rendered import Knobs, Renderer
from agent.camera.rendered.source import Rendered, read_options
from agent.camera.source import Grab
from agent.config import CameraConfig
from agent.errors import CameraError
from agent.records import Frame, Pixels


def source(query: str = "") -> Rendered:
    return Rendered(read_options(query, CameraConfig()))


def advance(rendered: Rendered, count: int = 1) -> Pixels:
    for _ in range(count):
        assert rendered.grab() is Grab.PICTURE
    pixels = rendered.retrieve()
    assert pixels is not None
    return pixels


def frames(uri: str, **more: object) -> list[Frame]:
    camera = Camera(CameraConfig(uri=uri, **{"pace": "fast", **more}))  # type: ignore[arg-type]
    camera.start()
    got = []
    while (frame := camera.read(10.0)) is not None:
        got.append(frame)
    assert camera.stop()
    return got


def test_every_frame_comes_through_with_its_truth() -> None:
    got = frames("demo:?seed=4&frames=12")
    renderer = Renderer(4)
    assert [frame.sequence for frame in got] == list(range(1, 13))
    for index, frame in enumerate(got):
        pixels, truth = renderer.frame(index)
        assert (frame.pixels == pixels).all()
        assert frame.truth is not None
        assert (frame.truth.xyxy == truth.xyxy).all()


def test_in_real_time_the_truth_comes_through_too() -> None:
    got = frames("demo:?fps=60&frames=120", pace="real")
    assert got
    assert all(frame.truth is not None for frame in got)


def test_pace_follows_the_frame_rate() -> None:
    waits: list[float] = []
    now = [0.0]

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    paced = Paced(source("fps=10"), Pacer(2.0), lambda: now[0], wait)
    for _ in range(4):
        assert paced.grab() is Grab.PICTURE
    assert waits == pytest.approx([0.1, 0.1, 0.1])


def test_frames_that_nobody_wants_change_nothing() -> None:
    skipping, looking = source("seed=2"), source("seed=2")
    for _ in range(9):
        advance(looking)
    assert (advance(skipping, 10) == advance(looking)).all()


def test_knobs_are_turned_while_it_runs() -> None:
    rendered = source()
    day = advance(rendered).mean()
    rendered.turn(Knobs(light=0.2))
    assert rendered.knobs.light == 0.2
    assert advance(rendered).mean() < 0.3 * day


def test_the_script_runs_on_frames_not_on_the_clock() -> None:
    rendered = source("fps=10&drift=light:0.1@1s+1s")
    advance(rendered, 11)
    before = rendered.knobs.light
    advance(rendered, 10)
    assert (before, rendered.knobs.light) == (1.0, 0.1)


def test_a_frozen_camera_gives_the_same_bits_and_comes_back() -> None:
    rendered = source()
    alive = advance(rendered)
    truth = rendered.truth
    rendered.turn(Knobs(frozen=1.0))
    assert (advance(rendered) == alive).all()
    assert rendered.truth is truth
    rendered.turn(Knobs())
    assert (advance(rendered) != alive).any()


def test_the_camera_calls_it_frozen_and_black() -> None:
    for drift, state in (("freeze", "frozen"), ("black", "black")):
        config = CameraConfig(uri=f"demo:?fps=60&drift={drift}@0.1s", frozen_s=0.2, black_s=0.2, width=160, height=120)
        camera = Camera(config)
        camera.start()
        for _ in range(200):
            camera.read(0.2)
            if camera.status().state == state:
                break
        assert camera.status().state == state
        assert camera.stop()


def test_a_control_file_turns_the_knobs(tmp_path: Path) -> None:
    control = tmp_path / "knobs"
    rendered = source(f"light=0.8&control={control}")
    advance(rendered, 8)
    assert rendered.knobs == Knobs(light=0.8), "no file yet"
    control.write_text("light=0.3&blur=2\n")
    advance(rendered, 8)
    assert rendered.knobs == Knobs(light=0.3, blur=2.0)


def test_a_bad_control_file_is_told_once_and_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    control = tmp_path / "knobs"
    control.write_text("lihgt=0.3")
    rendered = source(f"control={control}")
    advance(rendered, 40)
    assert rendered.knobs == Knobs()
    assert [record.getMessage() for record in caplog.records if "is no knob" in record.getMessage()] != []
    assert len(caplog.records) == 1


def test_a_wrong_address_is_refused_before_anything_starts() -> None:
    with pytest.raises(CameraError, match="'lihgt' is no knob"):
        Camera(CameraConfig(uri="demo:?lihgt=0.4"))


def test_check_sees_it() -> None:
    width, height, _ = check(CameraConfig(uri="demo:", width=320, height=240))
    assert (width, height) == (320, 240)


def test_frames_are_free_to_keep() -> None:
    rendered = source()
    first = advance(rendered)
    copy = first.copy()
    advance(rendered, 3)
    assert np.array_equal(first, copy)


def test_what_must_be_drawn_once_is_drawn_when_it_is_opened() -> None:
    """It takes 0.4 s, and would stand in the percentiles of a short run as the age of its first frame."""
    assert source()._renderer._pieces
