"""What the doctor says of the broker and of certificates, against a real TLS listener on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from agent.config import MqttConfig
from agent.errors import BrokerError, ConfigError
from agent.publish import certificate
from tests.test_doctor import findings, scene

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def make(folder: Path, begins: datetime, ends: datetime) -> tuple[Path, Path]:
    """A self-signed certificate and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(begins).not_valid_after(ends)
    cert, secret = folder / "own.crt", folder / "own.key"
    cert.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return cert, secret


@contextmanager
def listening(cert: Path, key: Path) -> Iterator[int]:
    """A TLS listener that shakes hands and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    taken, _ = server.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(taken, server_side=True).close()
                except OSError:
                    taken.close()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("days", "trap"), [(400, "certificates"), (29, "certificate-ends"), (-2, "certificate-ended")])
def test_days_left_of_the_brokers_certificate_and_ours(tmp_path: Path, days: int, trap: str) -> None:
    cert, key = make(tmp_path, NOW - timedelta(days=900), NOW + timedelta(days=days))
    with listening(cert, key) as port:
        mqtt = {"host": "127.0.0.1", "port": port, "tls": True, "cert_file": str(cert), "key_file": str(key)}
        it = scene(tmp_path, {"mqtt": mqtt}, now_s=NOW.timestamp())
        found = findings(it, "certificates")
        assert list(found) == [trap]
        assert certificate.theirs(it.config.mqtt) == certificate.own(it.config.mqtt)


def test_a_certificate_that_is_not_valid_yet(tmp_path: Path) -> None:
    cert, key = make(tmp_path, NOW + timedelta(days=2), NOW + timedelta(days=400))
    raw = {"mqtt": {"cert_file": str(cert), "key_file": str(key)}}
    found = findings(scene(tmp_path, raw, now_s=NOW.timestamp()), "certificates")
    assert found["certificate-ended"].seen == "ours: valid only in 2.0 days from now"


@pytest.mark.parametrize(
    "content", ["", "no certificate\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_a_file_that_holds_no_certificate(tmp_path: Path, content: str) -> None:
    (tmp_path / "own.crt").write_text(content)
    raw = {"mqtt": {"cert_file": str(tmp_path / "own.crt"), "key_file": "k"}}
    found = findings(scene(tmp_path, raw), "certificates")["broker-settings"]
    assert (found.exit_code, "\n" in found.seen) == (78, False)


def test_a_broker_that_is_away(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    it = scene(tmp_path, {"mqtt": {"host": "127.0.0.1", "port": port, "tls": True}})
    assert findings(it, "broker")["broker-unreachable"].exit_code == 69
    assert findings(it, "certificates")["certificates"].severity == "note"
    with pytest.raises(BrokerError, match="shows no certificate"):
        certificate.theirs(it.config.mqtt)


def test_without_a_broker(tmp_path: Path) -> None:
    assert findings(scene(tmp_path), "broker")["broker"].severity == "note"
    assert not findings(scene(tmp_path), "certificates")
    assert certificate.own(MqttConfig()) is None
    with pytest.raises(ConfigError, match=r"gone\.crt"):
        certificate.own(MqttConfig(cert_file="gone.crt", key_file="k"))


@given(st.integers(-600_000_000, 4_100_000_000).map(lambda it: datetime.fromtimestamp(it, UTC)))
def test_any_date_is_read_as_the_library_reads_it(begins: datetime) -> None:
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x" * (begins.second + 1))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1 << begins.second).not_valid_before(begins).not_valid_after(begins + timedelta(days=9))
    der = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert certificate.validity(der).begins_s == begins.timestamp()


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)) as refused:
        certificate.validity(data)
    assert refused.type is ValueError
