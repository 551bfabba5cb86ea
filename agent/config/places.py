"""Relative paths in a file mean places beside that file, wherever the process was started."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

_PATHS = (
    "device.state_dir",
    "model.path",
    "model.labels",
    "parity.model",
    "prometheus.textfile",
    "sample.folder",
)
_SECRETS = ("mqtt.password_file", "mqtt.ca_file", "mqtt.cert_file", "mqtt.key_file")
_LIBRARIES = ("runtime.delegate", "parity.delegate")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def beside(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings of a file, as tables, with the relative paths in it made absolute; what is no text is left as it is.

    Left alone: addresses (``demo:``, ``usb:0``), ``~/...``, the name of a credential that is there, and the bare name
    of a library, which the system's loader looks for.

    Args:
        raw: what the file says, not checked yet.
        folder: the file's.
    """
    rules = {
        **dict.fromkeys(_PATHS, lambda _: True),
        **dict.fromkeys(("camera.uri", "model.bundle"), _is_path),
        **dict.fromkeys(_SECRETS, _is_no_credential),
        **dict.fromkeys(_LIBRARIES, lambda text: "/" in text),
        "model.trusted_keys": lambda _: True,
    }
    made = msgspec.to_builtins(raw)
    for key, is_meant in rules.items():
        table, _, name = key.partition(".")
        rows = made.get(table)
        if isinstance(rows, dict) and name in rows:
            rows[name] = _placed(rows[name], folder.absolute(), is_meant)
    return dict(made)


def _placed(value: object, folder: Path, is_meant: Callable[[str], bool]) -> object:
    if isinstance(value, list):
        return [_placed(each, folder, is_meant) for each in value]
    if not isinstance(value, str) or not value or value.startswith(("/", "~")) or not is_meant(value):
        return value
    return str(folder / value)


def _is_path(text: str) -> bool:
    return not (_SCHEME.match(text) or text.isdecimal() or not text.strip())


def _is_no_credential(text: str) -> bool:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return not (folder and "/" not in text and (Path(folder) / text).exists())
