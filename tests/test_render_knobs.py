"""The rendered camera's knobs and scripts as records: what is understood, and what is refused with which words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.rendered import RANGES, Knobs
from agent.camera.rendered.knobs import read_knobs, read_query
from agent.camera.rendered.script import PRESETS, read_script
from agent.camera.rendered.source import read_options
from agent.config import CameraConfig
from agent.errors import CameraError


@pytest.mark.parametrize("name", RANGES)
def test_each_knob_is_read_and_its_range_is_held(name: str) -> None:
    low, high = RANGES[name]
    assert getattr(read_knobs({name: str(high)}), name) == high
    for beyond in (low - 1, high + 1):
        with pytest.raises(CameraError, match=f"{name}=.*it goes from"):
            read_knobs({name: str(beyond)})
        with pytest.raises(ValueError, match=name):
            Knobs(**{name: beyond})


def test_every_knob_has_a_range() -> None:
    assert list(RANGES) == list(Knobs.__dataclass_fields__)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("lihgt=0.4", "'lihgt' is no knob; there are light"),
        ("light=dark", "light=dark: is no number"),
        ("light=nan", "it goes from 0 to 2.5"),
        ("light", "write it as light=0.4&blur=2"),
        ("light=1&light=2", "stands twice"),
        ("seed=-1", "seed=-1: it goes from 0"),
        ("fps=0", "fps=0: it goes from 0.1"),
        ("drift=dim", "write it as dim@30s"),
        ("drift=sunset@30s", "say one of dim"),
        ("drift=light:9@30s", "it goes from 0 to 2.5"),
    ],
)
def test_nonsense_is_refused_with_what_to_write_instead(query: str, says: str) -> None:
    with pytest.raises(CameraError, match=says) as caught:
        read_options(query, CameraConfig())
    assert "\n" not in str(caught.value)


def test_a_size_that_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(CameraError, match="160 x 120"):
        read_options("", CameraConfig(width=64))


def test_the_address_wins_over_the_settings() -> None:
    config = CameraConfig(fps=12.0, width=320, height=240)
    options = read_options("seed=3&light=0.4", config)
    assert (options.seed, options.fps, options.width, options.knobs) == (3, 12.0, 320, Knobs(light=0.4))
    assert read_options("fps=5", config).fps == 5.0


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_begins_on_time_and_reaches_its_goal(name: str) -> None:
    goals, duration_s = PRESETS[name]
    script = read_script(f"{name}@30s")
    assert script.at(Knobs(), 29.9) == Knobs()
    reached = script.at(Knobs(), 30.0 + duration_s)
    assert {knob: getattr(reached, knob) for knob, _ in goals} == dict(goals)
    assert reached == script.at(Knobs(), 1e6)


def test_steps_follow_each_other() -> None:
    script = read_script("light:1.5@20s+10s,light:0.5@0s+10s")
    assert [round(script.at(Knobs(), time_s).light, 6) for time_s in (0, 5, 10, 15, 25, 99)] == [
        1,
        0.75,
        0.5,
        0.5,
        1,
        1.5,
    ]


@given(st.text(max_size=40))
def test_any_text_is_a_query_or_a_camera_error(text: str) -> None:
    for read in (lambda: read_options(text, CameraConfig()), lambda: read_script(text)):
        with contextlib.suppress(CameraError):
            read()


@given(st.sampled_from(sorted(RANGES)), st.floats(-1e9, 1e9))
def test_a_knob_turns_as_far_as_it_goes(name: str, value: float) -> None:
    low, high = RANGES[name]
    assert low <= getattr(Knobs().turned(name, value), name) <= high


def test_query_of_nothing_is_nothing() -> None:
    assert read_query("") == {}
