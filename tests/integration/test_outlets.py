"""What other programs live on, from a running agent over a real broker: detections first of all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.publish import contract, decode
from tests.servers.mosquitto import Mosquitto, Observer, wait_until

pytestmark = pytest.mark.broker

P = "edge/v1/lab/cam1"
DETECTIONS = """\
[[zones]]
name = "left"
polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
mode = "count"
[detections]
mode = "change"
appear_s = 0.2
hold_s = 0.3
min_frames = 1
repeat_s = 2.0
classes = ["bolt", "nut", "gear"]
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop()


def run_agent(folder: Path, port: int, more: str) -> subprocess.Popen[str]:
    """The agent on its rendered camera."""
    config = folder / "agent.toml"
    board = Path(__file__).parent.parent / "fixtures" / "sysfs" / "pi4"
    config.write_text(
        f'[device]\nsite = "lab"\nid = "cam1"\nstate_dir = "{folder}/state"\n'
        '[model]\nbundle = "demo:"\n[camera]\nuri = "demo:"\n'
        f'[measure]\nwindow_s = 1.0\nsensors_s = 0.5\nsys_root = "{board}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nhealth_s = 1.0\n{more}'
    )
    command = [sys.executable, "-m", "agent", "run", "--config", str(config)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def ended(child: subprocess.Popen[str]) -> str:
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 0, errors
    return errors


def test_what_lies_on_the_belt_is_told(tmp_path: Path, broker: Mosquitto) -> None:
    with Observer(broker.port) as observer:
        child = run_agent(tmp_path, broker.port, DETECTIONS)
        told: list[contract.Detections] = []

        def has_seen() -> bool:
            told[:] = [decode(f"{P}/d", body) for body in observer.on(f"{P}/d")]  # type: ignore[misc]
            return any(one.known and any((one.counts or {}).values()) and one.boxes for one in told)

        seen = wait_until(has_seen, 40)
        errors = ended(child)
    assert seen, (told, errors)
    assert not told[0].known, "before it has looked for long enough it does not know"
    assert [one.seq for one in told] == list(range(1, len(told) + 1))
    known = [one for one in told if one.known]
    for one in known:
        assert set(one.counts or {}) == set((one.zones or {})["left"]) == {"bolt", "nut", "gear"}
        assert all(0 <= side <= 1 for box in one.boxes or () for side in box.xyxy)
        assert all(n <= (one.counts or {})[label] for label, n in (one.zones or {})["left"].items())
    assert not [retained for topic, _, retained in observer.messages if topic == f"{P}/d" and retained]
    assert json.loads(observer.on(f"{P}/birth")[0])["metrics"]["d.age_s"] == {"unit": "s", "kind": "gauge"}
