"""Sweeping and tuning: a crash costs one row, the best one is chosen, and the file keeps its comments."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import config as settings
from agent.bench import Plan, Result
from agent.bench.choice import NEAR, best, to_write
from agent.bench.sweep import Row, _longest_s, _options, _row, _wait, combinations, measured, sweep, table
from agent.bench.tune import BACKUP, edited, tune
from agent.cli.sweeping import Wish
from agent.cli.sweeping import sweep as command
from agent.config import Config
from agent.errors import ConfigError, StorageError
from tests.bench_fakes import conditions, make_run
from tests.cases import edge_agent

QUICK = ("--seconds", 1, "--queries", 20, "--warmup", 0, "--frames", 4)


def result(latency_s: float = 0.01, celsius: float | None = 50.0, **seen: Any) -> Result:
    return make_run(Plan(warmup_s=0.0), lambda _: latency_s, lambda _: conditions(celsius, **seen)).go()


def row(threads: int, found: Result | None, error: str = "", *, ran: int | None = None) -> Row:
    if found is not None:
        env = found.environment
        runtime = replace(env.runtime, num_threads=ran or threads)
        found = msgspec.structs.replace(found, environment=msgspec.structs.replace(env, runtime=runtime))
    return Row(settings={"runtime.num_threads": threads}, result=found, error=error)


def test_every_combination_is_one_row() -> None:
    found = combinations(["threads=1,2,4", "delegate=none,edgetpu"], Config())
    assert len(found) == 6
    assert {"runtime.num_threads": 4, "runtime.delegate": "edgetpu"} in found
    assert {"runtime.num_threads": 1, "runtime.delegate": ""} in found


@pytest.mark.parametrize(
    "asked", ["threads", "threads=", "threads=two", "threads=0", "threads=999", "speed=1", "backend=other", "=1"]
)
def test_what_cannot_be_swept_is_refused_before_anything_runs(asked: str) -> None:
    with pytest.raises(ConfigError):
        combinations([asked], Config())
    with pytest.raises(ConfigError, match="at most 200"):
        combinations([f"threads={','.join(map(str, range(1, 65)))}", "model=a,b,c,d"], Config())


def test_the_best_is_the_fastest_that_is_valid_and_within_the_limits() -> None:
    fast = row(4, result(0.010, 80.0))
    cool = row(2, result(0.012, 60.0))
    slow = row(1, result(0.020, 50.0))
    spoilt = row(3, result(0.005, others_cores=1.0))
    rows = [slow, cool, fast, spoilt, row(8, None, "the process died of SIGSEGV")]
    assert best(rows) is fast
    assert best(rows, celsius=70.0) is cool
    assert best(rows, p99_s=0.011) is fast
    assert best(rows, p99_s=0.001) is None
    assert best([row(1, result(0.01, None))], celsius=70.0) is None, "who does not know its heat keeps to no limit"
    said = table(rows, fast)
    assert "* threads=4" in said
    assert "died of SIGSEGV" in said
    assert "not valid: other processes" in said


def test_what_ran_counts_and_not_what_was_asked_for() -> None:
    one, two = row(1, result(0.010)), row(2, result(0.008), ran=1)
    assert best([one, two]) is one, "the same in effect: the first counts, whatever the noise says"
    assert best([two]) is two
    assert to_write(two) == {"runtime.num_threads": 1}
    assert "threads=2 (ran on 1)" in table([one, two], one)
    assert "threads=1  " in table([one, two], one)
    spoilt = row(1, result(0.010, others_cores=1.0))
    assert best([spoilt, two]) is two, "what is not valid stands in nobody's way"


def test_of_rows_as_fast_as_each_other_the_one_with_fewer_threads_is_taken() -> None:
    four = row(4, result(0.010))
    near, far = row(2, result(0.010 * (1 + 0.8 * NEAR))), row(1, result(0.010 * (1 + 2 * NEAR)))
    assert best([four, near, far]) is near
    assert best([four, far]) is four


def test_a_crash_a_refusal_and_silence_are_rows() -> None:
    assert _row({}, -11, b"", b"").error == "the process died of SIGSEGV"
    assert (
        _row({}, 75, b"", b"INFO x\nedge-agent: delegate 'edgetpu': not there\n").error
        == "delegate 'edgetpu': not there"
    )
    assert _row({}, 3, b"{}", b"").error == "exit code 3"


def test_a_plan_travels_as_options_and_comes_back() -> None:
    words = _options(Plan(seconds=2.0, queries=7, soak=True, official=True, window_s=0.5))
    for word in ("--seconds", "2.0", "--queries", "7", "--soak", "--official", "--window", "0.5"):
        assert word in words


def other(found: Row, **runtime: Any) -> Row:
    """The same row, measured with something else."""
    assert found.result is not None
    env = found.result.environment
    model = msgspec.structs.replace(env.model, sha256=runtime.pop("sha256", env.model.sha256))
    changed = msgspec.structs.replace(env, runtime=replace(env.runtime, **runtime), model=model)
    return msgspec.structs.replace(found, result=msgspec.structs.replace(found.result, environment=changed))


@pytest.mark.parametrize("what", [{"delegate": "edgetpu"}, {"backend": "tflite-runtime"}, {"sha256": "cd" * 32}])
def test_of_two_that_differ_the_faster_is_taken_whichever_came_first(what: dict[str, str]) -> None:
    slow = row(2, result(0.010))
    fast = other(row(2, result(0.010 * (1 - NEAR / 2))), **what)
    assert best([slow, fast]) is fast, "not the same in effect: the first does not count"
    assert best([fast, slow]) is fast


def test_limits_are_held_by_the_tail_and_by_every_window() -> None:
    tailed = row(1, make_run(Plan(warmup_s=0.0), lambda at_s: 0.050 if int(at_s * 100) % 20 == 0 else 0.010).go())
    assert tailed.result is not None
    assert tailed.result.score is not None
    assert tailed.result.score.p50_s < 0.02 < tailed.result.score.p99_s
    assert best([tailed]) is tailed
    assert best([tailed], p99_s=0.02) is None
    warming = make_run(Plan(warmup_s=0.0), lambda _: 0.01, lambda at_s: conditions(50.0 + at_s / 4)).go()
    assert best([row(1, warming)], celsius=60.0) is None, "it was cool at the begin only"


def test_a_swept_model_is_not_written_down_and_stands_in_a_bundles_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = row(2, result())
    swept = msgspec.structs.replace(found, settings=found.settings | {"model.path": "b.tflite"})
    assert to_write(swept) == {"runtime.num_threads": 2}
    with_bundle = settings.override(Config(), {"model.bundle": "demo:"})
    assert combinations(["model=a.tflite"], with_bundle) == [{"model.path": "a.tflite"}]
    monkeypatch.chdir(tmp_path)
    rows = list(sweep(with_bundle, Plan(seconds=1.0), [{"model.path": "gone.tflite"}]))
    assert str(tmp_path / "gone.tflite") in rows[0].error, "a path means what it meant where the sweep began"
    assert "model.bundle" not in rows[0].error


def test_words_of_a_sweep_mean_what_they_say() -> None:
    assert combinations(["delegate=cpu,none"], Config()) == [{"runtime.delegate": ""}] * 2
    hot = make_run(Plan(warmup_s=0.0), lambda _: 0.01, lambda at_s: conditions(50.0 + at_s)).go()
    assert "  109" in table([row(1, hot)], None) or "  110" in table([row(1, hot)], None), "the hottest window counts"
    assert _row({}, 70, b"", b"edge-agent: first\nedge-agent: last\n").error == "last"


class Child:
    """A process that never ends by itself."""

    def __init__(self) -> None:
        self.signals: list[str] = []

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        if self.signals:
            return b"", b"ended"
        raise subprocess.TimeoutExpired("child", timeout)

    def terminate(self) -> None:
        self.signals.append("terminate")

    def kill(self) -> None:
        self.signals.append("kill")


def test_a_child_is_ended_when_a_person_stops_and_when_it_takes_far_too_long() -> None:
    stopped, hangs = Child(), Child()
    asked = iter([False, False, True])
    _wait(stopped, 1e6, lambda: next(asked))  # type: ignore[arg-type]
    assert stopped.signals == ["terminate"]
    _wait(hangs, 5.0, lambda: False)  # type: ignore[arg-type]
    assert hangs.signals == ["kill"]
    assert _longest_s(Plan(seconds=10.0, warmup_s=5.0)) > 2 * 15.0, "a slow board goes on until it has its queries"
    assert _longest_s(Plan(soak=True, minutes=60.0)) > 2 * 3600.0


def test_a_sweep_that_is_stopped_begins_no_further_row() -> None:
    config = settings.override(Config(), {"model.bundle": "demo:"})
    assert list(sweep(config, Plan(), [{"runtime.num_threads": 1}], lambda: True)) == []


class Swept:
    """The command line's sweep over rows that a test makes up."""

    def __init__(self, patch: pytest.MonkeyPatch, *rows: Row, stopped: bool = False) -> None:
        self.rows, self.stopped = rows, stopped
        patch.setattr("agent.bench.sweep.sweep", self.sweep)
        for name in ("agent.cli.sweeping.log_to", "agent.console.LogLines", "agent.console.StatusLine"):
            patch.setattr(name, lambda *_: None)  # log and terminal are the test's own

    def sweep(self, *given: Any) -> Iterator[Row]:
        yield from self.rows
        if self.stopped:
            given[3].__self__.set()  # as a signal would

    def run(self, wish: Wish, *, as_json: bool = False) -> int:
        return command(settings.override(Config(), {"model.bundle": "demo:"}), Plan(), wish, as_json=as_json)


