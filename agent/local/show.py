"""The agent's status as lines for a person: what ``edge-agent status`` prints. Pure."""

from __future__ import annotations

from typing import Any


def lines(told: dict[str, Any]) -> list[str]:
    """The same for a person; milliseconds and mebibytes. Takes whatever another version of the agent may say."""
    model, runtime, mqtt = _table(told, "model"), _table(told, "runtime"), _table(told, "mqtt")
    name = f"{model.get('name', '')} {model.get('version', '')}".strip()
    rows = [
        ("state", _words(told.get("state"), f"for {told['uptime_s']:.0f} s" if _is_number(told, "uptime_s") else "")),
        ("board", f"{told.get('site', '')}/{told.get('device', '')}, edge-agent {told.get('agent', '')}"),
        ("model", f"{name} on {runtime.get('backend', '')} {runtime.get('version', '')}"),
        *(("", f"with {said}") for said in _sentences(model.get("learned"))),
        ("camera", _camera(told)),
        ("frames", _frames(told)),
        ("heat", _heat(_table(told, "thermal"))),
        ("pace", str(_table(told, "pace").get("text", ""))),
        ("light", str(_table(told, "light").get("text", ""))),
        ("memory", _mebibytes(_table(told, "process"), "rss_bytes")),
        ("broker", _broker(mqtt) if mqtt else "none is set"),
        *((f"sensor {sensor}", str(fault)) for sensor, fault in _table(told, "failed").items()),
    ]
    return [f"{label:<8} {text}" for label, text in rows if text.strip()]


def _table(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _sentences(told: object) -> list[str]:
    return [str(said) for said in told] if isinstance(told, list | tuple) else []


def _is_number(told: dict[str, Any], name: str) -> bool:
    return isinstance(told.get(name), int | float)


def _words(*words: object) -> str:
    return ", ".join(str(word) for word in words if word)


def _camera(told: dict[str, Any]) -> str:
    if told.get("absence"):
        return "not looked at"
    camera = _table(told, "camera")
    blind = f"blind for {told['blind_s']:.0f} s" if _is_number(told, "blind_s") and told["blind_s"] >= 1 else ""
    dropped = f"{camera['dropped_total']} frames dropped" if camera.get("dropped_total") else ""
    return _words(camera.get("state"), camera.get("reason"), dropped, blind)


def _frames(told: dict[str, Any]) -> str:
    if told.get("absence"):
        return f"none are answered: {told['absence']}"
    parts = [f"{told['fps']:.1f} a second"] if _is_number(told, "fps") else []
    for stage in ("total", "age"):
        stats = _table(_table(told, "stages"), stage)
        if _is_number(stats, "p50_s") and _is_number(stats, "p99_s"):
            parts.append(f"{stage} p50 {stats['p50_s'] * 1e3:.1f} ms, p99 {stats['p99_s'] * 1e3:.1f} ms")
    return "; ".join(parts)


def _heat(thermal: dict[str, Any]) -> str:
    parts = [f"SoC {thermal['soc_celsius']:.1f} C"] if _is_number(thermal, "soc_celsius") else []
    if _is_number(thermal, "accelerator_celsius"):
        parts.append(f"accelerator {thermal['accelerator_celsius']:.1f} C")
    if _is_number(thermal, "frequency_hz"):
        parts.append(f"{thermal['frequency_hz'] / 1e6:.0f} MHz")
    parts += ["THROTTLED"] if thermal.get("throttled") else []
    parts += ["UNDER-VOLTAGE"] if thermal.get("under_voltage") else []
    return ", ".join(parts) or "no sensor"


def _mebibytes(process: dict[str, Any], name: str) -> str:
    return f"{process[name] / 2**20:.0f} MiB" if _is_number(process, name) else ""


def _broker(mqtt: dict[str, Any]) -> str:
    waiting = f"{mqtt['queue_rows']} messages wait" if mqtt.get("queue_rows") else ""
    return _words("connected" if mqtt.get("connected") else "not connected", mqtt.get("reason"), waiting)
