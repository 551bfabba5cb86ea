"""Settings that can be changed while the agent runs: a closed list, checked by the configuration's own rules.

On it is what can neither make the board unreachable nor change what it calls an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent.config.load import convert
from agent.config.tables import Config

LIVE = ("log.level", "measure.sensors_s", "measure.window_s", "mqtt.health_s")
"""Dotted names; what stands here is in force within a window."""


def not_live(keys: Iterable[str]) -> list[str]:
    """Those that can only be changed in the file."""
    return sorted(key for key in keys if key not in LIVE)


def overlaid(config: Config, changes: Mapping[str, Any]) -> Config:
    """``config`` with some live settings changed.

    Raises:
        ConfigError: a value is of the wrong type, out of range, or contradicts another setting.
        ValueError: a setting is not live.
    """
    if not_live(changes):
        raise ValueError(f"not to be changed at run time: {', '.join(not_live(changes))}")
    raw = msgspec.to_builtins(config)
    for key, value in changes.items():
        table, _, name = key.partition(".")
        raw[table][name] = value
    return convert(raw, origin="desired")
