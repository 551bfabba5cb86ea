"""What other programs live on, from a running agent over a real broker: detections first of all."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from jinja2 import Environment, StrictUndefined

from agent.config import MqttConfig
from agent.errors import BrokerError, ConfigError
from agent.publish import HomePlan, Publisher, contract, decode, purge
from agent.publish.stamp import Stamper
from tests.publish_fakes import health, identity
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
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    return errors


def test_what_lies_on_the_belt_is_told(tmp_path: Path, broker: Mosquitto) -> None:
    with Observer(broker.port) as observer:
        child = run_agent(tmp_path, broker.port, DETECTIONS)
        told: list[contract.Detections] = []

        def has_seen() -> bool:
            told[:] = [decode(f"{P}/d", body) for body in observer.on(f"{P}/d")]  # type: ignore[misc]
            return any(one.known and any((one.counts or {}).values()) and one.boxes for one in told)

        seen = wait_until(has_seen, 60)
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


HOME = (
    DETECTIONS
    + """\
[homeassistant]
enabled = true
snapshot_s = 5.0
"""
)
DISCOVERY = "homeassistant/device/edge-lab-cam1/config"


def render(template: str, body: bytes) -> str:
    return Environment(undefined=StrictUndefined).from_string(template).render(value_json=json.loads(body))  # noqa: S701


def test_home_assistant_finds_the_board_and_forgets_it_when_told(tmp_path: Path, broker: Mosquitto) -> None:
    with Observer(broker.port) as observer:
        child = run_agent(tmp_path, broker.port, HOME)
        enough = wait_until(lambda: len(observer.on(f"{P}/d")) > 1 and len(observer.on(f"{P}/health")) > 2, 60)
        enough = enough and wait_until(lambda: bool(observer.on(f"{P}/image")), 60)
        errors = ended(child)
        assert enough, errors
        assert wait_until(lambda: json.loads(observer.on(f"{P}/state")[-1])["state"] == "offline")
        message = json.loads(observer.on(DISCOVERY)[-1])
        shown = {
            key: render(part["value_template"], observer.on(part.get("state_topic", message["state_topic"]))[-1])
            for key, part in message["cmps"].items()
            if "value_template" in part
        }
        observer.publish(f"{P}/a/of-old", b"{}", retain=True)
        observer.publish(f"{P}/desired", b"{}", retain=True)
        command = [sys.executable, "-m", "agent", "mqtt", "purge", "--config", str(tmp_path / "agent.toml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        other = subprocess.run([*command, "--device", "a/b"], capture_output=True, text=True, check=False, timeout=60)
    assert {"presence--bolt", "presence-left--gear", "soc", "throttled"} <= set(shown)
    assert "None" not in shown.values(), shown
    picture = cv2.imdecode(np.frombuffer(observer.on(message["cmps"]["image"]["image_topic"])[-1], np.uint8), 1)
    assert picture.shape[2] == 3
    assert not [retained for topic, _, retained in observer.messages if topic == f"{P}/image" and retained]
    assert float(shown["fps"]) > 0
    assert (done.returncode, done.stdout) == (
        0,
        f"mqtt://127.0.0.1:{broker.port} keeps nothing of {P} any more\n",
    ), done.stderr
    assert other.returncode == 78
    with Observer(broker.port) as late:
        wait_until(lambda: late.on(f"{P}/desired"))
        wait_until(lambda: len(late.messages) > 1, 0.5)
        assert [topic for topic, _, _ in late.messages] == [f"{P}/desired"]


def test_purge_says_why_it_cannot(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic read {P}/#\ntopic write {P}/health\ntopic write {P}/state\n")
    broker = Mosquitto(tmp_path / "strict", ["allow_anonymous true", f"acl_file {rules}"]).start()
    try:
        config = MqttConfig(host="127.0.0.1", port=broker.port)
        with pytest.raises(BrokerError, match=r"does not let us empty edge/v1/lab/cam1/birth \(Not authorized\)"):
            purge(config, "homeassistant", site="lab", device="cam1")
        with pytest.raises(ConfigError, match=r"mqtt\.host"):
            purge(MqttConfig(), "homeassistant", site="lab", device="cam1")
    finally:
        broker.stop()
    with pytest.raises(BrokerError, match="nothing listens"):
        purge(config, "homeassistant", site="lab", device="cam1")


def test_purge_warns_of_an_agent_that_may_still_run(broker: Mosquitto) -> None:
    stamp = Stamper(device="cam1", boot="b007", clock=lambda: 1.0, wall=lambda: 1.8e9).stamp("state")
    body = msgspec.json.encode(contract.State(**stamp, state="online"))
    with Observer(broker.port) as observer:
        observer.publish(f"{P}/state", body, retain=True)
        said = purge(MqttConfig(host="127.0.0.1", port=broker.port), "homeassistant", site="lab", device="cam1")
        assert said.endswith("any more; it was online: an agent that still runs says it all again")
        assert wait_until(lambda: observer.on(f"{P}/state")[-1] == b"")


def test_the_documented_access_rules_let_the_announcement_through(tmp_path: Path) -> None:
    rules = "\n".join([documented("mqtt.md", "acl").split("user dashboard")[0], documented("integrations.md", "acl")])
    (tmp_path / "acl").write_text(rules + "\nuser watcher\ntopic read #\n")
    for number, user in enumerate(("cam1", "watcher")):
        make = ["-c"] if not number else []
        subprocess.run(["mosquitto_passwd", *make, "-b", str(tmp_path / "passwd"), user, "hush"], check=True)
    (tmp_path / "password").write_text("hush\n")
    files = [f"password_file {tmp_path}/passwd", f"acl_file {tmp_path}/acl"]
    broker = Mosquitto(tmp_path / "strict", ["allow_anonymous false", *files]).start()
    config = MqttConfig(host="127.0.0.1", port=broker.port, username="cam1", password_file=str(tmp_path / "password"))
    publisher = Publisher(config, site="home", device="cam1", home=HomePlan("homeassistant", 300.0))
    try:
        with Observer(broker.port, "watcher", "hush") as observer:
            publisher.start()
            publisher.birth(identity())
            publisher.health(health())
            discovery = "homeassistant/device/edge-home-cam1/config"
            assert wait_until(lambda: observer.on(discovery)), publisher.status()
            assert wait_until(lambda: publisher.status().queue_rows == 0)
            assert (publisher.status().refused, publisher.status().reason) == ({}, "")
    finally:
        publisher.stop(2.0)
        broker.stop()


def documented(page: str, name: str) -> str:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\n(.*?)```", text, re.DOTALL)
    assert found, f"docs/{page} lacks the example {name!r}"
    return found[1]