def wish(path: Path, **more: Any) -> Wish:
    return Wish(["threads=1,2"], path, **({"tune": False} | more))


def test_a_sweep_chooses_within_its_limits_and_writes_the_best_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[runtime]\nnum_threads = 8\n")
    rows = row(1, result(0.020, 50.0)), row(2, result(0.010, 80.0))
    swept = Swept(monkeypatch, *rows)
    assert swept.run(wish(path)) == 0
    assert "* threads=2" in capsys.readouterr().out
    assert path.read_text() == "[runtime]\nnum_threads = 8\n", "nobody asked for it"
    assert swept.run(wish(path, limit_celsius=60.0)) == 0
    assert "* threads=1" in capsys.readouterr().out
    assert swept.run(wish(path, limit_p99_ms=15.0, tune=True)) == 0
    assert settings.load(path).runtime.num_threads == 2
    assert "tuned; the old file is" in capsys.readouterr().err
    assert swept.run(wish(path, limit_p99_ms=5.0, tune=True)) == 75
    assert "no valid row keeps to the limits: nothing is chosen" in capsys.readouterr().err


def test_a_sweep_that_was_stopped_keeps_its_rows_and_says_so_by_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "s.json"
    rows = row(1, result(0.020)), row(2, result(0.010))
    assert Swept(monkeypatch, *rows, stopped=True).run(wish(tmp_path / "a.toml", out=out)) == 75
    kept = measured(out.read_bytes(), "s.json")
    assert kept is not None
    assert [said for said, _ in kept] == ["threads=1", "threads=2"]
    with pytest.raises(StorageError, match="cannot be written"):
        Swept(monkeypatch).run(wish(tmp_path / "a.toml", out=tmp_path / "no" / "s.json"))


