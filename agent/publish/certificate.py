"""How long certificates are good for: our own by its file, the broker's by asking it.

Only dates are taken from a certificate here; whether it is to be trusted is judged by TLS itself (``probe``).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.config import MqttConfig
from agent.errors import BrokerError, ConfigError
from agent.publish.access import find_file

_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when, unix seconds."""

    begins_s: float
    ends_s: float


def own(config: MqttConfig) -> Validity | None:
    """Of the certificate that we show; None when we show none.

    Raises:
        ConfigError: the file cannot be read or holds no certificate.
    """
    if not config.cert_file:
        return None
    path = find_file(config.cert_file)
    try:
        return validity(ssl.PEM_cert_to_DER_cert(_first(path.read_text(encoding="ascii"))))
    except (OSError, ValueError) as error:
        raise ConfigError(f"mqtt.cert_file: {path} cannot be read as a PEM certificate: {error}") from None


def theirs(config: MqttConfig) -> Validity | None:
    """Of the certificate that the broker shows, trusted or not; None without TLS.

    Raises:
        BrokerError: it does not answer, or not with TLS.
    """
    if not (config.host and (config.tls or config.ca_file or config.cert_file)):
        return None
    port = config.port or 8883
    try:
        shown = ssl.get_server_certificate((config.host, port), timeout=config.connect_timeout_s)
        return validity(ssl.PEM_cert_to_DER_cert(shown))
    except (OSError, ValueError) as error:
        raise BrokerError(f"mqtts://{config.host}:{port} shows no certificate: {error}") from None


def _first(text: str) -> str:
    begin, end = text.find("-----BEGIN CERTIFICATE-----"), text.find("-----END CERTIFICATE-----")
    if not 0 <= begin < end:
        raise ValueError("it has no BEGIN CERTIFICATE and END CERTIFICATE")
    return text[begin : end + len("-----END CERTIFICATE-----")]


def validity(der: bytes) -> Validity:
    """The dates in a certificate (RFC 5280, 4.1): the fifth part of its inner sequence, the version not counted.

    Raises:
        ValueError: it is no certificate.
    """
    inner = _parts(_parts(_parts(der)[0][1])[0][1])
    if inner and inner[0][0] == _VERSION:
        inner = inner[1:]
    if len(inner) < 4 or inner[3][0] != _SEQUENCE:
        raise ValueError("it is no X.509 certificate")
    dates = [_seconds(tag, body) for tag, body in _parts(inner[3][1])]
    if len(dates) != 2:
        raise ValueError("it is no X.509 certificate: it has no two dates")
    return Validity(dates[0], dates[1])


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each DER value in a row."""
    found, at = [], 0
    while at + 2 <= len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size >= 0x80:
            many = size & 0x7F
            size, at = int.from_bytes(data[at : at + many], "big"), at + many
        if at + size > len(data):
            raise ValueError("it is no X.509 certificate: it was cut")
        found.append((tag, data[at : at + size]))
        at += size
    if not found:
        raise ValueError("it is no X.509 certificate: it is empty")
    return found


def _seconds(tag: int, body: bytes) -> float:
    text = body.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
