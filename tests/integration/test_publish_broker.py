"""Publishing to a real mosquitto: every way in, every way to be refused, and what happens when the broker goes away."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.config import MqttConfig
from agent.errors import BrokerError, ConfigError
from agent.publish import Publisher, check, contract, decode, purge
from tests.publish_fakes import board_reading, health, identity, perf_report
from tests.servers.gate import Gate
from tests.servers.mosquitto import Mosquitto, Observer, make_ca, make_cert, make_expired, openssl, wait_until

pytestmark = pytest.mark.broker

P = "edge/v1/home/cam1"
ROOT = Path(__file__).parent.parent.parent

Brokers = Callable[..., Mosquitto]
Publishers = Callable[..., Publisher]


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    made: list[Mosquitto] = []

    def make(*lines: str, listener: tuple[str, ...] = (), start: bool = True) -> Mosquitto:
        broker = Mosquitto(tmp_path / f"broker{len(made)}", list(lines or ["allow_anonymous true"]), list(listener))
        made.append(broker)
        return broker.start() if start else broker

    yield make
    for broker in made:
        broker.stop(signal.SIGKILL)


@pytest.fixture
def publishers() -> Iterator[Publishers]:
    made: list[Publisher] = []

    def make(config: MqttConfig, *, ack_deadline_s: float = 15.0, device: str = "cam1") -> Publisher:
        publisher = Publisher(config, site="home", device=device, ack_deadline_s=ack_deadline_s)
        made.append(publisher)
        publisher.start()
        return publisher

    yield make
    for publisher in made:
        publisher.stop(1.0)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    for ca in ("ca", "other"):
        make_ca(folder, ca)
    make_cert(folder, "server")
    make_cert(folder, "elsewhere", san="DNS:elsewhere.example")
    make_cert(folder, "board")
    make_cert(folder, "stranger", ca="other")
    make_expired(folder, "expired")
    openssl(folder, "ec", "-in", "board.key", "-aes256", "-passout", "pass:x", "-out", "encrypted.key")
    return folder


def to(broker: Mosquitto, **changes: object) -> MqttConfig:
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "port": broker.port,
        "reconnect_max_s": 0.3,
        "connect_timeout_s": 2.0,
        "profile": "live",
        "resolution_s": 0.0,
    }
    return MqttConfig(**(settings | changes))  # type: ignore[arg-type]


def tls(pki: Path, server: str = "server", *more: str) -> tuple[str, ...]:
    return (f"cafile {pki}/ca.crt", f"certfile {pki}/{server}.crt", f"keyfile {pki}/{server}.key", *more)


def passwords(folder: Path) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    for flags, user, word in (("-c", "board", "hush"), ("", "watcher", "seen")):
        words = ["mosquitto_passwd", *([flags] if flags else []), "-b", str(folder / "pw"), user, word]
        subprocess.run(words, check=True, capture_output=True)
    (folder / "right").write_text("hush\n")
    (folder / "wrong").write_text("guess\n")
    return ("allow_anonymous false", f"password_file {folder}/pw")


def delivered(publisher: Publisher) -> bool:
    return wait_until(
        lambda: publisher.status().connected and publisher.status().acked and not publisher.status().queue_rows
    )


def ticks(observer: Observer) -> list[int]:
    return [json.loads(body)["data"]["n"] for body in observer.on(f"{P}/e/tick")]


def tick(publisher: Publisher, numbers: range) -> None:
    for number in numbers:
        publisher.event("tick", {"n": number})


def arrives(observer: Observer, number: int) -> bool:
    return wait_until(lambda: number in ticks(observer))


def shown(observer: Observer) -> list[str]:
    return [json.loads(body)["state"] for body in observer.on(f"{P}/state")]


# ---- ways in


def test_plain_everything_arrives_and_every_payload_keeps_the_contract(
    brokers: Brokers, publishers: Publishers
) -> None:
    broker = brokers()
    with Observer(broker.port) as observer:
        publisher = publishers(to(broker))
        publisher.birth(identity())
        publisher.health(health())
        publisher.perf(perf_report(started_s=time.monotonic() - 10))
        publisher.board(board_reading(time.monotonic()))
        publisher.alarm("thermal", "83 degrees")
        publisher.event("restarted", {"why": "test"})
        publisher.state("degraded", "no camera")
        assert delivered(publisher)
        publisher.alarm("thermal", None)
        assert wait_until(lambda: b"" in observer.on(f"{P}/a/thermal"))
        assert publisher.stop(3.0)
        assert wait_until(lambda: shown(observer)[-1:] == ["offline"])
    below = {topic.removeprefix(f"{P}/") for topic, _, _ in observer.messages}
    assert below == {"state", "birth", "health", "m/perf", "m/sys", "m/therm", "a/thermal", "e/restarted"}
    for topic, body, _ in observer.messages:
        assert len(body) < 128 * 1024
        decode(topic, body)
    perf = decode(f"{P}/m/perf", observer.on(f"{P}/m/perf")[0])
    assert isinstance(perf, contract.Perf)
    assert abs(perf.ts - time.time()) < 60  # noqa: TID251  # the label is wall time
    assert check(to(broker), site="home", device="cam1").endswith(f"a probe to {P}/e/check was acknowledged)")


def test_what_is_retained_waits_for_whoever_comes_later(brokers: Brokers, publishers: Publishers) -> None:
    broker = brokers()
    publisher = publishers(to(broker))
    publisher.birth(identity())
    publisher.health(health())
    publisher.alarm("disk", "full")
    publisher.perf(perf_report())
    assert delivered(publisher)
    with Observer(broker.port) as late:
        assert wait_until(lambda: len(late.messages) >= 4)
        assert {(t.removeprefix(f"{P}/"), r) for t, _, r in late.messages} == {
            ("state", True),
            ("birth", True),
            ("health", True),
            ("a/disk", True),
        }


@pytest.mark.parametrize("by_name", [False, True], ids=["path", "credential"])
def test_user_and_password(brokers: Brokers, publishers: Publishers, tmp_path: Path, by_name: bool) -> None:
    broker = brokers(*passwords(tmp_path / "secrets"))
    config = to(broker, username="board", password_file="right" if by_name else str(tmp_path / "secrets" / "right"))
    credentials = tmp_path / "secrets" if by_name else None
    with Observer(broker.port, "watcher", "seen") as observer:
        publisher = Publisher(config, site="home", device="cam1", credentials_dir=credentials)
        publisher.start()
        assert wait_until(lambda: shown(observer) == ["online"])
        assert publisher.stop(3.0)
    assert "takes our messages" in check(config, site="home", device="cam1", credentials_dir=credentials)


def test_tls_and_client_certificate(brokers: Brokers, publishers: Publishers, pki: Path) -> None:
    broker = brokers(listener=tls(pki, "server", "require_certificate true"))
    files = {"ca_file": f"{pki}/ca.crt", "cert_file": f"{pki}/board.crt", "key_file": f"{pki}/board.key"}
    config = to(broker, host="localhost", **files)
    assert check(config, site="home", device="cam1").startswith(f"mqtts://localhost:{broker.port} takes our messages")
    publisher = publishers(config)
    for number in range(200):
        publisher.event("tick", {"n": number})
    assert delivered(publisher)
    assert publisher.status().acked == 201
    assert publisher.stop(3.0)


# ---- ways to be refused

REFUSALS = [
    ("server", {}, "is not from a CA that we trust"),
    ("server", {"ca_file": "other.crt"}, "is not from a CA that we trust"),
    ("expired", {"ca_file": "ca.crt"}, "has expired: renew it"),
    ("elsewhere", {"ca_file": "ca.crt"}, "is for another name: set mqtt.host"),
    (None, {"ca_file": "ca.crt"}, "does that port speak TLS?"),
    ("mtls", {"ca_file": "ca.crt"}, "mqtt.cert_file"),
    (
        "mtls",
        {"ca_file": "ca.crt", "cert_file": "stranger.crt", "key_file": "stranger.key"},
        "our certificate (mqtt.cert_file)",
    ),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=[f"{server}-{'-'.join(files)}" for server, files, _ in REFUSALS])
def test_tls_refusals_are_named(
    brokers: Brokers, publishers: Publishers, pki: Path, refusal: tuple[str | None, dict[str, str], str]
) -> None:
    server, files, says = refusal
    listener: tuple[str, ...] = ()
    if server is not None:
        listener = tls(pki, "server", "require_certificate true") if server == "mtls" else tls(pki, server)
    broker = brokers(listener=listener)
    config = to(broker, host="localhost", tls=True, **{key: f"{pki}/{name}" for key, name in files.items()})
    with pytest.raises(BrokerError, match="mqtts://localhost") as caught:
        check(config, site="home", device="cam1")
    assert says in str(caught.value)
    publisher = publishers(config)
    assert wait_until(lambda: says in publisher.status().reason), publisher.status().reason
    assert not publisher.status().connected


def test_plain_connection_to_a_tls_port_is_named(brokers: Brokers, pki: Path) -> None:
    broker = brokers(listener=tls(pki))
    with pytest.raises(BrokerError, match="does that port want TLS"):
        check(to(broker), site="home", device="cam1")


@pytest.mark.parametrize("user", ["board", None])
def test_bad_password_is_named_and_not_logged(
    brokers: Brokers, publishers: Publishers, tmp_path: Path, user: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    broker = brokers(*passwords(tmp_path / "secrets"))
    login = {"username": user, "password_file": str(tmp_path / "secrets" / "wrong")} if user else {}
    who = "user 'board'" if user else "a connection without user name"
    with pytest.raises(BrokerError, match=f"refuses {who}.*check mqtt.username and mqtt.password_file"):
        check(to(broker, **login), site="home", device="cam1")
    with caplog.at_level(logging.DEBUG):
        publisher = publishers(to(broker, **login))
        assert wait_until(lambda: f"refuses {who}" in publisher.status().reason)
        assert wait_until(lambda: broker.log.count("New connection") >= 4), "it tries again"
    assert "guess" not in caplog.text
    assert caplog.text.count("refuses") == 1


@pytest.mark.parametrize(
    ("rules", "unread"),
    [
        (f"topic write {P}/#", f"{P}/a/#"),
        (f"topic write {P}/#\ntopic read {P}/a/+\ntopic read {P}/state", f"{P}/cmd/#"),
        (f"topic readwrite {P}/#", ""),
        (f"topic write {P}/a/+\ntopic write {P}/e/+\ntopic read {P}/#", ""),
    ],
    ids=["nothing", "no commands", "all", "not asking itself"],
)
def test_access_rules_that_let_us_not_read_are_named_by_check(
    brokers: Brokers, tmp_path: Path, rules: str, unread: str
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"user board\n{rules}\n")
    broker = brokers(*passwords(tmp_path / "secrets"), f"acl_file {acl}")
    config = to(broker, username="board", password_file=str(tmp_path / "secrets" / "right"))
    if not unread:
        assert "takes our messages" in check(config, site="home", device="cam1")
        return
    with pytest.raises(BrokerError, match=f"does not let user 'board' read {unread}: commands and what is desired"):
        check(config, site="home", device="cam1")


def test_access_rules_are_named_by_check_and_counted_by_the_agent(
    brokers: Brokers, publishers: Publishers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"user board\ntopic write {P}/state\ntopic read {P}/#\nuser watcher\ntopic read #\n")
    broker = brokers(*passwords(tmp_path / "secrets"), f"acl_file {acl}")
    config = to(broker, username="board", password_file=str(tmp_path / "secrets" / "right"))
    with pytest.raises(BrokerError, match=rf"does not let user 'board' publish to {P}/# \(Not authorized\)"):
        check(config, site="home", device="cam1")
    with Observer(broker.port, "watcher", "seen") as observer:
        publisher = publishers(config)
        for number in range(5):
            publisher.event("tick", {"n": number})
        assert wait_until(lambda: publisher.status().refused.get("e") == 5)
        assert "does not let us publish" in publisher.status().reason
        assert publisher.status().connected
        assert wait_until(lambda: shown(observer) == ["online"])
    assert caplog.text.count("does not let us publish") == 1


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"ca_file": "absent.crt"}, "mqtt.ca_file: cannot read"),
        ({"ca_file": "."}, "mqtt.ca_file: cannot read"),
        ({"ca_file": "empty"}, "mqtt.ca_file: .*empty is empty"),
        ({"ca_file": "text"}, "mqtt.ca_file: .* holds no CA certificate in PEM form"),
        ({"cert_file": "board.crt", "key_file": "absent.key"}, "mqtt.key_file: cannot read"),
        (
            {"cert_file": "board.crt", "key_file": "server.key"},
            "mqtt.key_file: .*server.key is not the key of .*board.crt",
        ),
        ({"cert_file": "board.crt", "key_file": "encrypted.key"}, "mqtt.key_file: .*encrypted.key is encrypted"),
        ({"cert_file": "text", "key_file": "board.key"}, "mqtt.cert_file: .* no PEM certificate and key"),
        ({"key_file": "board.key"}, "mqtt.key_file is set and mqtt.cert_file is not"),
        ({"password_file": "absent"}, "mqtt.password_file is set and mqtt.username is not"),
        ({"password_file": "absent", "username": "u"}, "mqtt.password_file: cannot read"),
        ({"password_file": "empty", "username": "u"}, "mqtt.password_file: .* is empty"),
        ({"password_file": "binary", "username": "u"}, "mqtt.password_file: .* is not text"),
    ],
)
def test_wrong_files_are_config_errors_that_name_setting_and_file(pki: Path, files: dict[str, str], says: str) -> None:
    (pki / "empty").write_text("\n")
    (pki / "text").write_text("no certificate\n")
    (pki / "binary").write_bytes(b"\xff\xfe\xfd")
    settings = {key: name if key == "username" else str(pki / name) for key, name in files.items()}
    publisher = Publisher(MqttConfig(host="localhost", **settings), site="home", device="cam1")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=says) as caught:
        publisher.start()
    assert "\n" not in str(caught.value)


# ---- a broker that comes and goes


def test_broker_that_appears_later_gets_everything(brokers: Brokers, publishers: Publishers) -> None:
    broker = brokers("allow_anonymous true", start=False)
    publisher = publishers(to(broker))
    for number in range(20):
        publisher.event("tick", {"n": number})
    assert wait_until(lambda: "nothing listens" in publisher.status().reason)
    broker.start()
    with Observer(broker.port) as observer:
        publisher.event("tick", {"n": 20})
        assert wait_until(lambda: 20 in ticks(observer))
    assert delivered(publisher)
    assert publisher.status().dropped == {}


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_broker_killed_and_restarted_loses_nothing(
    brokers: Brokers, publishers: Publishers, death: signal.Signals
) -> None:
    """The way to the broker stays shut until a subscriber is back: so what is missing would be ours."""
    broker = brokers()
    seen: set[int] = set()
    with Gate(broker.port) as gate:
        publisher = publishers(to(broker, port=gate.port))
        for first in (0, 100, 200):
            with Observer(broker.port) as observer:
                gate.open()
                tick(publisher, range(first, first + 60))
                assert arrives(observer, first + 59)
                seen |= set(ticks(observer))
                gate.shut()
                broker.stop(death)
            tick(publisher, range(first + 60, first + 100))
            assert wait_until(lambda: publisher.status().queue_rows >= 40)
            broker.start()
        with Observer(broker.port) as observer:
            gate.open()
            assert arrives(observer, 299)
            seen |= set(ticks(observer))
    assert seen == set(range(300))
    assert publisher.status().dropped == {}


def test_presence_is_repaired_after_the_broker_came_back(
    brokers: Brokers, publishers: Publishers, tmp_path: Path
) -> None:
    broker = brokers("allow_anonymous true", f"persistence_location {tmp_path}/", "persistence true")
    publisher = publishers(to(broker))
    assert delivered(publisher)
    with Observer(broker.port) as observer:
        assert wait_until(lambda: shown(observer))
        wrong = json.loads(observer.on(f"{P}/state")[0]) | {"state": "lost"}
        observer.publish(f"{P}/state", json.dumps(wrong).encode(), retain=True)
        assert wait_until(lambda: shown(observer)[-2:] == ["lost", "online"])
    broker.stop(signal.SIGTERM)
    broker.start()
    with Observer(broker.port) as observer:
        assert wait_until(lambda: shown(observer)[-1:] == ["online"] and publisher.status().connections == 2)
        assert wait_until(lambda: json.loads(observer.on(f"{P}/state")[-1])["conn"] == 2)


def test_a_running_board_that_is_purged_comes_back_whole(brokers: Brokers, publishers: Publishers) -> None:
    broker = brokers()
    publisher = publishers(to(broker))
    publisher.birth(identity())
    publisher.alarm("disk", "full")
    assert delivered(publisher)
    purge(to(broker), "homeassistant", site="home", device="cam1")
    with Observer(broker.port) as late:
        assert wait_until(
            lambda: {f"{P}/state", f"{P}/birth", f"{P}/a/disk"} <= {topic for topic, _, _ in late.messages}
        )


def test_stalled_broker_is_left_and_found_again(brokers: Brokers, publishers: Publishers) -> None:
    broker = brokers()
    publisher = publishers(to(broker, connect_timeout_s=0.5), ack_deadline_s=0.5)
    assert delivered(publisher)
    broker.stop(signal.SIGSTOP)
    for number in range(40):
        publisher.event("tick", {"n": number})
    assert wait_until(lambda: not publisher.status().connected)
    assert wait_until(lambda: "says nothing" in publisher.status().reason)
    started_s = time.monotonic()
    publisher.perf(perf_report())
    assert time.monotonic() - started_s < 5.0, "no deadline of the network's is waited for"
    broker.stop(signal.SIGCONT)
    assert delivered(publisher)
    assert publisher.status().acked >= 41
    assert publisher.status().dropped == {}


def test_stop_before_a_stalled_broker_does_not_hang(brokers: Brokers, publishers: Publishers) -> None:
    broker = brokers()
    publisher = publishers(to(broker))
    assert delivered(publisher)
    broker.stop(signal.SIGSTOP)
    publisher.event("tick", {"n": 1})
    started_s = time.monotonic()
    assert not publisher.stop(1.0)
    assert time.monotonic() - started_s < 10.0
    broker.stop(signal.SIGCONT)


# ---- presence

VICTIM = """
import sys, time
from agent.config import MqttConfig
from agent.publish import Publisher
publisher = Publisher(MqttConfig(host="127.0.0.1", port=int(sys.argv[1])), site="home", device="cam1", boot="victim")
publisher.start()
publisher.event("tick", {"n": 1})
while publisher.status().acked < 2:
    time.sleep(0.01)
