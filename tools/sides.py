"""Both sides of a comparison: the figures of each, and why the two may not be compared. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.bench import TITLES, Result
from tools import compare

Named = tuple[str, Result]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason not to compare.

    Attributes:
        files: one, or both where they do not fit each other.
        reason: half a sentence.
        is_final: it cannot be done at all, whoever asks for it.
    """

    files: tuple[str, ...]
    reason: str
    is_final: bool = False

    @property
    def said(self) -> str:
        """One line."""
        return f"{' and '.join(self.files)}: {self.reason}"


def refusals(one: Named, other: Named) -> list[Refusal]:
    """Everything against comparing the two; none: it may be done.

    Args:
        one: A, with the name of its file.
        other: B.
    """
    both = (one[0], other[0])
    found = [Refusal(both, reason) for reason in compare.differences(one[1], other[1])]
    for name, result in (one, other):
        found += [Refusal((name,), f"not valid: {reason}") for reason in result.invalid_because]
        many = len(compare.judged(result))
        if many < compare.LEAST_WINDOWS:
            why = f"{many} windows to compare, {compare.LEAST_WINDOWS} are needed"
            found.append(Refusal((name,), f"{why}: measure longer, or in shorter windows (--window)", is_final=True))
    return found


def side(named: Named) -> dict[str, Any]:
    """The figures of one whole run, and what it was run with: base units, null where there is none."""
    name, result = named
    env, score = result.environment, result.score
    return {
        "file": name,
        "created": result.created,
        "valid": result.valid,
        "scenario": TITLES[result.plan.scenario],
        "soak": result.plan.soak,
        "windows": len(compare.judged(result)),
        "p50_s": score.p50_s if score else None,
        "p90_s": score.p90_s if score else None,
        "p99_s": score.p99_s if score else None,
        "max_s": score.max_s if score else None,
        "samples_per_s": score.samples_per_s if score else None,
        "model": env.model.name,
        "model_sha256": env.model.sha256,
        "board": env.board.model,
        "runtime": msgspec.to_builtins(env.runtime),
        "agent": env.agent,
    }


def encode(one: Named, other: Named, refused: Sequence[Refusal], ratios: Sequence[compare.Ratio]) -> bytes:
    """All of it as one JSON object: ``a``, ``b``, ``refusals``, ``ratios`` (B by A, with a 95 % interval)."""
    return msgspec.json.encode(
        {
            "a": side(one),
            "b": side(other),
            "refusals": [{"files": each.files, "reason": each.reason} for each in refused],
            "ratios": ratios,
        }
    )
