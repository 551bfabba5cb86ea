"""What ``bench`` refuses before it begins, and the codes it ends with."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import agent.cli as command_line
from agent.cli.local import _exit_code
from agent.local.wire import Reply


def bench(*arguments: object) -> Any:
    """The command, in this process; what is refused here is refused before a model is loaded."""
    return CliRunner().invoke(command_line.app, ["bench", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--seconds", "1e99", "must be at most 86400"),
        ("--seconds", "inf", "must be at most 86400"),
        ("--seconds", "0.5", "must be at least 1"),
        ("--seconds", "-inf", "must be at least 1"),
        ("--queries", "1" + "0" * 23, "100000000"),
        *((name, "nan", "'nan' is no number") for name in ("--seconds", "--warmup", "--window", "--minutes")),
        *((name, "nan", "'nan' is no number") for name in ("--limit-p99-ms", "--limit-celsius")),
        ("--limit-celsius", "inf", "no number to work with"),
        ("--window", "soon", "'soon' is no number"),
    ],
)
def test_numbers_out_of_range_are_refused_before_the_run(option: str, value: str, words: str) -> None:
    done = bench(option, value)
    assert done.exit_code == 2, done.output
    assert option in done.output

    assert words in done.output


@pytest.mark.parametrize(
    "words", [("--seconds", 2, "--window", 2.5), ("--window", 61), ("--soak", "--minutes", 0.1, "--window", 7)]
)
def test_a_window_longer_than_the_run_is_refused(words: tuple[object, ...]) -> None:
    done = bench(*words)
    assert done.exit_code == 2, done.output
    assert "is longer than the run of" in done.output


@pytest.mark.parametrize("more", [(), ("--sweep", "threads=1")])
def test_the_configuration_is_not_written_over_by_its_own_run(more: tuple[str, ...], tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[camera]\nuri = "demo:"\n[model]\nbundle = "demo:"\n')
    before = config.read_text()
    done = bench("--config", config, "--out", config, *more)
    assert done.exit_code == 2, done.output
    assert "is no result of bench; name another file" in done.output
    assert config.read_text() == before


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [("succeeded", "ok", 0), ("succeeded", "", 0), ("succeeded", "not-valid", 75), ("rejected", "bad-args", 2)],
)
def test_a_benchmark_that_is_asked_for_ends_as_one_that_is_run(status: Any, code: str, exit_code: int) -> None:
    assert _exit_code(Reply(op="bench", ref="b1", status=status, code=code)) == exit_code


def interrupted(place: str, then: str) -> subprocess.CompletedProcess[str]:
    """``edge-agent bench`` that gets SIGINT at one place of its code: where ``place`` is looked for to be imported."""
    hook = f"""
import os, signal, sys
class Hook:
    def find_spec(self, name, *_):
        if name == {place!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Hook())
sys.argv = ["edge-agent", "bench"]
{then}
"""
    return subprocess.run([sys.executable, "-c", hook], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("place", "then"),
    [
        ("agent.cli.benching", "from agent.cli import main; main()"),
        ("agent.bench", "from agent.cli import main; main()"),
        ("nowhere", "from agent.cli import entry\ndef app():\n    import nowhere\nentry.app = app; entry.main()"),
    ],
)
def test_ctrl_c_before_anything_has_begun_is_silent(place: str, then: str) -> None:
    done = interrupted(place, then)
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert done.stderr == ""
