"""The commands ``bench`` and ``bench-result``: one benchmark at a time, one outcome, and the service goes on."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agent import bench, service
from agent import config as settings
from agent.bench import Plan, Result, Told
from agent.commands.benching import KEPT, PART_BYTES, longest_s
from agent.config import Config
from agent.errors import CameraError, ModelError
from agent.parts import Parts
from agent.records import Answer, Command, FrameResult
from tests.bench_fakes import conditions, make_run
from tests.test_commands import FINAL, Desk

QUICK = {"seconds": 1.0, "queries": 5, "warmup_s": 0.0, "frames": 2}


def measured(plan: Plan, told: Told) -> Result:
    return make_run(plan, lambda _: 0.01, told=told).go()


def turn(desk: Desk, measure: Callable[[Plan, Told], Result] = measured, *, stop: bool = False) -> list[str]:
    """The main thread takes its turn; what was said since."""
    before = len(desk.said)
    beats: list[int] = []
    desk.benching.turn(measure, lambda: stop, lambda: beats.append(1))
    desk.errands.turn()
    return [answer.status for answer in desk.said[before:]]


def test_a_benchmark_is_accepted_runs_with_per_cent_and_succeeds(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("bench", "b1", {"warmup_s": 0.0})
    assert desk.statuses() == ["accepted", "running"], "the outcome comes when the main thread has had its turn"
    said = turn(desk)
    assert said[-1] == "succeeded"
    percents = [answer.data["percent"] for answer in desk.said if answer.status == "running" and answer.data]
    assert percents == sorted(percents)
    assert 8 <= len(percents) <= 10
    answer = desk.said[-1]
    assert answer.code == "ok"
    assert answer.data["score"]["queries"] >= 1024
    assert len(json.dumps(answer.data)) < 8000
    assert desk.benching.asked is None
    assert desk.ask("bench", "b1", {"warmup_s": 0.0}).status == "succeeded", "asked again: the same outcome"
    assert desk.benching.asked is None, "and it is not done again"


def test_a_run_that_is_not_valid_says_so_in_its_code() -> None:
    desk = Desk()
    desk.ask("bench", "b1", {"warmup_s": 0.0})
    turn(
        desk, lambda plan, told: make_run(plan, lambda _: 0.01, lambda _: conditions(others_cores=1.0), told=told).go()
    )
    assert (desk.said[-1].status, desk.said[-1].code) == ("succeeded", "not-valid")
    assert "other processes" in desk.said[-1].message
    assert desk.said[-1].data["name"] == "", "without a folder nothing is kept, and nothing named"


def test_one_at_a_time_not_while_throttled_not_for_hours() -> None:
    desk = Desk()
    desk.ask("bench", "b1", QUICK)
    assert desk.ask("bench", "b2", QUICK).code == "busy"
    assert turn(desk)[-1] == "succeeded"
    assert desk.said[-1].command.id == "b1"
    desk.is_throttled = True
    assert desk.ask("bench", "b3", QUICK).code == "throttled"
    desk.is_throttled = False
    assert desk.ask("bench", "b4", {"soak": True, "minutes": 600.0}).code == "too-long"
    assert desk.ask("bench", "b5", {"scenario": "server"}).code == "bad-args"
    assert desk.ask("bench", "b6", {"frames": 10**9}).code == "bad-args"
    assert desk.benching.asked is None
    assert longest_s(Plan(soak=True, minutes=10.0, warmup_s=0.0)) == 600.0


@pytest.mark.parametrize(
    ("error", "code"),
    [(CameraError("camera x: gave no frame"), "no-camera"), (ModelError("m: does not run"), "failed")],
)
def test_what_goes_wrong_is_the_answer_and_the_next_one_is_served(error: Exception, code: str) -> None:
    def broken(_: Plan, __: Told) -> Result:
        raise error

    desk = Desk()
    desk.ask("bench", "b1", QUICK)
    assert turn(desk, broken) == ["failed"]
    assert (desk.said[-1].code, desk.said[-1].message) == (code, str(error))
    desk.ask("bench", "b2", QUICK)
    assert turn(desk)[-1] == "succeeded"


def test_a_benchmark_that_the_end_of_the_service_cuts_short_has_failed() -> None:
    desk = Desk()
    desk.ask("bench", "b1", QUICK)
    assert turn(desk, stop=True)[-1] == "failed"
    assert desk.said[-1].code == "interrupted"


def test_a_benchmark_that_a_crash_cut_short_is_finished_by_the_next_start(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("bench", "b1", QUICK)
    desk.ledger.close()
    after = Desk(tmp_path)
    after.commands.resume()
    assert [(answer.status, answer.code) for answer in after.said] == [("failed", "interrupted")]


def fetch(desk: Desk, name: str = "") -> bytes:
    packed, part, parts = b"", 0, 1
    while part < parts:
        answer = desk.ask("bench-result", f"f{part}-{name}"[:20], {"name": name, "part": part})
        assert answer.status == "succeeded", answer
        packed += base64.b64decode(answer.data["zlib"])
        assert len(json.dumps(answer.data)) < 100_000
        part, parts = part + 1, answer.data["parts"]
    return zlib.decompress(packed)


def test_the_whole_result_is_fetched_in_parts(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.ask("bench", "b1", {"soak": True, "minutes": 10.0, "warmup_s": 0.0, "window_s": 0.5})
    turn(desk, lambda plan, told: make_run(plan, lambda at_s: 0.02 + 1e-3 * (at_s % 7), told=told).go())
    name = desk.said[-1].data["name"]
    found = fetch(desk, name)
    assert len(found) == desk.said[1].data.get("bytes", len(found))
    result = bench.decode(found, name)
    assert len(zlib.compress(found)) > PART_BYTES, "or this test shows nothing"
    assert len(result.windows) > 500
    assert fetch(desk) == found, "nothing named: the newest"


@pytest.mark.parametrize("name", ["../../etc/passwd", "absent", "..", "a/b"])
def test_only_what_is_kept_can_be_fetched(name: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    assert desk.ask("bench-result", "f", {"name": name}).code == "unknown"
    assert Desk().ask("bench-result", "f").code == "unknown"


def test_only_the_newest_results_are_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "bench").mkdir()
    for number in range(KEPT + 3):
        (tmp_path / "bench" / f"1999010{number:02}.json").write_text("{}")
    desk.ask("bench", "b1", QUICK)
    turn(desk)
    kept = sorted(path.name for path in (tmp_path / "bench").iterdir())
    assert len(kept) == KEPT
    assert kept[-1].startswith(desk.said[-1].data["name"])


def test_a_disk_that_refuses_costs_the_file_and_not_the_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "bench").touch()
    desk.ask("bench", "b1", QUICK)
    assert turn(desk)[-1] == "succeeded"
    assert desk.said[-1].data["name"] == ""
    assert "cannot be kept" in caplog.text


@pytest.mark.parametrize("scenario", ["single-stream", pytest.param("camera", marks=pytest.mark.slow)])
def test_the_service_measures_between_two_frames_and_goes_on(scenario: str, tmp_path: Path) -> None:
    config = settings.override(
        Config(),
        {"model.bundle": "demo:", "camera.uri": "demo:?fps=60", "device.state_dir": str(tmp_path / "state")},
    )
    said: list[Answer] = []
    frames: list[int] = []
    done = threading.Event()
    states: list[str] = []

    def say(answer: Answer) -> None:
        said.append(answer)
        if answer.status in FINAL:
            done.set()

    with Parts(config, service.time.monotonic) as parts:
        parts.remote.benching._progress = say
        parts.remote.benching._finish = say
        parts.telemetry.absent = _noting(states, parts.telemetry.absent)  # type: ignore[method-assign]
        stop = threading.Event()
        loop = service._Loop(
            parts, service.Limits(seconds=30), stop, patient=True, begun_s=0.0, clock=service.time.monotonic
        )

        def result(one: FrameResult) -> None:
            frames.append(one.frame.sequence)
            if len(frames) == 5:
                command = Command("bench", "b1", args={})
                assert parts.remote.benching(command, Plan(scenario=scenario, **QUICK)) is None  # type: ignore[arg-type]
            if done.is_set() and len(frames) > 15:
                stop.set()

        summary = loop.run(result)
    assert summary.ended == "stopped"
    assert said[-1].status == "succeeded", said[-1]
    assert said[-1].data["score"]["queries"] >= 5
    assert len(frames) > 15, "it went on"
    assert states == ["a benchmark runs, asked for by a command"]
    assert summary.blind_s >= 1.0, "the time counts as blind"
    kept = list((tmp_path / "state" / "bench").glob("*.json"))
    assert len(kept) == 1
    Draft202012Validator(bench.schema()).validate(json.loads(kept[0].read_text()))
    if scenario == "camera":
        assert bench.read(kept[0]).windows[0].age_p50_s is not None


def _noting(states: list[str], real: Callable[[str], None]) -> Callable[[str], None]:
    def absent(reason: str) -> None:
        states.append(reason)
        real(reason)

    return absent


def test_absence_is_told_as_updating_and_ends_with_what_the_camera_is_like() -> None:
    from agent.records import CameraStatus
    from tests.test_telemetry import Broker, telemetry

    broker = Broker()
    one = telemetry(broker)
    said: Any = broker.said
    one.camera_changed(CameraStatus("streaming"))
    assert one.absence == ""
    one.absent("a benchmark runs")
    assert one.absence == "a benchmark runs", "what `status` shows"
    one.camera_changed(CameraStatus("down", "unplugged"))
    assert said[-1] == ("state", "updating", "a benchmark runs") or said[-1][1] == "updating"
    one.back(CameraStatus("down", "unplugged"))
    assert one.absence == ""
    assert any(each[0] == "alarm" for each in said[-2:])
    one.stop()
