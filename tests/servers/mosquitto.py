"""A real mosquitto on a free loopback port, its certificates, and an observer that is not the agent."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.contract_watch import complaint, foreign

_numbers = itertools.count(os.getpid() * 61)


def free_port() -> int:
    """One that nobody listens on, and that nobody is given by chance: outside what the kernel hands out itself.

    Tests run in several processes at once: each begins elsewhere.
    """
    while True:
        port = 10_000 + next(_numbers) % 22_000
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0) -> bool:
    """Whether the condition came true in time; while there is no first or last of what it looks at, it is not."""
    by_s = time.monotonic() + timeout_s
    while time.monotonic() < by_s:
        with suppress(IndexError):
            if condition():
                return True
        time.sleep(0.01)
    return bool(condition())


@dataclass
class Mosquitto:
    """One broker; ``start`` and ``stop`` as often as wanted, on the same port and with the same files."""

    folder: Path
    lines: list[str] = field(default_factory=lambda: ["allow_anonymous true"])
    listener: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "mosquitto.conf"
        # without `user root` it drops to a user that may not read the test's folder
        head = ["user root", "per_listener_settings false", "log_type all", "log_dest file " + str(self.log_path)]
        config.write_text("\n".join([*head, *self.lines, f"listener {self.port} 127.0.0.1", *self.listener, ""]))
        self.process = subprocess.Popen(
            ["mosquitto", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert wait_until(self._listens), f"mosquitto does not start: {self.log}"
        return self

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            if sig not in (signal.SIGSTOP, signal.SIGCONT):
                self.process.wait(30)

    @property
    def log_path(self) -> Path:
        return self.folder / "mosquitto.log"

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass
class Observer:
    """A subscriber to everything, on a connection of its own; what it saw has to have kept the contract."""

    port: int
    username: str | None = None
    password: str | None = None
    topic: str = "#"
    messages: list[tuple[str, bytes, bool]] = field(default_factory=list)

    def __enter__(self) -> Observer:
        self.ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.username_pw_set(self.username, self.password)
        self.client.on_connect = lambda client, *_: client.subscribe(self.topic, qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _c, _u, m: self.messages.append((m.topic, bytes(m.payload), m.retain))
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert self.ready.wait(30), "the observer cannot connect"
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        if kind is None:
            complaints = [said for topic, body, _ in self.messages if (said := complaint(topic, body))]
            assert not complaints, complaints[:3]

    def on(self, topic: str) -> list[bytes]:
        """Payloads seen on a topic so far."""
        return [body for name, body, _ in list(self.messages) if name == topic]

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        foreign(topic, body)
        self.client.publish(topic, body, qos=1, retain=retain).wait_for_publish(5)


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_ca(folder: Path, name: str = "ca") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
    openssl(folder, "req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN=test {name}", *files)


LOOPBACK = "DNS:localhost,IP:127.0.0.1"


def make_cert(folder: Path, name: str, *, ca: str = "ca", san: str = LOOPBACK) -> None:
    """A certificate and key, signed by the CA, good for two days."""
    openssl(folder, "req", *_KEY, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(f"subjectAltName={san}\n")
    signer = ("-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial", "-extfile", f"{name}.ext")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-days", "2", "-out", f"{name}.crt")


def make_expired(folder: Path, name: str, *, ca: str = "ca") -> None:
    """A server certificate that ended in 2021."""
    make_cert(folder, name, ca=ca)
    db = folder / "db"
    db.mkdir(exist_ok=True)
    (db / "index.txt").write_text("")
    (db / "serial").write_text("1000\n")
    (db / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=db/index.txt\nserial=db/serial\nnew_certs_dir=db\ndefault_md=sha256\n"
        "policy=p\n[p]\ncommonName=supplied\n"
    )
    files = ("-in", f"{name}.csr", "-out", f"{name}.crt", "-cert", f"{ca}.crt", "-keyfile", f"{ca}.key")
    dates = ("-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-extfile", f"{name}.ext")
    openssl(folder, "ca", "-batch", "-config", "db/ca.cnf", *files, *dates)
