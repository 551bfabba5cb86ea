"""Commands from afar: a closed list, each answered once, none a way in."""

from __future__ import annotations

import base64
import queue
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands import JPEG_BYTES, Commands, encode
from agent.publish import translate
from agent.records import Answer, Command, Detections, Frame, FrameResult, Labels, StageTimes

Answers = queue.Queue[Answer]


@pytest.fixture
def answers() -> Answers:
    return queue.Queue()


@pytest.fixture
def commands(answers: Answers) -> Iterator[Commands]:
    one = Commands(answers.put, Labels({0: "cat"}), lambda: 1000.0)
    one.start()
    yield one
    one.stop()


def result() -> FrameResult:
    pixels = np.full((60, 80, 3), 90, np.uint8)
    box = Detections(np.array([[10, 10, 50, 40]], np.float32), np.array([0.9], np.float32), np.array([0], np.int32))
    return FrameResult(Frame(pixels, 0.0, 7, np.zeros((36, 64), np.uint8)), box, StageTimes(0.0, 0.0, 0.0, 0.0))


def test_a_snapshot_is_the_newest_frame_with_its_boxes(commands: Commands, answers: Answers) -> None:
    commands.newest = result()
    commands.take(Command("snapshot", "1"))
    answer = answers.get(timeout=5)
    assert (answer.status, answer.data["sees"], answer.data["sequence"]) == ("succeeded", "cat", 7)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(str(answer.data["jpeg"])), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (60, 80, 3)
    assert np.ptp(picture) > 50, "a box is drawn on the grey frame"


def test_before_the_first_frame_it_fails_with_a_reason(commands: Commands, answers: Answers) -> None:
    commands.take(Command("snapshot", "1"))
    answer = answers.get(timeout=5)
    assert (answer.status, answer.code) == ("failed", "no-camera")


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        (Command("shell", "1", args={"line": "id"}), "rejected", "unsupported"),
        (Command("snapshot", "1", args=None), "rejected", "bad-args"),
        (Command("snapshot", "1", expires_s=999.0), "expired", "expired"),
    ],
)
def test_what_cannot_be_done_is_answered_at_once(
    commands: Commands, answers: Answers, command: Command, status: str, code: str
) -> None:
    commands.take(command)
    answer = answers.get_nowait()
    assert (answer.status, answer.code, answer.command) == (status, code, command)


def test_a_flood_is_answered_busy_and_not_stored(answers: Answers) -> None:
    idle = Commands(answers.put, Labels(), lambda: 0.0)
    for number in range(20):
        idle.take(Command("snapshot", str(number)))
    assert [answers.get_nowait().code for _ in range(12)] == ["busy"] * 12
    assert answers.empty()


def test_the_picture_always_fits() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    data = encode(noise, JPEG_BYTES)
    assert len(data) <= JPEG_BYTES
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


@given(op=st.text(max_size=70), name=st.text(max_size=70), body=st.binary(max_size=300))
def test_nothing_that_is_sent_is_an_error(op: str, name: str, body: bytes) -> None:
    command = translate.command(f"edge/v1/home/cam1/cmd/{op}/{name}", body)
    if command is not None:
        said: list[Answer] = []
        Commands(said.append, Labels(), lambda: 0.0).take(command)
        assert all(answer.status in {"rejected", "expired"} for answer in said)