print("up", flush=True)
time.sleep(60)
"""


def test_last_will_says_lost_when_the_agent_dies(brokers: Brokers) -> None:
    broker = brokers()
    with Observer(broker.port) as observer:
        words = [sys.executable, "-c", VICTIM, str(broker.port)]
        with subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
        ) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"up\n"
            victim.kill()
        assert wait_until(lambda: shown(observer) == ["online", "lost"])
        online, lost = (decode(f"{P}/state", body) for body in observer.on(f"{P}/state"))
        assert online is not None
        assert lost is not None
        assert (lost.boot, lost.conn) == (online.boot, online.conn) == ("victim", 1)


def test_after_a_crash_the_next_agent_takes_back_what_is_stale(brokers: Brokers, publishers: Publishers) -> None:
    broker = brokers()
    with Observer(broker.port) as observer:
        observer.publish(f"{P}/a/camera", b'{"left":"behind"}', retain=True)
        publisher = publishers(to(broker))
        publisher.alarm("thermal", "hot")
        assert wait_until(lambda: observer.on(f"{P}/a/camera")[-1:] == [b""])
        assert wait_until(lambda: observer.on(f"{P}/a/thermal")[-1:] not in ([], [b""]))


def test_clean_stop_leaves_offline_and_no_will(brokers: Brokers, publishers: Publishers) -> None:
    broker = brokers()
    publisher = publishers(to(broker))
    publisher.event("tick", {"n": 1})
    assert publisher.stop(3.0)
    time.sleep(0.2)
    with Observer(broker.port) as late:
        assert wait_until(lambda: shown(late) == ["offline"])
        assert late.messages[0][2], "retained"
    assert not [thread for thread in threading.enumerate() if thread is publisher._thread]


def test_two_agents_with_one_name_notice_each_other(
    brokers: Brokers, publishers: Publishers, caplog: pytest.LogCaptureFixture
) -> None:
    broker = brokers()
    first = publishers(to(broker))
    assert delivered(first)
    with Observer(broker.port) as observer:
        second = publishers(to(broker))
        assert wait_until(lambda: first.status().rivals > 0 and second.status().rivals > 0)
        assert wait_until(lambda: len({json.loads(body)["data"]["boot"] for body in observer.on(f"{P}/e/rival")}) == 2)
    assert "another client connects as edge.home.cam1" in caplog.text


def test_abrupt_death_of_the_socket_is_survived(brokers: Brokers, publishers: Publishers) -> None:
    """A proxy in between that cuts the connection with a reset in the middle of traffic."""
    broker = brokers()
    with Gate(broker.port) as gate, Observer(broker.port) as observer:
        config = MqttConfig(host="127.0.0.1", port=gate.port, reconnect_max_s=0.2)
        publisher = publishers(config)
        for number in range(200):
            publisher.event("tick", {"n": number})
            if number % 50 == 25:
                gate.cut()
            time.sleep(0.001)
        assert wait_until(lambda: set(ticks(observer)) == set(range(200)))
        assert "lost" in shown(observer)
        assert wait_until(lambda: shown(observer)[-1] == "online")
        seqs = [json.loads(body)["seq"] for body in observer.on(f"{P}/e/tick")]
        assert set(seqs) == set(range(1, 201)), "no gap; duplicates are harmless"
