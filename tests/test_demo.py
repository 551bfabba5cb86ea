"""`edge-tools demo`: everything it starts, it ends; what is missing it works without, or says what to install."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import UnavailableError
from tests.servers.mosquitto import wait_until
from tools import broker
from tools.fleet.collector import Collector
from tools.fleet.web import listen
from tools.processes import running

COMMAND = [sys.executable, "-c", "from tools.cli import main; main()", "demo", "--no-open"]


class Demo:
    """A demo that runs, and the address of its page."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        (folder / "tmp").mkdir(exist_ok=True)
        self.tmp = folder / "tmp"
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(self.tmp), **environment},
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("end "):
                break

    @property
    def page(self) -> str:
        (line,) = [line for line in self.lines if line.startswith("live page")]
        return line.split()[2]

    def boards(self) -> list[dict[str, Any]]:
        return list(json.load(get(f"{self.page}api/boards")))

    def children(self) -> list[int]:
        """Everything that works in the demo's folder: the broker and the agent."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.tmp).encode() in (path / "cmdline").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def rest(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()


@pytest.fixture
def demos(tmp_path: Path) -> Iterator[list[Demo]]:
    made: list[Demo] = []
    yield made
    for demo in made:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.wait()


def get(address: str) -> http.client.HTTPResponse:
    found = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(found.netloc, timeout=5)
    connection.request("GET", found.path)
    return connection.getresponse()


@pytest.mark.broker
def test_it_shows_live_numbers_and_a_picture_and_ends_by_itself(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path, "--seconds", "8")
    demos.append(demo)
    assert wait_until(lambda: any(board["fps"] for board in demo.boards()))
    (board,) = demo.boards()
    assert (board["site"], board["id"], board["state"], board["model"]) == (
        "demo",
        "board",
        "online",
        "demo-parts 1.0.0",
    )
    assert board["objects"] > 2
    assert 0 < board["p50_s"] <= board["p99_s"] < 30
    assert board["rss_bytes"] > 50e6
    answer = get(f"{demo.page}api/boards/demo/board/frame")
    picture = answer.read()
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-sees"]
    assert picture.startswith(b"\xff\xd8\xff")
    assert demo.process.wait(60) == 0
    said = demo.rest()
    assert "frames in" in said, "the agent's summary"
    assert "ending everything" in said
    assert demo.children() == []
    assert list(demo.tmp.iterdir()) == []


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_every_process(tmp_path: Path, demos: list[Demo], number: signal.Signals) -> None:
    demo = Demo(tmp_path)
    demos.append(demo)
    assert wait_until(lambda: any(board["fps"] for board in demo.boards()))
    assert len(demo.children()) >= 2
    assert demo.end(number) == 0
    assert "frames in" in demo.rest()
    assert demo.children() == []
    assert list(demo.tmp.iterdir()) == []


@pytest.mark.broker
def test_ctrl_c_in_a_terminal_reaches_all_and_still_they_end_in_order(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path)
    demos.append(demo)
    assert wait_until(lambda: any(board["fps"] for board in demo.boards()))
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(60) == 0
    said = demo.rest()
    assert "ending everything" in said
    assert "WARNING" not in said, "the broker must not go before the agent has said goodbye"


@pytest.mark.broker
def test_ctrl_c_before_the_first_frame_is_no_failure(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path)
    demos.append(demo)
    assert demo.end(signal.SIGINT) == 0
    assert demo.children() == []


@pytest.mark.broker
def test_killed_it_leaves_no_process(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path)
    demos.append(demo)
    assert wait_until(lambda: len(demo.children()) >= 2)
    demo.end(signal.SIGKILL)
    assert wait_until(lambda: not demo.children())


@pytest.mark.broker
def test_what_the_agent_cannot_do_is_the_exit_code(tmp_path: Path, demos: list[Demo]) -> None:
    demo = Demo(tmp_path, "--camera", "/nowhere/clip.mp4")
    demos.append(demo)
    assert demo.process.wait(60) == 66
    assert "/nowhere/clip.mp4" in demo.lines[-1]
    assert not any(line.startswith("live page") for line in demo.lines), "there is nothing to see on it"


@pytest.mark.broker
def test_a_taken_port_is_named_and_a_free_one_is_found(tmp_path: Path, demos: list[Demo]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        result = subprocess.run([*COMMAND, "--port", str(number)], capture_output=True, text=True, check=False)
    assert result.returncode == 75
    assert f"port {number}: is taken" in result.stderr
    with listen(None, number) as first, listen(None, number) as second:
        assert number <= first.getsockname()[1] < second.getsockname()[1] < number + 20


@pytest.mark.broker
def test_without_a_folder_for_files_it_says_so(tmp_path: Path) -> None:
    code = "import tempfile; tempfile.tempdir = '/nowhere'; from tools.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--no-open", "--seconds", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 74
    assert "set TMPDIR" in result.stderr


def test_without_mosquitto_a_broker_in_python_does_the_work(tmp_path: Path) -> None:
    port = broker.free_port()
    name, command = broker.choose(tmp_path, port, mosquitto=lambda: None)
    assert name == "amqtt"
    with broker.started(name, command, port):
        collector = Collector("127.0.0.1", port)
        collector.start()
        settings = tmp_path / "agent.toml"
        settings.write_text(
            f'[device]\nsite = "demo"\nid = "board"\nstate_dir = "{tmp_path}"\n[measure]\nwindow_s = 1\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nprofile = "live"\n'  # else windows wait for the full minute
        )
        # It speaks MQTT 3.1.1 only, and to MQTT 5 it says nothing at all: the agent has to find that out.
        arguments = ("--config", str(settings), "--camera", "demo:", "--bundle", "demo:")
        with running([sys.executable, "-m", "agent", "run", *arguments], quiet=True):
            assert wait_until(lambda: any(board["fps"] for board in collector.view()), 60)
            reply = collector.ask("demo", "board", "snapshot", 30.0)
        collector.stop()
    assert reply is not None
    assert reply.status == "succeeded"


def test_without_any_broker_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['amqtt'] = None; from tools import broker; broker.choose(None, 1, lambda: None)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "apt install mosquitto" in result.stderr


def test_a_broker_that_does_not_start_is_told() -> None:
    with pytest.raises(UnavailableError, match="does not start"), broker.started("true", ["true"], 1):
        pass


def test_the_page_stays_on_this_machine() -> None:
    with listen(None) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
