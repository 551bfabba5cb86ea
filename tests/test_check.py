"""``edge-agent check``: what it tries beside model, camera and broker, which have their own tests."""

from __future__ import annotations

import socket
from pathlib import Path

from agent import config as settings
from agent.check import Verdict, check
from agent.config import Config


def verdicts(**changes: object) -> dict[str, Verdict]:
    base = {"model.path": "/nowhere.tflite", "camera.uri": "/nowhere.mp4"}
    config = settings.override(Config(), base | {key.replace("__", "."): value for key, value in changes.items()})
    return {verdict.part: verdict for verdict in check(config, "here")}


def test_the_state_folder(tmp_path: Path) -> None:
    assert verdicts(device__state_dir=str(tmp_path / "state"))["state"].text == f"{tmp_path}/state can be written"
    (tmp_path / "file").touch()
    found = verdicts(device__state_dir=str(tmp_path / "file" / "state"))["state"]
    assert (found.ok, found.exit_code) == (False, 74)
    assert "file/state: Not a directory; give the agent a device.state_dir" in found.text


def test_an_address_for_prometheus_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        listen = f"127.0.0.1:{holder.getsockname()[1]}"
        found = verdicts(prometheus__listen=listen)["prometheus"]
        assert (found.ok, found.exit_code) == (False, 75)
        assert found.text == f"prometheus.listen: {listen}: Address already in use"
    found = verdicts(prometheus__listen=listen, prometheus__textfile=str(tmp_path / "a.prom"))["prometheus"]
    assert found.text == f"{tmp_path}/a.prom can be written; {listen} is free"
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def test_a_file_for_prometheus_that_cannot_be_written(tmp_path: Path) -> None:
    found = verdicts(prometheus__textfile=str(tmp_path / "none" / "a.prom"))["prometheus"]
    assert (found.ok, found.exit_code) == (False, 74)
    assert found.text == f"prometheus.textfile: {tmp_path}/none/a.prom: No such file or directory"


def test_what_is_off_is_not_spoken_of_and_what_is_not_tried_says_so() -> None:
    assert not {"home assistant", "prometheus"} & verdicts().keys()
    assert "without a broker" in verdicts(homeassistant__enabled=True)["home assistant"].text
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    found = verdicts(homeassistant__enabled=True, mqtt__host="127.0.0.1", mqtt__port=port)["home assistant"]
    assert found.text.startswith("not tried: ")
