"""What a person needs to find a fault from afar, without secrets, small enough for one message."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agent.camera import redact
from agent.commands import operation
from agent.records import Answer, Command

MOST_BYTES = 96 * 1024
"""Of what is told: with the envelope it stays below the 128 KiB of a packet."""

_MOST_LINES = 200
_MOST_CHARS = 400
_URL = re.compile(r"\w{1,16}://\S+")  # bounded: an endless word would else be tried from each of its letters
_SECRET = re.compile(r"(?i)((?:password|passwd|secret|token|credential|api_?key)s?\W{1,3})\S+")
_SECRET_KEYS = frozenset({"username", "delegate_options"})
"""Settings whose values are nobody's business; passwords and keys are files, of which only the name is a setting."""


class Tail(logging.Handler):
    """The last log lines, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_MOST_LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ"))
        if self.formatter is not None:
            self.formatter.converter = time.gmtime

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line in."""
        self.lines.append(redacted(self.format(record))[:_MOST_CHARS])


class Diag:
    """The operation ``diag``.

    Args:
        facts: each gives one part; a part that cannot be told says why.
        tail: the last log lines.
    """

    def __init__(self, facts: Mapping[str, Callable[[], object]], tail: Tail) -> None:
        self._facts, self._tail = facts, tail

    def __call__(self, command: Command, arguments: operation.Diag) -> Answer:
        """All parts, and as many of the last log lines as fit."""
        data: dict[str, Any] = {name: _redacted_all(_told(fact)) for name, fact in self._facts.items()}
        lines = list(self._tail.lines)[-arguments.lines :] if arguments.lines else []
        while lines and len(msgspec.json.encode({**data, "log": lines})) > MOST_BYTES:
            del lines[: len(lines) // 2 + 1]
        data["log"] = lines
        if len(msgspec.json.encode(data)) > MOST_BYTES:
            return Answer(command, "failed", "too-large", f"it would be more than {MOST_BYTES} bytes")
        return Answer(command, "succeeded", data=data)


def redacted(text: str) -> str:
    """Without passwords: those of addresses, and whatever follows a word like it.

    >>> redacted("open rtsp://admin:hunter2@10.0.0.7/ch1 failed, token=abc")
    'open rtsp://admin:***@10.0.0.7/ch1 failed, token=***'
    """
    return _SECRET.sub(r"\1***", _URL.sub(lambda found: redact(found[0]), text))


def _told(fact: Callable[[], object]) -> Any:
    try:
        return msgspec.to_builtins(fact(), str_keys=True)
    except (OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
        return f"cannot be told: {error}"


def _redacted_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "***" if key in _SECRET_KEYS and item else _redacted_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted_all(item) for item in value]
    return redacted(value) if isinstance(value, str) else value
