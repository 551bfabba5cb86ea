"""A board that is away for a while gets what was asked of it meanwhile, once, at a real mosquitto."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands import Commands, Errands, Ledger
from agent.config import Config, MqttConfig
from agent.publish import Publisher, check, wall_clock
from agent.publish.access import read_access
from agent.publish.link import Accepted, LinkEvent, Received, Subscribed
from agent.publish.network import Version
from agent.publish.paho_link import PahoLink
from agent.publish.wake import Wake
from agent.records import Answer, Command
from agent.remote import Remote
from tests.servers.gate import Gate
from tests.servers.mosquitto import Mosquitto, Observer, wait_until

pytestmark = pytest.mark.broker

P = "edge/v1/home/cam1"
FINAL = {"succeeded", "failed", "rejected", "expired"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop(signal.SIGKILL)


class Board:
    """A publisher and the commands behind it; ``log`` lists what was carried out."""

    def __init__(self, port: int, folder: Path, **settings: object) -> None:
        config = MqttConfig(host="127.0.0.1", port=port, reconnect_max_s=0.3, **settings)  # type: ignore[arg-type]
        self.log: list[str] = []
        self.errands, self.ledger = Errands(time.monotonic), Ledger(folder, wall_clock)
        self.commands = Commands(
            self.answer,
            {"loglevel": self.carry_out},
            ledger=self.ledger,
            errands=self.errands,
            device="cam1",
            clock=time.monotonic,
            wall=wall_clock,
        )
        self.publisher = Publisher(
            config,
            site="home",
            device="cam1",
            state_dir=folder,
            on_command=self.commands.take,
            on_delivered=self.commands.delivered,
        )

    def answer(self, answer: Answer) -> None:
        self.publisher.answer(answer)

    def carry_out(self, command: Command, _arguments: object) -> Answer:
        self.log.append(command.id)
        return Answer(command, "succeeded")

    def __enter__(self) -> Board:
        self.publisher.start()
        self.commands.resume()
        self.errands.start()
        assert wait_until(self.is_settled)
        return self

    def is_settled(self) -> bool:
        status = self.publisher.status()
        return status.connected and status.acked > 0 and not status.queue_rows

    def __exit__(self, *_: object) -> None:
        self.errands.stop()
        self.publisher.stop(3.0)
        self.ledger.close()


def ask(observer: Observer, name: str, **fields: object) -> None:
    body = json.dumps({"args": {"level": "debug"}, **fields}).encode()
    observer.publish(f"{P}/cmd/loglevel/{name}", body)


def outcomes(observer: Observer, name: str) -> list[str]:
    said = [json.loads(body)["status"] for body in observer.on(f"{P}/res/loglevel/{name}")]
    return [status for status in said if status in FINAL]


def test_a_command_sent_while_the_board_was_away_has_one_outcome(broker: Mosquitto, tmp_path: Path) -> None:
    with Observer(broker.port) as observer:
        with Board(broker.port, tmp_path):
            pass
        ask(observer, "kept")
        ask(observer, "late", exp=wall_clock() - 5.0)
        ask(observer, "kept")
        with Board(broker.port, tmp_path) as board:
            assert wait_until(lambda: outcomes(observer, "kept") and outcomes(observer, "late"))
            assert wait_until(board.is_settled)
            assert board.log == ["kept"], "asked twice, carried out once"
            assert set(outcomes(observer, "kept")) == {"succeeded"}
            assert outcomes(observer, "late") == ["expired"]
        with Board(broker.port, tmp_path) as board:
            ask(observer, "now")
            assert wait_until(lambda: outcomes(observer, "now"))
            assert board.log == ["now"], "and never again"


def test_one_command_one_reply_after_a_cut(broker: Mosquitto, tmp_path: Path) -> None:
    with Observer(broker.port) as observer:
        with Gate(broker.port) as gate, Board(gate.port, tmp_path) as board:
            gate.shut()
            assert wait_until(lambda: not board.publisher.status().connected)
            ask(observer, "x")
            gate.open()
            assert wait_until(lambda: outcomes(observer, "x"))
            assert wait_until(board.is_settled)
        assert outcomes(observer, "x") == ["succeeded"]


def test_without_a_session_it_is_gone(broker: Mosquitto, tmp_path: Path) -> None:
    with Observer(broker.port) as observer:
        with Board(broker.port, tmp_path, session_s=0):
            pass
        ask(observer, "gone")
        with Board(broker.port, tmp_path, session_s=0) as board:
            ask(observer, "now")
            assert wait_until(lambda: outcomes(observer, "now"))
            assert board.log == ["now"]


def test_a_session_ends_with_its_time(broker: Mosquitto, tmp_path: Path) -> None:
    with Observer(broker.port) as observer:
        with Board(broker.port, tmp_path, session_s=1):
            pass
        ask(observer, "gone")
        assert wait_until(lambda: "Expiring client edge.home.cam1" in broker.log), broker.log
        with Board(broker.port, tmp_path, session_s=1) as board:
            ask(observer, "now")
            assert wait_until(lambda: outcomes(observer, "now"))
            assert board.log == ["now"]


def test_a_check_beside_it_disturbs_no_session(broker: Mosquitto, tmp_path: Path) -> None:
    with Observer(broker.port) as observer:
        with Board(broker.port, tmp_path):
            pass
        ask(observer, "kept")
        check(MqttConfig(host="127.0.0.1", port=broker.port), site="home", device="cam1")
        with Board(broker.port, tmp_path):
            assert wait_until(lambda: outcomes(observer, "kept") == ["succeeded"])


def test_what_we_said_ourselves_does_not_come_back_as_a_rival(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Observer(broker.port) as observer:
        for _ in range(3):
            with Gate(broker.port) as gate, Board(gate.port, tmp_path) as board:
                board.publisher.alarm("thermal", "83 degrees")
                assert wait_until(board.is_settled)
                gate.cut()
                assert wait_until(lambda board=board: board.publisher.status().connections == 2)
                assert wait_until(board.is_settled)
                assert board.publisher.status().rivals == 0
        states = [json.loads(body)["state"] for body in observer.on(f"{P}/state")]
    assert states[-1] == "offline"
    assert "lost" in states, "the last will is still said"
    assert "another client" not in caplog.text


def hears(link: PahoLink, *kinds: type) -> list[LinkEvent]:
    """What came until each of the kinds had come."""
    found: list[LinkEvent] = []

    def is_all() -> bool:
        found.extend(link.poll(0.05))
        return {type(event) for event in found} >= set(kinds)

    assert wait_until(is_all), found
    return found


@pytest.mark.parametrize("version", [4, 5])
def test_both_versions_keep_it(broker: Mosquitto, version: Version) -> None:
    access = read_access(MqttConfig(host="127.0.0.1", port=broker.port))

    def link() -> PahoLink:
        made = PahoLink(access, client_id="x", version=version, wake=Wake(), will=None, session_s=60)
        made.open()
        return made

    first = link()
    first.subscribe(["t"])
    hears(first, Accepted, Subscribed)
    first.close()
    with Observer(broker.port, topic="none") as observer:
        observer.publish("t", b"kept")
    second = link()
    assert [event.body for event in hears(second, Received) if isinstance(event, Received)] == [b"kept"]
    second.close()


@pytest.mark.parametrize(("version", "marks"), [(4, [False]), (5, [True])])
def test_what_is_retained_while_we_listen_keeps_its_mark_where_the_version_can(
    broker: Mosquitto, version: Version, marks: list[bool]
) -> None:
    access = read_access(MqttConfig(host="127.0.0.1", port=broker.port))
    link = PahoLink(access, client_id="x", version=version, wake=Wake(), will=None)
    link.open()
    link.subscribe(["t"], as_published=True)
    hears(link, Accepted, Subscribed)
    with Observer(broker.port, topic="none") as observer:
        observer.publish("t", b"{}", retain=True)
        assert [event.retained for event in hears(link, Received) if isinstance(event, Received)] == marks
    link.close()


def test_a_clean_start_under_its_name_ends_it(broker: Mosquitto, tmp_path: Path) -> None:
    with Observer(broker.port) as observer:
        with Board(broker.port, tmp_path):
            pass
        words = ["mosquitto_sub", "-p", str(broker.port), "-i", "edge.home.cam1", "-t", "none", "-W", "1"]
        subprocess.run(words, check=False, capture_output=True)
        ask(observer, "gone")
        with Board(broker.port, tmp_path) as board:
            ask(observer, "now")
            assert wait_until(lambda: outcomes(observer, "now"))
            assert board.log == ["now"]


def test_a_request_of_qos_0_is_not_kept(broker: Mosquitto, tmp_path: Path) -> None:
    with Observer(broker.port) as observer:
        with Board(broker.port, tmp_path):
            pass
        observer.client.publish(f"{P}/cmd/loglevel/page", b'{"args": {"level": "debug"}}', qos=0)
        ask(observer, "kept")
        with Board(broker.port, tmp_path) as board:
            assert wait_until(lambda: outcomes(observer, "kept"))
            assert board.log == ["kept"]


def test_what_was_kept_is_answered_though_the_rest_of_the_service_is_not_up_yet(tmp_path: Path) -> None:
    said: list[Answer] = []

    class Listener:
        answer = staticmethod(said.append)

    remote = Remote(
        Config(),
        ("nut",),
        device="cam1",
        folder=tmp_path,
        facts={},
        say_birth=lambda: None,
        overlay=None,  # type: ignore[arg-type]  # nothing is desired
        clock=time.monotonic,
        wall=wall_clock,
        relearn=str,
    )
    remote.attach(Listener())  # type: ignore[arg-type]
    remote.commands.take(Command("snapshot", "late", expires_s=1.0))
    assert [(answer.status, answer.code) for answer in said] == [("expired", "expired")]
    remote.close()
