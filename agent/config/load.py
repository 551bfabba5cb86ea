"""From TOML to :class:`Config`, and every way in which that is refused."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from msgspec import inspect

from agent.config.explain import fields_of, settings, unwrap
from agent.config.places import beside
from agent.config.sampling import EVERY_CLASS
from agent.config.tables import OFFERED, Config, with_given
from agent.errors import ConfigError

_MOST_BYTES = 1 << 20
_WORDS = {
    "object": "table",
    "array": "list",
    "str": "text",
    "float": "number",
    "int": "integer",
    "bool": "true or false",
    "null": "nothing",
}
"""The library speaks of JSON; the file is TOML."""

_FORMS = {
    "camera.fourcc": "four plain letters, or empty",
    "device.id": "a-z, 0-9 and - only, at most 64",
    "device.site": "a-z, 0-9 and - only, 1 to 64",
    "homeassistant.prefix": "letters, digits, _ and - only, with single slashes between words",
    "prometheus.textfile": "a file whose name ends in .prom, or empty",
}
"""A regular expression is no sentence."""


def load(path: Path | None) -> Config:
    """The settings of a file, relative paths in it taken from its folder; the defaults when ``path`` is None.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or holds a setting that is wrong; the message names it.
    """
    return Config() if path is None else parse(_read(path), origin=str(path), folder=path.parent)


def parse(text: str, *, origin: str = "configuration", folder: Path | None = None) -> Config:
    """The settings in ``text``; ``origin`` names it in errors, relative paths are those of ``folder``, if given.

    Raises:
        ConfigError: as :func:`load`.
    """
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also an integer of more than 4300 digits
        raise ConfigError(f"{origin}: not valid TOML: {error}") from None
    return convert(beside(raw, folder) if folder is not None else raw, origin=origin)


def convert(raw: dict[str, Any], *, origin: str = "configuration", given: frozenset[str] | None = None) -> Config:
    """The settings in a nested dict.

    Args:
        raw: tables of settings.
        origin: names it in errors.
        given: dotted names of what somebody wrote down; None: all that is in ``raw``.

    Raises:
        ConfigError: as :func:`load`.
    """
    for key, known in _unknown(raw, inspect.type_info(Config), ""):
        near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1, cutoff=0.5)
        mend = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        raise ConfigError(f"{origin}: unknown setting {key!r}; {mend}")
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {_say(str(error))}") from None
    for problem in _contradictions(config):
        raise ConfigError(f"{origin}: {problem}")
    return with_given(config, _names(raw) if given is None else given)


def override(config: Config, changes: dict[str, Any]) -> Config:
    """``config`` with some dotted keys set, as the command line does; ``None`` leaves a key as it is.

    Raises:
        ConfigError: as :func:`load`.
    """
    raw, made = msgspec.to_builtins(config), {key: value for key, value in changes.items() if value is not None}
    for key, value in made.items():
        table, _, name = key.partition(".")
        raw[table][name] = value
    return convert(raw, origin="command line", given=config.given | made.keys())


def anchored(config: Config, folder: Path) -> Config:
    """``config`` with relative paths made absolute, so that it means the same in a file that lies elsewhere."""
    return convert(beside(msgspec.to_builtins(config), folder), origin="command line", given=config.given)


def to_toml(config: Config) -> str:
    """The settings as TOML that :func:`parse` reads back to the same value; unset ones are left out.

    Where a bundle is named, so are those that its manifest gives: written down, they would overrule it.
    """
    raw = msgspec.to_builtins(config)
    if config.model.bundle:
        for name in OFFERED:
            if f"model.{name}" not in config.given:
                del raw["model"][name]
    return tomli_w.dumps(_without_none(raw))


def digest(config: Config) -> str:
    """First 12 hex digits of the sha256 of the settings: the same settings give the same digest everywhere."""
    return hashlib.sha256(msgspec.json.encode(msgspec.to_builtins(config), order="sorted")).hexdigest()[:12]


def _names(raw: dict[str, Any]) -> frozenset[str]:
    tables = ((table, rows) for table, rows in raw.items() if isinstance(rows, dict))
    return frozenset(f"{table}.{name}" for table, rows in tables for name in rows)


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; give the .toml file in it")
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: is a device or a pipe; give a .toml file")
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes are no configuration; give a .toml file")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `edge-agent config init {path}` writes one to start from") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text at byte {error.start}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _unknown(raw: object, node: inspect.Type, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Keys of ``raw`` that no table knows, with the keys that are known in that place."""
    node = unwrap(node)[0]
    if isinstance(node, inspect.ListType) and isinstance(raw, list):
        for place, item in enumerate(raw):
            yield from _unknown(item, node.item_type, f"{prefix.removesuffix('.')}[{place}].")
    if isinstance(node, inspect.VarTupleType) and isinstance(raw, (list, tuple)):
        for place, item in enumerate(raw):
            yield from _unknown(item, node.item_type, f"{prefix.removesuffix('.')}[{place}].")
    known = {field.encode_name: field.type for field in fields_of(node)}
    if not known or not isinstance(raw, dict):
        return
    for key, value in raw.items():
        if key not in known:
            yield f"{prefix}{key}", list(known)
        else:
            yield from _unknown(value, known[key], f"{prefix}{key}.")