def test_what_is_not_speed_alone_is_left_to_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("")
    found = msgspec.structs.replace(row(1, result()), settings={"model.path": "b.tflite"})
    asked = Wish(["model=b.tflite"], path, tune=True)
    assert Swept(monkeypatch, found).run(asked) == 0
    assert "left as it is; only threads, backend and delegate" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["agent.toml"]


@pytest.mark.slow
def test_a_sweep_measures_each_in_its_own_process_and_tunes_the_file(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        '[camera]\nuri = "demo:"\n\n[model]\nbundle = "demo:"\n\n[runtime]  # tried\nnum_threads = 1 # mine\n'
    )
    out = tmp_path / "sweep.json"
    done = edge_agent(
        "bench",
        *QUICK,
        "--config",
        config,
        "--sweep",
        "threads=1,2",
        "--sweep",
        "delegate=none,/absent.so",
        "--out",
        out,
    )
    assert done.returncode in {0, 75}, done.stderr
    found = json.loads(out.read_text())
    assert [each["exit_code"] in {0, 75} for each in found["rows"]] == [True] * 4
    measured = [each for each in found["rows"] if each["result"]]
    assert [each["settings"]["runtime.num_threads"] for each in measured] == [1, 2]
    assert [each["result"]["environment"]["runtime"]["num_threads"] for each in measured] == [1, 1]
    absent = [each for each in found["rows"] if not each["result"]]
    assert len(absent) == 2
    assert all("/absent.so" in each["error"] for each in absent)
    assert "threads=2 (ran on 1), delegate=none" in done.stdout


def test_tune_needs_a_sweep_and_a_file() -> None:
    assert edge_agent("bench", "--tune").returncode == 2


