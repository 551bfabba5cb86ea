"""The broker set-ups of docs/mqtt.md, as they stand there: they let a board in, and keep it to its own topics."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import MqttConfig
from agent.errors import BrokerError
from agent.publish import check
from tests.servers.mosquitto import Mosquitto

pytestmark = pytest.mark.broker

PAGE = Path(__file__).parents[2] / "docs" / "mqtt.md"


def example(name: str, folder: Path) -> str:
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found, f"docs/mqtt.md lacks the example {name!r}"
    return found[1].replace("/etc/mosquitto", str(folder)).replace("broker.lan", "localhost")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("etc")
    for script in ("server-cert.sh", "client-cert.sh"):
        subprocess.run(["sh", "-ec", example(script, folder)], cwd=folder, check=True, capture_output=True)
    (folder / "acl").write_text(example("acl", folder))
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(folder / "passwd"), "cam1", "hush"], check=True)
    (folder / "mqtt-password").write_text("hush\n")
    return folder


@pytest.fixture
def broker(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mosquitto]:
    first, *rest = example(request.param, folder).splitlines()
    assert first.startswith("listener ")
    broker = Mosquitto(tmp_path, lines=[], listener=rest).start()
    yield broker
    broker.stop(signal.SIGKILL)


@pytest.mark.parametrize(
    ("broker", "settings"),
    [
        ("password.conf", {"username": "cam1", "password_file": "mqtt-password"}),
        ("tls.conf", {"username": "cam1", "password_file": "mqtt-password", "ca_file": "ca.crt"}),
        ("mtls.conf", {"ca_file": "ca.crt", "cert_file": "cam1.crt", "key_file": "cam1.key"}),
    ],
    indirect=["broker"],
)
def test_documented_set_up_lets_a_board_in_and_keeps_it_in_its_place(
    broker: Mosquitto, folder: Path, settings: dict[str, str]
) -> None:
    files = {key: name if key == "username" else str(folder / name) for key, name in settings.items()}
    config = MqttConfig(host="localhost", port=broker.port, **files)  # type: ignore[arg-type]
    assert "takes our messages (MQTT 5" in check(config, site="home", device="cam1")
    for site, device in (("home", "cam2"), ("elsewhere", "cam1")):
        with pytest.raises(BrokerError, match="Not authorized"):
            check(config, site=site, device=device)