def _say(message: str) -> str:
    """The library's sentence with the key in front and what the setting means behind."""
    fault, _, place = re.sub(r"`([^`]*)`", _in_toml, message).partition(" - at $.")
    rows = {row.key: row for row in settings()}
    row = rows.get(re.sub(r"\[\d+\]", "[]", re.sub(r"(\[[^\]]*\])+$", "", place)))
    fault = fault[:1].lower() + fault[1:]
    if place in _FORMS and "matching regex" in fault:
        fault = f"must be {_FORMS[place]}"
    if row and row.kind == "choice":
        fault += f"; one of {row.allowed}"
    return f"{place or 'the file'}: {fault}" + (f" ({row.description})" if row and row.description else "")


def _in_toml(quoted: re.Match[str]) -> str:
    return re.sub(r"\w+", lambda word: _WORDS.get(word[0], word[0]), quoted[1])


def _broker_contradictions(config: Config) -> Iterator[str]:
    mqtt = config.mqtt
    if mqtt.host.startswith("[") or mqtt.host.count(":") == 1:  # a bare IPv6 address has two colons at the least
        yield f"mqtt.host: {mqtt.host!r} is no name or address; give the port in mqtt.port, and no brackets"
    if "/" in mqtt.host:
        yield f"mqtt.host: {mqtt.host!r} is an address; give the name alone, beside it mqtt.port and mqtt.tls"
    if bool(mqtt.cert_file) != bool(mqtt.key_file):
        yield "mqtt.cert_file and mqtt.key_file: one without the other; a client certificate needs both"
    if mqtt.password_file and not mqtt.username:
        yield "mqtt.password_file: needs mqtt.username"


def _home_contradictions(config: Config) -> Iterator[str]:
    home = config.homeassistant
    if 0.0 < home.snapshot_s < 5.0:
        yield "homeassistant.snapshot_s: a picture each 5 s is the most; 0 switches it off"
    if home.snapshot_s and not home.enabled:
        yield "homeassistant.snapshot_s: needs homeassistant.enabled"


def _listen_contradictions(config: Config) -> Iterator[str]:
    if config.prometheus.listen:
        try:
            _ = config.prometheus.address
        except ValueError as error:
            yield f"prometheus.listen: {error}; give a port on loopback, as 127.0.0.1:9101"


def _zone_contradictions(config: Config) -> Iterator[str]:
    names = [zone.name for zone in config.zones]
    for name in names:
        if names.count(name) > 1:
            yield f"zones: two are named {name!r}"
    counted = [zone.name for zone in config.zones if zone.mode in {"include", "count"}]
    for name in config.detections.zones:
        if name not in counted:
            yield f"detections.zones: no zone of mode include or count is named {name!r}"


def _sample_contradictions(config: Config) -> Iterator[str]:
    sample = config.sample
    known = [zone.name for zone in config.zones]
    for name in sample.private_zones:
        if name not in known:
            yield f"sample.private_zones: no zone is named {name!r}; known: {', '.join(known) or 'none'}"
    if EVERY_CLASS in sample.private_classes and len(sample.private_classes) > 1:
        yield 'sample.private_classes: "*" stands for every class; give it alone, or name classes'
    if sample.privacy in {"blur", "mask"} and not (sample.private_classes or sample.private_zones):
        yield f'sample.privacy: "{sample.privacy}" has nothing to hide; name classes or zones, or say "full"'


def _contradictions(config: Config) -> Iterator[str]:
    yield from _unusable(msgspec.to_builtins(config), "")
    camera, model = config.camera, config.model
    if camera.reconnect_min_s > camera.reconnect_max_s:
        yield "camera.reconnect_min_s: is more than camera.reconnect_max_s"
    for name, values in (("mean", model.mean), ("std", model.std)):
        if len(values) == 2:
            yield f"model.{name}: give one number, or three for three channels"
    if any(value == 0 for value in model.std):
        yield "model.std: 0 would divide by zero"
    if model.bundle and model.path:
        yield "model.bundle: stands beside model.path; give one of the two"
    if config.parity.every_s and config.parity.every_s < 2 * config.parity.timeout_s:
        yield "parity.every_s: is less than twice parity.timeout_s; one look could run into the next"
    yield from _broker_contradictions(config)
    yield from _home_contradictions(config)
    yield from _listen_contradictions(config)
    yield from _zone_contradictions(config)
    yield from _sample_contradictions(config)


def _unusable(value: object, key: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: {value} is no number to work with"
    elif isinstance(value, str) and "\0" in value:
        yield f"{key}: has a NUL character in it"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _unusable(item, f"{key}.{name}".removeprefix("."))
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _unusable(item, f"{key}[{place}]")


def _without_none(value: object) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(item) for item in value]
    return value
