"""A board measures itself on command, over a real broker: it says so, answers, goes on, and survives being killed."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import bench
from tests.servers.mosquitto import Mosquitto, Observer, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

P = "edge/v1/home/cam1"
QUICK = {"seconds": 2.0, "queries": 5, "warmup_s": 0.0, "frames": 4}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop(signal.SIGKILL)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Services that end however the test ends."""
    children: list[subprocess.Popen[bytes]] = []
    yield children
    for child in children:
        child.kill()
        child.wait()


def service(folder: Path, port: int, started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    path = folder / "agent.toml"
    path.write_text(
        f'[device]\nid = "cam1"\nstate_dir = "{folder}/state"\n[camera]\nuri = "demo:"\n[model]\nbundle = "demo:"\n'
        f'[measure]\nwindow_s = 1.0\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        'profile = "live"\nresolution_s = 0\nhealth_s = 1.0\n'
    )
    words = [sys.executable, "-m", "agent", "run", "--config", str(path)]
    started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ))
    return started[-1]


def payloads(observer: Observer, topic: str) -> list[dict[str, Any]]:
    return [json.loads(body) for where, body, _ in list(observer.messages) if where == f"{P}/{topic}" and body]


def states(observer: Observer) -> list[str]:
    return [each["state"] for each in payloads(observer, "state")]


def ask(observer: Observer, op: str, name: str, args: dict[str, object]) -> None:
    observer.publish(f"{P}/cmd/{op}/{name}", json.dumps({"args": args}).encode())


def outcome(observer: Observer, op: str, name: str) -> dict[str, Any] | None:
    said = payloads(observer, f"res/{op}/{name}")
    return next((each for each in said if each["status"] not in {"accepted", "running"}), None)


def test_a_board_measures_itself_on_command_and_goes_on(
    broker: Mosquitto, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    with Observer(broker.port) as observer:
        child = service(tmp_path, broker.port, started)
        assert wait_until(lambda: "online" in states(observer) and payloads(observer, "m/perf"), 60)
        ask(observer, "bench", "b1", QUICK)
        assert wait_until(lambda: outcome(observer, "bench", "b1") is not None, 60)
        answer = outcome(observer, "bench", "b1")
        assert answer is not None
        assert (answer["status"], answer["code"] in {"ok", "not-valid"}) == ("succeeded", True)
        assert any("percent" in each.get("data", {}) for each in payloads(observer, "res/bench/b1"))
        assert wait_until(lambda: states(observer)[-1] == "online", 60)
        assert "updating" in states(observer)
        seen = len(payloads(observer, "m/perf"))
        assert wait_until(lambda: len(payloads(observer, "m/perf")) > seen + 1, 60), "it detects again"
        assert wait_until(lambda: payloads(observer, "health")[-1]["blind_s"] >= 2.0, 60), "the card comes in its time"
        ask(observer, "bench-result", "r1", {"name": answer["data"]["name"]})
        assert wait_until(lambda: outcome(observer, "bench-result", "r1") is not None, 60)
        part = outcome(observer, "bench-result", "r1")
        assert part is not None
        assert part["data"]["parts"] == 1
        result = bench.decode(zlib.decompress(base64.b64decode(part["data"]["zlib"])), "fetched")
        assert result.score is not None
        assert result.score.queries == answer["data"]["score"]["queries"]

        ask(observer, "bench", "b2", QUICK | {"seconds": 60.0})
        assert wait_until(lambda: len(payloads(observer, "res/bench/b2")) >= 2, 60)
        child.kill()
        child.wait()
        again = service(tmp_path, broker.port, started)
        assert wait_until(lambda: outcome(observer, "bench", "b2") is not None, 60)
        cut = outcome(observer, "bench", "b2")
        assert cut is not None
        assert (cut["status"], cut["code"]) == ("failed", "interrupted")

        before = len(payloads(observer, "res/bench/b3"))
        ask(observer, "bench", "b3", QUICK | {"seconds": 60.0})
        assert wait_until(lambda: len(payloads(observer, "res/bench/b3")) >= before + 2, 60)
        again.send_signal(signal.SIGTERM)
        assert again.wait(30) == 0, "a benchmark does not hold up the end"
