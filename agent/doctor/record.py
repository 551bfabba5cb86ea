"""What the doctor says: findings, and the traps that they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from agent.doctor.scene import Scene
from agent.records import BoardInfo

Severity = Literal["ok", "note", "warning", "problem"]
"""``problem``: something does not work; ``warning``: it will fail or mislead; ``note``: good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was seen.

    Attributes:
        id: the trap's or, when all is well, the check's; stable, for programs.
        severity: how bad it is.
        seen: what was seen on this machine.
        why: why it matters; empty when all is well.
        mend: a command or a sentence.
        exit_code: of ``doctor --strict``, when this is a problem.
    """

    id: str
    severity: Severity
    seen: str
    why: str = ""
    mend: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Trap:
    """A known fault of the field; docs/doctor.md is made from these."""

    id: str
    severity: Severity
    why: str
    mend: str
    exit_code: int = 75

    def found(self, seen: str) -> Finding:
        """This machine is in it."""
        code = self.exit_code if self.severity == "problem" else 0
        return Finding(self.id, self.severity, seen, self.why, self.mend, code)


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the machine.

    Attributes:
        id: stable, for programs.
        title: what it looks at.
        look: yields findings; those without a trap carry this id.
        traps: everything that it can find.
    """

    id: str
    title: str
    look: Callable[[Scene], Iterator[Finding]]
    traps: tuple[Trap, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that the doctor found; ``format`` names this record's shape."""

    agent: str
    board: BoardInfo
    findings: tuple[Finding, ...]
    format: Literal["edge-agent.doctor/1"] = "edge-agent.doctor/1"

    @property
    def exit_code(self) -> int:
        """Of the first problem; 0 when there is none."""
        return next((finding.exit_code for finding in self.findings if finding.severity == "problem"), 0)


def fine(check: str, seen: str) -> Finding:
    """All is well there."""
    return Finding(check, "ok", seen)
