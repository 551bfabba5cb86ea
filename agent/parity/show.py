"""A comparison for a person and for a program."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.parity.record import Comparison, Figures, Interval, SideReport


def text(found: Comparison) -> str:
    """Sides, figures with their intervals, and the verdict."""
    lines = [f"{'side':<8}{'frames':>8}{'load s':>9}{'p50 ms':>9}  what", *map(_side, found.sides), ""]
    lines += _figures(found.figures)
    if found.raw is not None:
        box = "" if found.raw.max_box is None else f", boxes at most {found.raw.max_box:.4g}"
        means = f"scores at most {found.raw.max_score:.4g}, {found.raw.mean_score:.4g} in the mean"
        lines.append(f"{'raw outputs':<24}{means}{box}")
    if found.classes:
        lines += ["", f"{'class':<24}{'missed':>8}{'extra':>8}"]
        lines += [f"{item.name:<24}{item.missed:>8}{item.extra:>8}" for item in found.classes]
    if found.corrupt_frames:
        lines += ["", f"{found.corrupt_frames} corrupt frames were left out"]
    lines += [f"note: {note}" for note in found.notes]
    return "\n".join([*lines, "", f"{found.verdict}: {found.reason}"])


def _side(side: SideReport) -> str:
    load = f"{side.load_s:.2f}" if side.load_s is not None else "-"
    invoke = f"{side.invoke_p50_s * 1e3:.2f}" if side.invoke_p50_s is not None else "-"
    row = f"{side.name:<8}{side.frames:>8}{load:>9}{invoke:>9}  {side.what}"
    return row if side.state == "ok" else f"{row}\n        FAILED: {side.reason}"


def _figures(figures: Figures) -> list[str]:
    rows = [
        ("seen by both", f"{figures.pairs} of {figures.boxes} boxes in {figures.frames} frames"),
        ("seen by one alone", f"{figures.missed} missed, {figures.extra} extra"),
        ("share of those", _interval(figures.lone_share)),
        ("mean IoU of pairs", _interval(figures.mean_iou)),
        ("score, other - one", _interval(figures.score_bias)),
        ("score, absolute", _interval(figures.score_error)),
    ]
    return [f"{name:<24}{told}" for name, told in rows]


def _interval(it: Interval | None) -> str:
    return "-" if it is None else f"{it.value:.4f}  [{it.low:.4f}, {it.high:.4f}]"


def json_text(found: Comparison) -> str:
    """One JSON object; its shape is :func:`schema`."""
    return msgspec.json.encode(found).decode()


def schema() -> dict[str, Any]:
    """JSON Schema of what ``parity --json`` prints."""
    return msgspec.json.schema(Comparison)
