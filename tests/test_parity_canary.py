"""The canary: asks seldom, tells what it hears, and never holds up the frames."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from agent.config import Config, ParityConfig, convert, override
from agent.errors import AgentError, ConfigError, ModelError
from agent.parity import Canary, make_canary
from agent.parity.canary import ask_once, plan_second
from agent.parity.pictures import Pictures
from agent.publish import decode, translate
from agent.publish.stamp import Stamper
from agent.records import Correction, Detections, Frame, FrameResult, Labels, Pixels, StageTimes
from tests.cases import edge_agent
from tests.delegates import Delegates
from tests.measure_trees import Ticking
from tests.test_parity_sample import seen

LABELS = Labels({0: "bolt"})
BOX = (0.0, 0.0, 10.0, 10.0)
PIXELS = np.zeros((4, 4, 3), np.uint8)


class Heard:
    """What was told to the broker."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.alarms: list[str | None] = []
        self.told = threading.Event()

    def event(self, kind: str, data: Mapping[str, Any] | None = None) -> None:
        assert kind == "parity"
        self.events.append(dict(data or {}))
        self.told.set()

    def alarm(self, alarm_id: str, message: str | None) -> None:
        assert alarm_id == "parity"
        self.alarms.append(message)


class Second:
    """A second side that answers as told."""

    def __init__(self, answer: Detections | Exception) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self, pixels: Pixels) -> tuple[Detections, Labels]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer, LABELS


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come")


def result(found: Detections | None = None) -> FrameResult:
    thumbnail = np.zeros((36, 64), np.uint8)
    frame = Frame(PIXELS, 0.0, 1, thumbnail)
    return FrameResult(frame, found or seen(BOX), StageTimes(0.0, 0.0, 0.0, 0.0))


def canary(second: Second, heard: Heard, clock: Ticking | None = None, **settings: Any) -> Canary:
    asked = ParityConfig(**{"every_s": 60.0, "window": 64, **settings})
    return Canary(asked, LABELS, second, heard, clock or Ticking(0.0))


class TestJudgement:
    def test_agreement_becomes_certain_and_raises_nothing(self) -> None:
        heard = Heard()
        bird = canary(Second(seen(BOX)), heard, window=64, tolerance=0.25)
        for _ in range(3):
            bird.look(PIXELS, seen(BOX))
        assert [event["verdict"] for event in heard.events] == ["cannot tell"] * 3
        for _ in range(61):
            bird.look(PIXELS, seen(BOX))
        assert heard.events[-1]["verdict"] == "same"
        assert heard.alarms == []

    def test_an_alarm_is_raised_once_and_cleared_once(self) -> None:
        heard, second = Heard(), Second(Detections.empty())
        bird = canary(second, heard, window=16, tolerance=0.5)
        for _ in range(20):
            bird.look(PIXELS, seen(BOX))
        assert [event["verdict"] for event in heard.events] == ["cannot tell"] * 15 + ["differs"] * 5
        assert len(heard.alarms) == 1
        assert str(heard.alarms[0]).startswith("two ways of running the model differ: boxes")
        assert heard.events[-1]["missed"] == 1
        second.answer = seen(BOX)
        for _ in range(20):
            bird.look(PIXELS, seen(BOX))
        assert len(heard.alarms) == 2
        assert heard.alarms[1] is None

    def test_a_second_side_that_fails_is_an_alarm_until_it_answers(self) -> None:
        heard, second = Heard(), Second(ModelError("m: crashes the runtime (SIGSEGV)"))
        bird = canary(second, heard)
        bird.look(PIXELS, seen(BOX))
        bird.look(PIXELS, seen(BOX))
        assert heard.alarms == ["the second side fails: m: crashes the runtime (SIGSEGV)"]
        assert heard.events[0]["reason"] == "m: crashes the runtime (SIGSEGV)"
        second.answer = seen(BOX)
        bird.look(PIXELS, seen(BOX))
        assert heard.alarms[1:] == [None]

    def test_events_are_scalars_in_json(self) -> None:
        heard = Heard()
        canary(Second(seen(BOX)), heard).look(PIXELS, seen(BOX))
        assert all(isinstance(value, (str, int, float, bool, type(None))) for value in heard.events[0].values())
        assert len(json.dumps(heard.events[0])) < 512
        stamp = Stamper(device="cam", boot="0a0a0a0a", clock=Ticking(), wall=lambda: 1.8e9).stamp("e")
        body = msgspec.json.encode(translate.event(stamp, "parity", heard.events[0]))
        assert decode("edge/v1/home/cam/e/parity", body) is not None


