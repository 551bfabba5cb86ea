"""The diagnosis for a person and for a program."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec

from agent.doctor.record import Diagnosis, Finding

_MARKS = {"ok": "ok", "note": "note", "warning": "WARNING", "problem": "PROBLEM"}
_WIDTH = 118
_INDENT = 30


def text(diagnosis: Diagnosis) -> str:
    """A table: the bad ones with why and mend beneath."""
    board = diagnosis.board
    memory = f", {board.memory_bytes / 2**30:.1f} GiB" if board.memory_bytes else ""
    head = f"{board.model}: {board.os}, Linux {board.kernel}, {board.machine}, {board.cores} cores{memory}"
    rows = [line for finding in diagnosis.findings for line in _lines(finding)]
    tail = ", ".join(_many(diagnosis, kind) for kind in ("problem", "warning", "note"))
    return "\n".join([head, "", *rows, "", tail])


def _many(diagnosis: Diagnosis, what: str) -> str:
    count = sum(finding.severity == what for finding in diagnosis.findings)
    return f"{count} {what}" + ("" if count == 1 else "s")


def _lines(finding: Finding) -> list[str]:
    lead = f"{_MARKS[finding.severity]:<8}{finding.id:<22}"
    rest = " " * _INDENT
    seen = textwrap.wrap(finding.seen, _WIDTH - _INDENT, break_long_words=False) or [""]
    found = [lead + seen[0], *(rest + row for row in seen[1:])]
    for word in (finding.why, f"-> {finding.mend}" if finding.mend else ""):
        found += [rest + row for row in textwrap.wrap(word, _WIDTH - _INDENT, break_long_words=False)]
    return found


def json_text(diagnosis: Diagnosis) -> str:
    """One JSON object; its shape is :func:`schema`."""
    return msgspec.json.encode(diagnosis).decode()


def schema() -> dict[str, Any]:
    """JSON Schema of what ``doctor --json`` prints."""
    return msgspec.json.schema(Diagnosis)
