"""How to get in: address, user, password and certificates, read once from the configuration and its files.

A wrong file is a wrong setting: it is refused here, by name, before anything is dialled. Secrets stay out of every
``repr`` and every message.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from agent.config import MqttConfig
from agent.errors import ConfigError
from agent.publish.profile import profile_of


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection needs.

    Attributes:
        host, port: the broker.
        tls: None for plain TCP.
        username, password: None when there is none.
        keepalive_s: silence after which the broker calls us lost.
        timeout_s: deadline for an attempt, and for the broker's answer to CONNECT.
        has_certificate: we show one of our own.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 30
    timeout_s: float = 10.0
    has_certificate: bool = False

    @property
    def where(self) -> str:
        """The broker, as a person writes it."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def read_access(config: MqttConfig, credentials_dir: Path | None = None) -> Access:
    """Reads password, certificates and key.

    Args:
        config: the ``[mqtt]`` table; ``host`` is not empty.
        credentials_dir: where bare file names are looked for first; ``$CREDENTIALS_DIRECTORY`` when not given.

    Raises:
        ConfigError: a file cannot be read or is not what it should be, or two settings contradict each other.
    """
    tls = _read_tls(config, credentials_dir)
    return Access(
        host=config.host,
        port=config.port or (8883 if tls else 1883),
        tls=tls,
        username=config.username or None,
        password=_read_password(config, credentials_dir),
        keepalive_s=profile_of(config).keepalive_s,
        timeout_s=config.connect_timeout_s,
        has_certificate=bool(config.cert_file),
    )


def find_file(name: str, credentials_dir: Path | None = None) -> Path:
    """A bare name means systemd's credential of that name where there is one, else a file like any other."""
    folder = credentials_dir or os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and "/" not in name and (Path(folder) / name).exists():
        return Path(folder) / name
    return Path(name).expanduser()


def _read(setting: str, path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"mqtt.{setting}: cannot read {path} ({error.strerror}): check the path and its rights"
        ) from None
    if not data.strip():
        raise ConfigError(f"mqtt.{setting}: {path} is empty")
    return data


def _read_password(config: MqttConfig, credentials_dir: Path | None) -> str | None:
    if not config.password_file:
        return None
    if not config.username:
        raise ConfigError("mqtt.password_file is set and mqtt.username is not: a password needs a user name")
    path = find_file(config.password_file, credentials_dir)
    try:
        return _read("password_file", path).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(
            f"mqtt.password_file: {path} is not text (UTF-8): put the password alone on one line"
        ) from None


def _read_tls(config: MqttConfig, credentials_dir: Path | None) -> ssl.SSLContext | None:
    if not (config.tls or config.ca_file or config.cert_file or config.key_file):
        return None
    if config.key_file and not config.cert_file:
        raise ConfigError("mqtt.key_file is set and mqtt.cert_file is not: a key is of use only with its certificate")
    context = _trust(find_file(config.ca_file, credentials_dir) if config.ca_file else None)
    if config.cert_file:
        key = find_file(config.key_file, credentials_dir) if config.key_file else None
        _load_own(context, find_file(config.cert_file, credentials_dir), key)
    return context


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is not None:
        _read("ca_file", ca_file)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"mqtt.ca_file: {ca_file} holds no CA certificate in PEM form ({error.reason})") from None
    # Python 3.13 switches strict RFC 5280 checks on, which home-made CAs fail; 3.11 and 3.13 shall trust the same ones.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _load_own(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    _read("cert_file", cert_file)
    if key_file is not None:
        _read("key_file", key_file)
    key = key_file or cert_file

    def no_passphrase() -> str:
        # without this OpenSSL asks on the terminal, and a service waits for ever
        raise ConfigError(
            f"mqtt.key_file: {key} is encrypted: store the key without a passphrase, readable by the agent only"
        )

    try:
        context.load_cert_chain(cert_file, key_file, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"mqtt.key_file: {key} is not the key of {cert_file}") from None
        raise ConfigError(
            f"mqtt.cert_file: {cert_file} and {key} are no PEM certificate and key ({error.reason})"
        ) from None