class TestPace:
    def test_a_frame_is_kept_when_it_is_due_and_no_other(self) -> None:
        heard, second, clock = Heard(), Second(seen(BOX)), Ticking(0.0)
        bird = canary(second, heard, clock)
        bird.start()
        bird.offer(result())
        assert bird._kept is None, "none is due yet"
        clock.now_s = 60.0
        bird.offer(result())
        assert heard.told.wait(10.0)
        bird.offer(result())
        assert second.asked == 1
        wait_for(lambda: bird._kept is None)
        heard.told.clear()
        clock.now_s = 120.0
        bird.offer(result())
        assert heard.told.wait(10.0)
        bird.stop()
        assert second.asked == 2

    def test_a_second_side_that_hangs_holds_up_nothing(self) -> None:
        gate, heard, clock = threading.Event(), Heard(), Ticking(0.0)

        class Slow(Second):
            def __call__(self, pixels: Pixels) -> tuple[Detections, Labels]:
                gate.wait()
                return super().__call__(pixels)

        second = Slow(seen(BOX))
        bird = canary(second, heard, clock)
        bird.start()
        first = result()
        clock.now_s = 60.0
        bird.offer(first)
        for now_s in range(120, 6000, 60):
            clock.now_s = float(now_s)
            bird.offer(result())
        assert bird._kept is not None
        assert bird._kept[1] is first.detections, "the frame at work is not changed under it"
        assert heard.events == []
        gate.set()
        assert heard.told.wait(10.0)
        bird.stop()
        assert second.asked == 1, "frames do not pile up"

    def test_a_thread_that_died_ends_the_process_with_a_reason(self) -> None:
        clock = Ticking(0.0)
        bird = canary(Second(seen(BOX)), Heard(), clock)
        clock.now_s = 60.0
        with pytest.raises(AgentError, match="parity thread died"):
            bird.offer(result())

    def test_is_off_by_default_and_refuses_to_overlap(self) -> None:
        assert make_canary(Config(), LABELS, None, Ticking()) is None
        with pytest.raises(ConfigError, match=r"parity\.every_s: is less than twice parity\.timeout_s"):
            convert({"parity": {"every_s": 5.0}})


class TestRealChild:
    def test_answers_as_the_model_in_service(self) -> None:
        config = override(Config(), {"model.bundle": "demo:", "camera.uri": "demo:"})
        pixels = next(iter(Pictures(config, 1)))
        found, labels = ask_once(plan_second(config), pixels, 30.0)
        assert len(found) > 0
        assert "washer" in labels.names.values()

    def test_sees_the_light_corrected_as_the_model_in_service_does(self) -> None:
        config = override(Config(), {"model.bundle": "demo:", "camera.uri": "demo:?noise=0.5", "parity.every_s": 300})
        pixels = next(iter(Pictures(config, 1)))
        found, labels = ask_once(plan_second(config), pixels, 30.0)
        dark, told = (pixels * 0.1).astype(np.uint8), []
        for correction in (Correction(gain=10.0), None):
            heard = Heard()
            bird = make_canary(config, labels, heard, Ticking(), lambda now=correction: now)  # type: ignore[misc]
            assert bird is not None
            bird.look(dark, found)
            told.append(heard.events[-1])
        assert told[0]["missed"] < told[0]["pairs"]
        assert told[1]["missed"] > told[1]["pairs"]

    def test_takes_another_model_with_the_labels_and_thresholds_in_service(self, tmp_path: Path) -> None:
        config = override(Config(), {"model.bundle": "demo:", "model.score_threshold": 0.31})
        copy = tmp_path / "float.tflite"
        copy.write_bytes(plan_second(config).plan.path.read_bytes())
        side = plan_second(override(config, {"parity.model": str(copy)}))
        assert side.plan.path == copy
        assert side.config.model.score_threshold == 0.31
        assert "washer" in side.plan.labels.names.values()

    def test_a_delegate_that_crashes_costs_a_sentence(self, delegates: Delegates) -> None:
        changes = {
            "model.bundle": "demo:",
            "parity.delegate": str(delegates.whole),
            "parity.delegate_options": {"do": "crash-invoke"},
        }
        side = plan_second(override(Config(), changes))
        with pytest.raises(ModelError, match="SIGSEGV"):
            ask_once(side, np.zeros((48, 64, 3), np.uint8), 20.0)


@pytest.mark.slow
def test_in_service_it_speaks_and_the_frames_go_on(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        "[model]\nbundle = 'demo:'\n[camera]\nuri = 'demo:'\n[log]\nlevel = 'debug'\n"
        "[parity]\nevery_s = 2.0\ntimeout_s = 1.0\n"
    )
    ended = edge_agent("run", "--config", path, "--seconds", 7, "--json")
    assert ended.returncode == 0, ended.stderr
    told = [line for line in ended.stderr.splitlines() if "DEBUG agent.parity: parity:" in line]
    assert told, ended.stderr[-2000:]
    assert json.loads(ended.stdout.splitlines()[-1])["summary"]["frames"] > 10
