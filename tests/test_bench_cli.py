"""``edge-agent bench`` as a person meets it: the result, its schema, and everything that goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from agent.bench import Plan, ResultFile, decode, encode, read, schema
from agent.bench.frames import MOST_BYTES, held_by, record, take
from agent.bench.result import MOST_BYTES as MOST_RESULT_BYTES
from agent.config import CameraConfig
from agent.errors import StorageError
from agent.records import Frame
from tests.bench_fakes import make_run
from tests.cases import COCO, edge_agent
from tests.servers.mosquitto import wait_until

QUICK = ("--seconds", 1, "--queries", 20, "--warmup", 0, "--frames", 4)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    Draft202012Validator(schema()).validate(found)
    return found


def test_a_run_on_rendered_scenes_writes_a_whole_result(tmp_path: Path) -> None:
    done = edge_agent("bench", *QUICK, "--out", tmp_path / "r.json")
    assert done.returncode in {0, 75}, done.stderr
    found = load(tmp_path / "r.json")
    assert (found["ended"], found["format"]) == ("done", "edge-agent-bench/1")
    assert found["score"]["queries"] >= 20
    assert found["valid"] == (done.returncode == 0) == (found["invalid_because"] == [])
    assert len(found["environment"]["model"]["sha256"]) == 64
    assert found["environment"]["source"]["frames"] == 4
    assert found["start"]["load_s"] > 0
    assert {"preprocess", "invoke", "postprocess", "total"} == set(found["stages"])
    for word in ("SingleStream", "p99", "invoke", "frames/s", "not given"):
        assert word in done.stdout
    assert "\r" not in done.stderr, "no bar in a pipe"


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["multi-stream", "offline", "camera"])
def test_every_scenario_runs(scenario: str, tmp_path: Path) -> None:
    done = edge_agent("bench", *QUICK, "--scenario", scenario, "--json", "--queries", 3)
    assert done.returncode in {0, 75}, done.stderr
    found = json.loads(done.stdout)
    Draft202012Validator(schema()).validate(found)
    one = found["windows"][0]
    per_query = {"multi-stream": 8}.get(scenario, 1)
    assert one["samples_per_s"] * one["duration_s"] == pytest.approx(per_query * one["queries"])
    assert ("age" in found["stages"]) == (scenario == "camera")
    assert (one["dropped"] is not None) == (scenario == "camera")
    assert not list(tmp_path.iterdir())


def test_the_schema_is_printed_and_is_the_one_in_docs() -> None:
    printed = json.loads(edge_agent("bench", "--schema").stdout)
    assert printed == schema()
    assert printed == json.loads((Path(__file__).parent.parent / "docs" / "schemas" / "bench-result.json").read_text())


def begin(out: Path, *more: object) -> subprocess.Popen[str]:
    """A soak that has written its first partial result."""
    arguments = [
        sys.executable,
        "-m",
        "agent",
        "bench",
        "--soak",
        "--window",
        "0.2",
        "--warmup",
        "0",
        "--out",
        str(out),
    ]
    child = subprocess.Popen(
        [*arguments, *map(str, more)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not wait_until(out.exists, 90.0):
        child.kill()  # or its last words are waited for until the soak is over
        pytest.fail(f"no result so far: {child.communicate()}")
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_soak_that_is_stopped_keeps_what_it_has_and_says_so(number: int, tmp_path: Path) -> None:
    child = begin(tmp_path / "soak.json")
    child.send_signal(number)
    stdout, stderr = child.communicate(timeout=60)
    assert child.returncode == 75, stderr
    found = load(tmp_path / "soak.json")
    assert found["ended"] == "stopped"
    assert "it was stopped after" in found["invalid_because"][0]
    assert found["windows"]
    assert "it was stopped after" in stdout


def test_a_soak_that_is_killed_leaves_a_partial_result(tmp_path: Path) -> None:
    child = begin(tmp_path / "soak.json")
    child.kill()
    child.communicate(timeout=60)
    found = load(tmp_path / "soak.json")
    assert found["ended"] == "running"
    assert not found["valid"]
    assert "broken off" in found["invalid_because"][0]
    assert found["windows"]


def refused(code: int, *arguments: object, words: tuple[str, ...] = (), **environment: str) -> None:
    done = edge_agent("bench", *QUICK, *arguments, **environment)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert "bug" not in last
    for word in words:
        assert word in done.stderr, done.stderr


def test_bad_input_is_one_line_and_its_code(assets: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(b"\xff\xd8\xff no picture")
    model = ("--model", assets / COCO)
    refused(66, *model, "--camera", empty, words=("no pictures in this folder",))
    refused(66, *model, "--camera", broken, words=("can be decoded",))
    refused(2, "--scenario", "server")
    refused(75, "--delegate", "/nowhere/delegate.so", words=("no such file",))
    refused(74, "--out", tmp_path / "no" / "r.json", words=("cannot be written", "--out"))
    refused(74, "--out", tmp_path, words=("is a folder",))


@pytest.mark.slow
def test_a_folder_with_one_good_picture_among_broken_ones_is_measured(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (tmp_path / "b.jpg").write_bytes((assets / "images/misc/pets.jpg").read_bytes())
    out = tmp_path / "r.json"
    done = edge_agent("bench", *QUICK, "--model", assets / COCO, "--camera", tmp_path, "--out", out)
    assert done.returncode in {0, 75}, done.stderr
    source = load(out)["environment"]["source"]
    assert (source["frames"], source["corrupt"]) == (1, 1)


def test_a_disk_that_fills_while_it_runs_costs_the_file_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = ResultFile(tmp_path / "r.json", time.monotonic)
    result = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        file.partial(lambda: result)
        with pytest.raises(StorageError, match="cannot be written"):
            file.final(result)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be kept" in caplog.text
    file.final(result)
    assert read(tmp_path / "r.json") == result


def test_partial_results_are_written_ever_more_rarely(tmp_path: Path) -> None:
    now = [0.0]
    file = ResultFile(tmp_path / "r.json", lambda: now[0])
    result = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    written = []
    for second in range(3600):
        now[0] = float(second)
        file.partial(lambda: written.append(second) or result)  # noqa: B023
    assert written[:3] == [0, 10, 20]
    assert len(written) < 90
    assert written[-1] > 3400


def test_frames_are_as_many_as_asked_for_and_no_more_than_memory_has(assets: Path) -> None:
    footage = record(CameraConfig(uri="demo:?seed=5"), 7)
    assert len(footage.frames) == 7
    assert len({frame.tobytes() for frame in footage.frames}) == 7, "each is a picture of its own"
    large = np.zeros((4000, 4000, 3), np.uint8)
    frame = Frame(large, 0.0, 1, np.zeros((36, 64), np.uint8))
    assert len(take(lambda: frame, 64)) == MOST_BYTES // large.nbytes
    assert len(record(CameraConfig(uri=str(assets / "images/misc/pets.jpg")), 64).frames) == 1, "a recording ends"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"format": "other/1"}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_result_is_refused_by_name(text: bytes) -> None:
    with pytest.raises(StorageError, match=r"r\.json: is no result"):
        decode(text, "r.json")


def test_fields_of_a_later_version_are_passed_over() -> None:
    result = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    later = json.loads(encode(result)) | {"later": 1}
    assert decode(json.dumps(later).encode(), "r.json") == result


def test_on_a_terminal_a_bar_shows_the_time_to_go(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "agent", "bench", *map(str, QUICK), "--window", "0.2"]
    child = subprocess.Popen(
        [*arguments, "--out", str(tmp_path / "r.json")], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert child.wait(60) in {0, 75}
    assert b"fps, p99" in shown
    assert b"100%" in shown
    assert re.search(rb"\d\d:\d\d:\d\d", shown), "the time to go"


def test_a_camera_that_somebody_else_has_is_answered_with_the_way_to_measure_all_the_same() -> None:
    assert "bench" in held_by("/dev/video0: opens, but gives no picture: in use by another program, unplugged, or")
    assert "bench" in held_by("Device or resource busy")
    assert held_by("no such camera") == ""


def test_a_folder_without_permission_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    refused(74, "--out", tmp_path / "r.json", words=("Permission denied",))


def test_a_folder_and_a_file_that_is_no_result_by_its_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"is a folder; name a file in it \(--out .*result\.json\)"):
        ResultFile(tmp_path, time.monotonic)
    ResultFile(tmp_path / "r.json", time.monotonic)
    assert not list(tmp_path.iterdir()), "what it was tried with is gone"
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(MOST_RESULT_BYTES + 1)
    with pytest.raises(StorageError, match="larger than any result"):
        read(tmp_path / "large.json")


def test_a_disk_that_refuses_again_and_again_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    folder = tmp_path / "d"
    folder.mkdir()
    file = ResultFile(folder / "r.json", lambda: now[0])
    folder.rmdir()
    result = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    for second in (0.0, 50.0, 100.0):
        now[0] = second
        file.partial(lambda: result)
    assert caplog.text.count("cannot be kept") == 1