def test_what_every_row_would_refuse_is_refused_before_the_first(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[camera]\nuri = "demo:"\n')
    done = edge_agent("bench", *QUICK, "--config", config, "--sweep", "threads=1,2")
    assert done.returncode == 78, done.stderr
    assert done.stderr.count("no model is named") == 1
    assert "done" not in done.stderr
    config.write_text('runtime = {num_threads = 1}\ncamera.uri = "demo:"\nmodel.bundle = "demo:"\n')
    done = edge_agent("bench", *QUICK, "--config", config, "--sweep", "threads=1,2", "--tune")
    assert done.returncode == 78, done.stderr
    assert "write it in yourself" in done.stderr
    assert "done" not in done.stderr
    (tmp_path / "link.toml").symlink_to(config)
    done = edge_agent("bench", *QUICK, "--config", tmp_path / "link.toml", "--sweep", "threads=1", "--tune")
    assert done.returncode == 78, done.stderr
    assert "1 of 1" not in done.stderr


def test_a_sweep_is_kept_by_the_usual_name_and_without_a_valid_row_no_limit_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--sweep", "delegate=/absent.so")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.chdir(tmp_path)
    done = edge_agent("bench", *QUICK, *words)
    kept = [one.name for one in tmp_path.glob("bench-*.json")]
    assert len(kept) == 1
    assert f"written to {kept[0]}" in done.stderr
    assert done.returncode == 75
    assert done.stderr.splitlines()[-1] == "no row is valid: nothing is chosen"


COMMENTED = """\
# the board at the door
[camera]
uri = "usb:0"   # left one

[runtime] # measured
#num_threads = 1
num_threads = 2  # all cores
backend = 'auto'
# end

[model]
path = "a # b.tflite"
"""


def test_only_the_lines_concerned_change(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(COMMENTED)
    path.chmod(0o640)
    backup = tune(path, {"runtime.num_threads": 4, "runtime.backend": "litert", "runtime.delegate": "edgetpu"})
    assert backup == tmp_path / f"agent.toml{BACKUP}"
    assert backup.read_text() == COMMENTED
    assert path.stat().st_mode & 0o777 == 0o640
    before, after = COMMENTED.splitlines(), path.read_text().splitlines()
    assert [line for line in after if line not in before] == [
        'delegate = "edgetpu"',
        "num_threads = 4  # all cores",
        'backend = "litert"',
    ]
    assert [line for line in before if line not in after] == ["num_threads = 2  # all cores", "backend = 'auto'"]
    assert settings.load(path).runtime.num_threads == 4


@pytest.mark.parametrize(
    "text",
    [
        "runtime = {num_threads = 1}\n",
        "runtime.num_threads = 1\n",
        '[model]\npath = """\n[runtime]\nnum_threads = 9\n"""\n',
        '["runtime"]\nnum_threads = 1\n',
    ],
)
def test_a_layout_that_is_not_foreseen_is_refused_and_stays(text: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"runtime\.num_threads = 4"):
        tune(path, {"runtime.num_threads": 4})
    assert path.read_text() == text
    assert [one.name for one in tmp_path.iterdir()] == ["agent.toml"]


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("")
    (tmp_path / "link.toml").symlink_to(path)
    with pytest.raises(ConfigError, match="is a link"):
        tune(tmp_path / "link.toml", {"runtime.num_threads": 4})
    with pytest.raises(ConfigError, match="is no file"):
        tune(tmp_path / "absent.toml", {"runtime.num_threads": 4})
    if os.geteuid() != 0:
        path.chmod(0o400)
        with pytest.raises(ConfigError, match="not ours"):
            tune(path, {"runtime.num_threads": 4})


@given(
    st.lists(
        st.sampled_from(["", "# c", "[runtime]", "num_threads = 3", "[model]", "score_threshold = 0.1"]), max_size=8
    ),
    st.integers(1, 64),
)
def test_whatever_the_file_it_is_right_or_left_alone(lines: list[str], threads: int) -> None:
    text = "\n".join(lines)
    try:
        before = settings.parse(text)
    except ConfigError:
        return
    new = edited(text, {"runtime.num_threads": threads})
    assert settings.parse(new) == msgspec.structs.replace(
        before, runtime=msgspec.structs.replace(before.runtime, num_threads=threads)
    )
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in new.splitlines() if line.startswith("#")
    ]
