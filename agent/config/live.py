"""Settings that can be changed while the agent runs: a closed list, checked by the configuration's own rules.

On it is what can neither make the board unreachable or end the agent (as ``measure.memory_limit_bytes`` does) nor need
another model, another camera or a new start. What of it
changes what counts as an object shows in the birth's ``config_sha256``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent.config.explain import settings
from agent.config.governor import GovernorConfig
from agent.config.load import convert
from agent.config.outlets import DetectionsConfig
from agent.config.tables import Config

_AT_A_FRAME = "from the next frame on"
_AT_A_BLOCK = "with the next five minutes of readings"
_AT_A_READING = "with the next reading"
_PACED_ANEW = "with the next reading; a pace that acts goes on from where it is, any other begins anew"
_AT_A_LOOK = "from the next look at the light on"
_TOLD_ANEW = "from the next frame on; what is there is unknown until it was looked at for long enough again"

LIVE = {
    "camera.black_luma": "with the next picture",
    "camera.black_s": "counted anew from now",
    "camera.frozen_s": "counted anew from now",
    "correction.dead_band": _AT_A_LOOK,
    "correction.every_s": _AT_A_LOOK,
    "correction.fit_s": _AT_A_LOOK,
    "correction.max_noise": _AT_A_LOOK,
    "correction.mode": "at once; what is in force is taken back by any mode but `act`",
    "correction.step_per_min": _AT_A_LOOK,
    **{f"detections.{name}": _TOLD_ANEW for name in DetectionsConfig.__struct_fields__},
    **{f"governor.{name}": _PACED_ANEW for name in GovernorConfig.__struct_fields__},
    "homeassistant.snapshot_s": "counted from now; where Home Assistant is switched on in the file",
    "log.level": "at once; while the command `loglevel` holds, after it",
    "measure.growth_hold_s": _AT_A_BLOCK,
    "measure.growth_limit_bytes": _AT_A_BLOCK,
    "measure.hung_s": _AT_A_READING,
    "measure.p99_limit_s": "with the next window",
    "measure.sensors_s": "after the next reading",
    "measure.state_s": _AT_A_READING,
    "measure.window_s": "with the window at hand",
    "model.class_thresholds": _AT_A_FRAME,
    "model.classes": _AT_A_FRAME,
    "model.min_size": _AT_A_FRAME,
    "model.score_threshold": _AT_A_FRAME,
    "mqtt.health_s": "at once; announced to Home Assistant anew",
    "mqtt.profile": "at once; its keep-alive from the next connection on",
    "mqtt.resolution_s": "at once; windows that were begun are sent as they are",
}
"""Dotted names of settings, and when they are in force."""


def not_live(keys: Iterable[str]) -> list[str]:
    """Those that can only be changed in the file."""
    return sorted(key for key in keys if key not in LIVE)


def why_not_live(keys: Iterable[str]) -> str:
    """One sentence about those that can only be changed in the file, or nowhere; empty when there are none.

    >>> why_not_live(["model.scorethreshold"])
    "unknown setting 'model.scorethreshold'; did you mean 'model.score_threshold'?"
    """
    known = [row.key for row in settings()]
    for key in not_live(keys):
        if any(name.startswith(f"{key}.") for name in known):
            return f"{key!r} is a table; give settings by dotted name, as {_example(key)!r}"
        if key not in known:
            near = difflib.get_close_matches(key[:100], known, n=1, cutoff=0.5)
            return f"unknown setting {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    strange = not_live(keys)
    return f"cannot be changed from afar: {', '.join(strange)}" if strange else ""


def _example(table: str) -> str:
    return next((name for name in LIVE if name.startswith(f"{table}.")), "mqtt.health_s")


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
    return convert(raw, origin="desired", given=config.given | changes.keys())
