"""Kept frames as lines for a terminal and as plain values for a program."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent.sample import PICTURE, Kept, Record
from agent.samples.pick import Picked

_WIDEST = 48


def listed(picked: Picked) -> list[str]:
    """One line a frame, and one about all."""
    rows = [
        f"{kept.name}  {when(kept.record):<19}  {kept.record.why[0]:<9}  {_size(kept.size_bytes):>9}  "
        f"{_told(kept.record)}"
        for kept in picked.kept
    ]
    head = [f"{'name':<17}  {'when (UTC)':<19}  {'why':<9}  {'size':>9}  sees"] if rows else []
    return [*head, *rows, *_about(picked)]


def shown(folder: Path, kept: Kept) -> list[str]:
    """Everything about one frame."""
    record = kept.record
    origin = record.origin
    rows = [
        ("picture", f"none: {plain(record.withheld)}" if record.withheld else str(folder / f"{kept.name}{PICTURE}")),
        ("size", f"{record.width} x {record.height} pixels, {_size(kept.size_bytes)}"),
        ("when", f"{when(record)}; the agent had run for {record.lived_s / 3600:.1f} h"),
        ("privacy", plain(record.privacy)),
        ("model", f"{plain(origin.model) or 'not known'} {plain(origin.bundle)} {plain(origin.model_sha256)}".strip()),
        *((f"why {reason}", plain(told)) for reason, told in zip(record.why, record.told, strict=False)),
        *(_times(record)),
        ("sees", _told(record)),
    ]
    lines = [f"{kept.name}", *(f"  {name:<14} {said}" for name, said in rows)]
    for box in record.detections or []:
        sides = " ".join(f"{side:.0f}" for side in box.xyxy)
        lines.append(
            f"    {plain(box.label)} {box.score:.2f} at {sides}{'' if box.is_object else '  (below its threshold)'}"
        )
    return lines


def as_json(folder: Path, kept: Kept) -> dict[str, Any]:
    """One frame's record, with the path of its picture (null: there is none)."""
    raw: dict[str, Any] = msgspec.to_builtins(kept.record)
    return {**raw, "picture": None if kept.record.withheld else str(folder / f"{kept.name}{PICTURE}")}


def when(record: Record) -> str:
    """The wall clock's time at which it was kept."""
    try:
        return (
            "not known" if record.wall_s is None else f"{datetime.fromtimestamp(record.wall_s, UTC):%Y-%m-%d %H:%M:%S}"
        )
    except (ValueError, OverflowError, OSError):
        return "not known"


def frames(count: int) -> str:
    """So many of them."""
    return f"{count} frame{'s' * (count != 1)}"


def plain(text: str) -> str:
    """What a file says, without what a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _told(record: Record) -> str:
    if record.detections is None:
        return "no answer"
    counts = Counter(plain(box.label) for box in record.detections if box.is_object)
    told = ", ".join(f"{count} {label}" for label, count in counts.most_common()) or "nothing"
    return told if len(told) <= _WIDEST else f"{told[: _WIDEST - 3]}..."


def _times(record: Record) -> list[tuple[str, str]]:
    if record.times is None:
        return []
    return [
        ("times", f"{record.times.age_s * 1e3:.0f} ms old when answered, invoke {record.times.invoke_s * 1e3:.1f} ms")
    ]


def _about(picked: Picked) -> list[str]:
    shelf = picked.shelf
    size = sum(kept.size_bytes for kept in picked.kept)
    some = f"{len(picked.kept)} of " if len(picked.kept) < len(shelf.kept) else ""
    lines = [f"{some}{frames(len(shelf.kept))}, {_size(size)}, in {picked.folder}"]
    lines += [
        f"{name} is damaged, and goes when the agent starts: {plain(fault)}" for name, fault in shelf.damaged.items()
    ]
    if shelf.foreign:
        lines.append(f"left alone, not ours or not readable: {', '.join(map(plain, shelf.foreign[:8]))}")
    return lines


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} KB"
