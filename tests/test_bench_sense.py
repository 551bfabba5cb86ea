"""What no run can have is refused, in a result and on the command line, and no file but a result is written over."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench import Plan, Result, ResultFile, decode, encode
from agent.bench.frames import mark, record
from agent.bench.store import is_strange
from agent.bench.sweep import Row
from agent.bench.sweep import encode as encode_rows
from agent.config import CameraConfig
from agent.errors import StorageError
from tests.bench_fakes import conditions, make_run
from tests.cases import make_clip
from tests.test_tools_compare import edge_tools
from tools.compare import differences
from tools.report import BEGIN, page

GOOD = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()


def changed(place: str, value: object) -> bytes:
    """The good result with one value another one."""
    found = json.loads(encode(GOOD))
    *way, last = place.split(".")
    inner: Any = found
    for step in way:
        inner = inner[int(step) if step.isdecimal() else step]
    inner[int(last) if last.isdecimal() else last] = value
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("windows.3.samples_per_s", 0, r"windows.*samples_per_s"),
        ("windows.3.samples_per_s", -1.0, r"windows.*samples_per_s"),
        ("windows.3.p50_s", -5.0, r"windows.*p50_s"),
        ("windows.3.p50_s", 1e300, r"windows.*p50_s"),
        ("windows.3.duration_s", 0.0, r"windows.*duration_s"),
        ("windows.3.queries", 0, r"windows.*queries"),
        ("windows.3.waited_share", -0.1, r"windows.*waited_share"),
        ("score.samples_per_s", 0.0, r"score.samples_per_s"),
        ("score.p99_s", 1e300, r"score.p99_s"),
        ("windows.3.p50_s", 0.0101, r"p50, p90, p99 and max of windows\[3\] do not rise"),
        ("windows.3.p99_s", 0.0099, r"of windows\[3\] do not rise"),
        ("score.p90_s", 0.02, r"of score do not rise"),
        ("stages.total.p50_s", 0.02, r"of stages.total do not rise"),
        ("stages.total.p50_s", -0.02, r"stages.total has a time that cannot be"),
        ("invalid_because", ["it was hot"], "valid is true beside reasons"),
        ("valid", False, "valid is false and invalid_because is empty"),
    ],
)
def test_figures_that_no_run_has_are_refused_with_their_place(place: str, value: object, words: str) -> None:
    with pytest.raises(StorageError, match=rf"^r\.json: is no result.*{words}") as refused:
        decode(changed(place, value), "r.json")
    assert "\n" not in str(refused.value)


def test_what_another_program_rounded_is_taken() -> None:
    assert decode(changed("windows.3.p50_s", 0.010000000001), "r.json").windows[3].p50_s > 0.01


@given(st.lists(st.floats(1e-6, 5.0), min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_whatever_a_run_measures_is_read_back(times_s: list[float], others: float) -> None:
    place = iter(range(10**9))
    result = make_run(
        Plan(warmup_s=0.0, seconds=1.0, queries=5),
        lambda _: times_s[next(place) % len(times_s)],
        lambda _: conditions(others_cores=others),
    ).go()
    assert decode(encode(result), "r.json") == result


def test_such_a_file_ends_the_tools_with_one_line(tmp_path: Path) -> None:
    good, bad, rows = (tmp_path / name for name in ("a.json", "b.json", "s.json"))
    good.write_bytes(encode(GOOD))
    bad.write_bytes(changed("windows.3.samples_per_s", 0))
    rows.write_bytes(
        b'{"format":"edge-agent-sweep/1","rows":[{"settings":{"runtime.num_threads":1},"result":'
        + bad.read_bytes()
        + b"}]}"
    )
    rest = tmp_path / "t.json"
    rest.write_bytes(rows.read_bytes().replace(bad.read_bytes(), changed("valid", False)))
    for done in (
        edge_tools("compare", good, bad),
        edge_tools("report", rows, "--out", tmp_path / "r.html"),
        edge_tools("report", rest, "--out", tmp_path / "r.html"),
    ):
        assert done.returncode == 74, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert ": is no " in done.stderr


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        (b"[camera]\nuri = 'demo:'\n", True),
        (b'{"format": "other/1"}', True),
        (b"\x89PNG", True),
        (b"", False),
        (encode(GOOD), False),
        (json.dumps(json.loads(encode(GOOD)), indent=2).encode(), False),
        (encode_rows([Row(settings={}, error="died")]), False),
    ],
)
def test_only_a_result_is_written_over(text: bytes, is_refused: bool, tmp_path: Path) -> None:
    out = tmp_path / "x"
    assert not is_strange(out)
    out.write_bytes(text)
    assert is_strange(out) == is_refused
    assert not is_strange(tmp_path), "a folder is refused elsewhere, with what to do"


def test_what_a_run_keeps_may_be_written_over_by_the_next(tmp_path: Path) -> None:
    ResultFile(tmp_path / "r.json", time.monotonic).partial(lambda: GOOD)
    assert not is_strange(tmp_path / "r.json")


def test_a_report_is_not_drawn_over_its_input_nor_over_anything_but_a_page(tmp_path: Path) -> None:
    result, other, out = (tmp_path / name for name in ("a.json", "notes.html", "r.html"))
    result.write_bytes(encode(GOOD))
    other.write_text("<html>mine</html>")
    for target, words in ((result, "is one of the results to draw"), (other, "is no page of report")):
        before = target.read_bytes()
        done = edge_tools("report", result, "--out", target)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert words in done.stderr
        assert target.read_bytes() == before
    out.write_text(page([]))
    assert page([]).startswith(BEGIN)
    assert edge_tools("report", result, "--out", out).returncode == 0
    assert "a.json" in out.read_text(), "a page takes the place of a page"


def test_a_row_without_a_result_stands_on_the_page_with_its_reason(tmp_path: Path) -> None:
    rows = [
        Row(settings={"runtime.num_threads": 1}, result=GOOD),
        Row(settings={"runtime.delegate": "edgetpu"}, error="the process died of <SIGSEGV>", exit_code=-11),
    ]
    (tmp_path / "s.json").write_bytes(encode_rows(rows))
    done = edge_tools("report", tmp_path / "s.json", "--out", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "r.html").read_text()
    assert "<td>s.json: delegate=edgetpu</td>" in text
    assert "failed: the process died of &lt;SIGSEGV&gt;" in text
    assert text.count("<section>") == 1


def source(result: Result, sha256: str) -> Result:
    env = result.environment
    named = msgspec.structs.replace(env.source, sha256=sha256)
    return msgspec.structs.replace(result, environment=msgspec.structs.replace(env, source=named))


def test_other_frames_under_the_same_name_are_told_and_an_older_file_is_taken() -> None:
    one, other = source(GOOD, "ab" * 32), source(GOOD, "cd" * 32)
    assert differences(one, other) == [
        "the frames differ: other pixels under the same name, sha256 abababababab and cdcdcdcdcdcd"
    ]
    assert differences(one, one) == differences(one, GOOD) == differences(GOOD, other) == []


def test_recorded_files_have_a_mark_and_rendered_scenes_have_none(assets: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    pictures = sorted((assets / "images/misc").glob("*.jpg"))
    make_clip(clip, pictures[0], 8)
    found = [record(CameraConfig(uri=str(clip)), 4).sha256 for _ in range(2)]
    assert found[0] == found[1]
    assert len(found[0]) == 64
    make_clip(clip, pictures[1], 8)
    assert record(CameraConfig(uri=str(clip)), 4).sha256 not in found
    assert record(CameraConfig(uri="demo:"), 2).sha256 == ""


def test_a_mark_knows_pixels_order_and_size() -> None:
    rng = np.random.default_rng(1)
    one, other = (rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(2))
    marks = {mark(each) for each in ((one,), (other,), (one, other), (other, one), (one.reshape(64, 48, 3),))}
    assert len(marks) == 5
    assert mark((one.copy(),)) == mark((one,))
