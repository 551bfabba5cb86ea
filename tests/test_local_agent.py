"""The command line and a real agent process, over the local socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.local import place
from tests.cases import edge_agent, json_lines
from tests.servers.mosquitto import wait_until


@pytest.fixture(autouse=True)
def no_runtime_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As started by a person: the socket lies in the state folder."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(f'[device]\nid = "cam1"\nstate_dir = "{tmp_path / "state"}"\n[measure]\nwindow_s = 1.0\n')
    return path


def start(settings: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agent", "run", "--config", settings, "--bundle", "demo:", "--camera", "demo:"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert wait_until(lambda: edge_agent("status", "--config", settings).returncode == 0, 30.0)
    return child


def test_without_an_agent_it_says_so_in_one_line(settings: Path, tmp_path: Path) -> None:
    for words in (["status"], ["ask", "diag"], ["status", "--socket", tmp_path]):
        result = edge_agent(*words, *([] if "--socket" in words else ["--config", settings]))
        assert result.returncode == 75
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("edge-agent: no agent found (looked in ")
        assert line.endswith("give the --config it was started with, or --socket FOLDER")


def test_what_is_no_argument_is_a_usage_error(settings: Path) -> None:
    result = edge_agent("ask", "diag", "lines", "--config", settings)
    assert result.returncode == 2
    assert "NAME=VALUE" in result.stderr


@pytest.mark.slow
def test_a_running_agent_answers_and_a_dead_ones_place_is_taken(settings: Path, tmp_path: Path) -> None:
    child = start(settings)
    try:
        shown = edge_agent("status", "--config", settings)
        assert "board    home/cam1, edge-agent" in shown.stdout
        assert wait_until(lambda: "fps" in json_lines(edge_agent("status", "--json", "--config", settings).stdout)[0])
        told = json_lines(edge_agent("status", "--json", "--config", settings).stdout)[0]
        assert told["state"] == "online"
        assert told["stages"]["invoke"]["p50_s"] > 0
        assert told["pace"]["acted"] is False

        done = edge_agent("ask", "loglevel", "level=debug", "for_s=2", "--config", settings)
        assert done.returncode == 0, done.stderr
        assert json_lines(done.stdout)[-1]["status"] == "succeeded"
        wrong = edge_agent("ask", "loglevel", "level=loud", "--config", settings)
        assert (wrong.returncode, json_lines(wrong.stdout)[-1]["code"]) == (2, "bad-args")
        nothing = edge_agent("ask", "relearn", "--config", settings)
        assert (nothing.returncode, json_lines(nothing.stdout)[-1]["code"]) == (78, "off")
        picture = tmp_path / "now.jpg"
        assert edge_agent("ask", "snapshot", "--save", picture, "--config", settings).returncode == 0
        assert picture.read_bytes()[:2] == b"\xff\xd8"

        with socket.socket(socket.AF_UNIX) as hostile, place.address(tmp_path / "state") as address:
            hostile.connect(address)
            hostile.sendall(b'{"op": "status"')
            second = edge_agent("run", "--config", settings, "--bundle", "demo:", "--camera", "demo:", "--frames", 3)
        assert second.returncode == 0
        assert f"another agent (process {child.pid}) runs on this state" in second.stderr
        assert edge_agent("status", "--config", settings).returncode == 0, "the first one keeps its place"

        os.kill(child.pid, signal.SIGKILL)
        child.wait(60)
        assert edge_agent("status", "--config", settings).returncode == 75
        assert (tmp_path / "state" / place.NAME).exists()
        child = start(settings)
        ended = edge_agent("ask", "restart", "--config", settings)
        assert (ended.returncode, json.loads(ended.stdout.splitlines()[-1])["status"]) == (0, "succeeded")
        assert child.wait(60) == 75
        assert not (tmp_path / "state" / place.NAME).exists()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(60)
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()


@pytest.mark.slow
def test_with_a_broker_a_second_agent_on_the_same_state_does_not_start(settings: Path) -> None:
    child = start(settings)
    try:
        text = settings.read_text() + '[mqtt]\nhost = "127.0.0.1"\nport = 9\n'
        other = settings.with_name("other.toml")
        other.write_text(text)
        second = edge_agent("run", "--config", other, "--bundle", "demo:", "--camera", "demo:", "--frames", 3)
        assert second.returncode == 75
        assert "give this one a device.state_dir of its own" in second.stderr
    finally:
        child.terminate()
        child.communicate(timeout=60)
