"""From the agent's records of the board to the contract's payloads. Pure; figures are rounded."""

from __future__ import annotations

from typing import Any

from agent.publish import contract_board as contract
from agent.publish.contract_base import Stamp
from agent.publish.plain import optional as _optional
from agent.publish.plain import rounded as _rounded
from agent.publish.plain import text as _text
from agent.publish.translate_light import light
from agent.records import BoardInfo, BoardReading, CameraStatus, Health, Pace, ThermalReading


def sys(stamp: Stamp, reading: BoardReading) -> contract.Sys:
    """Memory and load, and which sensors broke."""
    process = reading.process
    return contract.Sys(
        **stamp,
        rss_bytes=process.rss_bytes,
        pss_bytes=process.pss_bytes,
        peak_rss_bytes=process.peak_rss_bytes,
        available_bytes=process.available_bytes,
        cpu_percent=_optional(process.cpu_percent, 1),
        board_cpu_percent=_optional(process.board_cpu_percent, 1),
        threads=process.threads,
        uss_bytes=process.uss_bytes,
        swapped_bytes=process.swapped_bytes or None,
        failed={sensor.name: _text(sensor.error) for sensor in reading.sensors if not sensor.ok},
    )


def has_heat(reading: BoardReading) -> bool:
    """Whether this machine has anything to say in ``m/therm``."""
    return any(value not in (None, {}) for value in _heat(reading.thermal).values())


def therm(stamp: Stamp, reading: BoardReading) -> contract.Therm:
    """Heat, clock and power."""
    return contract.Therm(**stamp, **_heat(reading.thermal))


def _heat(heat: ThermalReading) -> dict[str, Any]:
    return {
        "soc_celsius": _optional(heat.soc_celsius, 1),
        "accelerator_celsius": _optional(heat.accelerator_celsius, 1),
        "rp1_celsius": _optional(heat.rp1_celsius, 1),
        "nvme_celsius": _optional(heat.nvme_celsius, 1),
        "fan_rpm": heat.fan_rpm,
        "fan_share": _optional(heat.fan_share, 2),
        "cooling": _cooling(heat),
        "frequency_hz": _optional(heat.frequency_hz, 0),
        "frequency_max_hz": _optional(heat.frequency_max_hz, 0),
        "throttle_bits": heat.throttle_bits,
        "under_voltage": heat.under_voltage,
        "throttled": heat.throttled,
    }


def _cooling(heat: ThermalReading) -> dict[str, int]:
    """Of several devices of one type (a core each) the one that does most."""
    states: dict[str, int] = {}
    for device in heat.cooling:
        states[device.kind] = max(device.state, states.get(device.kind, 0))
    return states


def health(stamp: Stamp, card: Health, queue: contract.QueueCard, totals: contract.Totals) -> contract.HealthCard:
    """The last-value card, with what the publisher knows of itself."""
    age, total = card.stages.get("age"), card.stages.get("total")
    return contract.HealthCard(
        **stamp,
        uptime_s=_rounded(card.uptime_s, 1),
        camera=_camera_card(card.camera),
        queue=queue,
        blind_s=_rounded(card.blind_s, 1),
        **totals,
        fps=_optional(card.fps, 2),
        rss_bytes=card.board.process.rss_bytes,
        soc_celsius=_optional(card.board.thermal.soc_celsius, 1),
        throttle_bits=card.board.thermal.throttle_bits,
        under_voltage=card.board.thermal.under_voltage,
        throttled=card.board.thermal.throttled,
        age_p50_s=_rounded(age.p50_s, 6) if age else None,
        age_p99_s=_rounded(age.p99_s, 6) if age else None,
        total_p50_s=_rounded(total.p50_s, 6) if total else None,
        total_p99_s=_rounded(total.p99_s, 6) if total else None,
        **_slow(card.board),
        **_judged(card),
        **_paced(card.pace),
        **light(card.light),
    )


def _slow(board: BoardReading) -> dict[str, Any]:
    """What need not be known each minute."""
    heat, process = board.thermal, board.process
    return {
        "throttle_seen_bits": heat.throttle_seen_bits,
        "sensor_failures": {sensor.name: sensor.failures_total for sensor in board.sensors if sensor.failures_total},
        "sources": heat.sources,
        "pmic_celsius": _optional(heat.pmic_celsius, 1),
        "core_volts": _optional(heat.core_volts, 3),
        "swap_free_bytes": process.swap_free_bytes,
        "cgroup_bytes": process.cgroup_bytes,
    }


def _judged(card: Health) -> dict[str, Any]:
    """What was made of the readings."""
    growth = card.growth
    return {
        "blind": {cause: _rounded(seconds, 1) for cause, seconds in card.blind.items()},
        "held_episodes": {cause: total.count for cause, total in card.episodes.items()},
        "held_s": {cause: _rounded(total.seconds, 1) for cause, total in card.episodes.items()},
        "growth_bytes_hour": _rounded(growth.bytes_hour, -3) if growth else None,
        "growth_low_bytes_hour": _rounded(growth.low_bytes_hour, -3) if growth else None,
        "growth_high_bytes_hour": _rounded(growth.high_bytes_hour, -3) if growth else None,
        "planned_restarts": card.planned_restarts,
    }


def _paced(pace: Pace) -> dict[str, Any]:
    """What the thermal governor does; nothing is said while all frames are taken."""
    is_free = pace.state == "free"
    return {
        "pace": None if is_free else pace.state,
        "pace_fps": _optional(pace.fps, 2),
        "pace_acted": None if pace.fps is None else pace.is_acted,
        "pace_reason": None if is_free else _text(pace.why),
    }


def board_card(board: BoardInfo) -> contract.BoardCard:
    """The machine; what names it among its like (a serial number, the boot) stays on it."""
    return contract.BoardCard(
        model=board.model,
        machine=board.machine,
        cores=board.cores,
        os=board.os,
        kernel=board.kernel,
        python=board.python,
        memory_bytes=board.memory_bytes,
        revision=board.revision,
        revision_model=board.revision_model,
        soldered_bytes=board.soldered_bytes,
        governor=board.governor,
        accelerators=board.accelerators,
        frequency_min_hz=_optional(board.frequency_min_hz, 0),
        frequency_max_hz=_optional(board.frequency_max_hz, 0),
        soc_limit_celsius=_optional(board.soc_limit_celsius, 1),
        cgroup_high_bytes=board.cgroup_high_bytes,
        cgroup_max_bytes=board.cgroup_max_bytes,
    )


def _camera_card(camera: CameraStatus) -> contract.CameraCard:
    return contract.CameraCard(
        state=camera.state,
        frames_total=camera.frames_total,
        dropped_total=camera.dropped_total,
        reconnects_total=camera.reconnects_total,
        corrupt_total=camera.corrupt_total,
        reason=_text(camera.reason) or None,
    )
