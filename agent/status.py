"""How the agent is, for whoever asks on the board.

In: the newest health card and how publishing goes. Out: plain values, base units, ``None`` left out. Pure; shown to a
person by :mod:`agent.local.show`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.following import standing
from agent.pacing import sentence
from agent.publish import PublisherStatus
from agent.records import Health, LightStatus, ModelInfo, Pace, RuntimeInfo
from agent.telemetry import ALARMS

QUANTILES = ("p50_s", "p90_s", "p99_s", "max_s")


def tell(
    *,
    version: str,
    device: str,
    site: str,
    model: ModelInfo,
    runtime: RuntimeInfo,
    health: Health | None,
    mqtt: PublisherStatus | None,
    absence: str = "",
) -> dict[str, Any]:
    """Everything as plain values; before the first reading of the sensors, only who it is.

    Args:
        version: the agent's.
        device: the board's name.
        site: where it stands.
        model: what is run.
        runtime: on what.
        health: the newest card; None before the first reading.
        mqtt: how publishing goes; None without a broker.
        absence: why no frame is answered, on purpose; empty when frames are.
    """
    found: dict[str, Any] = {
        "state": _state(health, absence),
        "absence": absence or None,
        "agent": version,
        "site": site,
        "device": device,
        "model": model,
        "runtime": runtime,
        "mqtt": mqtt,
    }
    if health is not None:
        found |= {
            "uptime_s": round(health.uptime_s, 1),
            "blind_s": round(health.blind_s, 1),
            "fps": None if absence else health.fps,  # the last window's is over
            "camera": health.camera,
            "process": health.board.process,
            "thermal": health.board.thermal,
            "failed": {sensor.name: sensor.error for sensor in health.board.sensors if not sensor.ok},
            "stages": {
                name: {quantile: getattr(stats, quantile) for quantile in QUANTILES}
                for name, stats in health.stages.items()
            },
            "pace": _pace(health.pace),
            "light": _light(health.light),
        }
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(found, str_keys=True))
    return plain


def _state(health: Health | None, absence: str) -> str:
    if absence:
        return "updating"
    if health is None:
        return "starting"
    return "degraded" if health.camera.state in ALARMS else "online"


def _pace(pace: Pace) -> dict[str, Any]:
    return {
        "state": pace.state,
        "fps": pace.fps,
        "share": pace.share,
        "acted": pace.is_acted,
        "why": pace.why,
        "text": sentence(pace),
    }


def _light(light: LightStatus) -> dict[str, Any]:
    return {
        "state": light.state,
        "acted": light.is_acted,
        "learned": light.learned,
        "wanted": light.wanted,
        "correction": light.correction,
        "why": light.why,
        "text": standing(light),
    }


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
