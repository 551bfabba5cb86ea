"""The best setting into the configuration file: only the lines concerned, comments kept, the old file kept beside it.

No TOML library here writes comments back, so the text itself is changed, and the outcome is read again before it
counts: a file that is laid out in a way not foreseen here is refused and stays as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from agent import config as settings
from agent.errors import ConfigError, StorageError
from agent.files import write_whole

BACKUP = ".before-tune"


def tune(path: Path, changes: dict[str, Any]) -> Path:
    """Write settings into a configuration file.

    Args:
        path: the file.
        changes: by dotted name; text or whole numbers.

    Returns:
        Where the old file lies.

    Raises:
        ConfigError: the file cannot be changed without changing more than that, is a link, or is not ours to write.
        StorageError: the disk refuses.
    """
    new = expect_changeable(path, changes)
    backup = path.with_name(path.name + BACKUP)
    try:
        shutil.copy2(path, backup)
        _replace(path, new)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return backup


def expect_changeable(path: Path, changes: dict[str, Any]) -> str:
    """The file's text with the settings in it; nothing is written. Arguments and errors of :func:`tune`."""
    _expect_own(path)
    text = path.read_text(encoding="utf-8")
    new = edited(text, changes)
    wanted = settings.override(settings.parse(text, origin=str(path)), changes)
    try:
        is_right = settings.parse(new, origin=str(path)) == wanted
    except ConfigError:
        is_right = False
    if not is_right:
        said = ", ".join(f"{key} = {_toml(value)}" for key, value in changes.items())
        raise ConfigError(f"{path}: is laid out in a way that is not changed here; write it in yourself: {said}")
    return new


def _expect_own(path: Path) -> None:
    if path.is_symlink():
        raise ConfigError(f"{path}: is a link; name the file itself")
    if not path.is_file():
        raise ConfigError(f"{path}: is no file that can be changed")
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise ConfigError(f"{path}: is not ours to write; run it as the file's owner, or leave --tune away")


def _replace(path: Path, text: str) -> None:
    before = path.stat()
    write_whole(path, text.encode())
    path.chmod(before.st_mode & 0o7777)
    with contextlib.suppress(PermissionError):  # only root may give a file away; others own it already
        os.chown(path, before.st_uid, before.st_gid)


def edited(text: str, changes: dict[str, Any]) -> str:
    r"""The text with some settings changed: in their line where they stand, else below their table's head.

    >>> edited("[runtime]\nnum_threads = 2  # all cores\n", {"runtime.num_threads": 4})
    '[runtime]\nnum_threads = 4  # all cores\n'
    >>> edited("", {"runtime.backend": "litert"})
    '[runtime]\nbackend = "litert"\n'
    """
    for key, value in changes.items():
        table, _, name = key.partition(".")
        text = _edited(text, table, name, _toml(value))
    return text


def _edited(text: str, table: str, name: str, value: str) -> str:
    head = re.search(rf"^[ \t]*\[[ \t]*{re.escape(table)}[ \t]*\][ \t]*(#.*)?$", text, re.MULTILINE)
    if head is None:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}[{table}]\n{name} = {value}\n"
    after = re.search(r"^[ \t]*\[", text[head.end() :], re.MULTILINE)
    end = head.end() + after.start() if after else len(text)
    part = text[head.end() : end]
    line = rf"""^([ \t]*{re.escape(name)}[ \t]*=[ \t]*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s#"']+)"""
    part, found = re.subn(line, lambda hit: hit[1] + value, part, count=1, flags=re.MULTILINE)
    if not found:
        part = f"\n{name} = {value}{part}"
    return text[: head.end()] + part + text[end:]


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
