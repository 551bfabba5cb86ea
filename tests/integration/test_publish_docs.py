"""The broker set-ups of docs/mqtt.md, as they stand there: they let a board in, and keep it to its own topics."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import MqttConfig
from agent.errors import BrokerError
from agent.publish import Publisher, check, decode
from agent.publish.contract import Reply
from agent.records import Answer, Command
from tests.conftest import missing
from tests.publish_fakes import identity
from tests.servers.mosquitto import Mosquitto, Observer, wait_until

pytestmark = pytest.mark.broker

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "mqtt.md"
EXAMPLES = DOCS / "examples"


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
    assert (folder / "acl").read_text() == (EXAMPLES / "mosquitto.acl").read_text(), "the page shows the file"
    (folder / "passwd").touch(mode=0o600)
    (folder / "dynsec.json").write_text((EXAMPLES / "mosquitto-dynsec.json").read_text())
    for user in ("cam1", "cam2", "dashboard", "operator", "admin"):
        subprocess.run(["mosquitto_passwd", "-b", str(folder / "passwd"), user, "hush"], check=True)
        words = [sys.executable, str(EXAMPLES / "mosquitto_dynsec_password.py"), str(folder / "dynsec.json"), user]
        subprocess.run(words, input="hush\n", text=True, check=True)
    (folder / "mqtt-password").write_text("hush\n")
    return folder


@pytest.fixture
def broker(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mosquitto]:
    first, *rest = example(request.param, folder).splitlines()
    assert first.startswith("listener ")
    for place, line in enumerate(rest):
        if line.startswith("plugin "):
            rest[place] = f"plugin {plugin(Path(line.split()[1]).name)}"
    broker = Mosquitto(tmp_path, lines=[], listener=rest).start()
    yield broker
    broker.stop(signal.SIGKILL)


def plugin(name: str) -> Path:
    """Where this machine's architecture has it."""
    found = next(iter(Path("/usr/lib").glob(f"*/{name}")), None)
    if found is None:
        missing(f"no {name} below /usr/lib: install Debian's package mosquitto")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("broker", "settings"),
    [
        ("password.conf", {"username": "cam1", "password_file": "mqtt-password"}),
        ("dynsec.conf", {"username": "cam1", "password_file": "mqtt-password"}),
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


@pytest.mark.parametrize("broker", ["password.conf", "dynsec.conf"], indirect=True)
def test_rules_let_a_board_do_its_work_and_an_operator_ask_and_nobody_else(
    broker: Mosquitto, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def take(command: Command) -> None:
        asked.append(command.id)
        publisher.answer(Answer(command, "succeeded"))

    config = MqttConfig(
        host="localhost", port=broker.port, username="cam1", password_file=str(folder / "mqtt-password")
    )
    publisher = Publisher(config, site="home", device="cam1", on_command=take)
    with (
        Observer(broker.port, "dashboard", "hush", "edge/v1/#") as dashboard,
        Observer(broker.port, "operator", "hush", "edge/v1/#") as operator,
        Observer(broker.port, "cam2", "hush", "edge/v1/home/cam1/#") as neighbour,
    ):
        publisher.start()
        publisher.birth(identity())
        assert wait_until(lambda: dashboard.on("edge/v1/home/cam1/birth"))
        for who, name in ((operator, "fair"), (dashboard, "look"), (neighbour, "next")):
            who.publish(f"edge/v1/home/cam1/cmd/rebirth/{name}", b"{}")
            who.publish(f"edge/v1/home/$all/cmd/rebirth/{name}-all", b'{"spread_s": 1}')
        neighbour.publish("edge/v1/home/cam1/state", b"forged", retain=True)
        assert wait_until(lambda: len(operator.on("edge/v1/home/cam1/res/rebirth/fair-all")) == 1)
        publisher.stop(2.0)
        reply = decode("edge/v1/home/cam1/res/x/y", operator.on("edge/v1/home/cam1/res/rebirth/fair")[0])
    assert isinstance(reply, Reply)
    assert reply.status == "succeeded"
    assert asked == ["fair", "fair-all"]
    assert not neighbour.messages, "a board hears nothing of another"
    assert b"forged" not in dashboard.on("edge/v1/home/cam1/state")
    assert "lets us not read" not in caplog.text
    assert publisher.status().refused == {}


@pytest.mark.parametrize("broker", ["dynsec.conf"], indirect=True)
def test_another_board_is_let_in_while_the_broker_runs(broker: Mosquitto, folder: Path) -> None:
    lines = re.findall(r"^    mosquitto_ctrl -u admin (dynsec .*)$", PAGE.read_text(), re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        words = [*shlex.split(line), *(["-p", "hush"] if "createClient" in line else [])]
        login = ["-h", "localhost", "-p", str(broker.port), "-u", "admin", "-P", "hush"]
        subprocess.run(["mosquitto_ctrl", *login, *words], check=True, capture_output=True)
    config = MqttConfig(
        host="localhost", port=broker.port, username="cam3", password_file=str(folder / "mqtt-password")
    )
    assert "takes our messages" in check(config, site="home", device="cam3")
    with pytest.raises(BrokerError, match="Not authorized"):
        check(config, site="home", device="cam1")
