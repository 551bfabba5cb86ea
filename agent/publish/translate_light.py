"""From the agent's records of the light to the contract. Pure; figures are rounded, what is neutral is left out."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.publish.contract_base import Scalar
from agent.publish.contract_light import Corrected
from agent.publish.plain import rounded, text
from agent.records import Correction, LightChange, LightStatus


def corrected(change: LightChange) -> dict[str, Scalar]:
    """The data of the event ``corrected``."""
    sets = {"": change.correction, "previous_": change.previous, "target_": change.target}
    numbers = {f"{prefix}{name}": value for prefix, each in sets.items() for name, value in _busy(each).items()}
    told = Corrected(why=change.why, acted=change.is_acted, noise=rounded(change.noise, 2), **numbers)
    plain: dict[str, Scalar] = msgspec.to_builtins(told)
    return plain


def light(status: LightStatus) -> dict[str, Any]:
    """Its fields of the health card; nothing where nothing is corrected or learned."""
    word: str | None = status.state if status.state in {"learning", "blocked"} else None
    if status.correction is not None and word is None:
        word = "corrected" if status.is_acted else "advised"
    if status.held is not None:
        word = "held"
    return {
        "light": word,
        "light_learned": status.learned if status.state == "learning" else None,
        "light_reason": text(status.why) or None if status.correction is not None or status.held is not None else None,
        "correction": _busy(status.correction or Correction()),
    }


def _busy(correction: Correction) -> dict[str, float]:
    """Its numbers that do something."""
    neutral = _numbers(Correction())
    return {name: value for name, value in _numbers(correction).items() if value != neutral[name]}


def _numbers(correction: Correction) -> dict[str, float]:
    blue, green, red = correction.balance
    found = {"black": correction.black, "gain": correction.gain, "gamma": correction.gamma}
    return {name: rounded(value, 4) for name, value in (found | {"blue": blue, "green": green, "red": red}).items()}
