"""What a recalibration found, as text for a terminal, as JSON, and as one HTML page with pictures. Pure."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import msgspec

from agent.annotate import draw
from agent.pipeline import Model
from agent.recalibrate.application import Outcome
from agent.recalibrate.blocks import Interval
from agent.records import Detections, Pixels

_SHOWN_PX = 480
"""Width of a picture in the page."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure before and after, and the gain where it has an interval."""

    name: str
    before: float | None
    after: float | None
    unit: str = ""
    gain: Interval | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One held-out picture with what the models find on it."""

    pixels: Pixels
    before: Detections
    after: Detections


def rows(outcome: Outcome) -> list[Row]:
    """The whole table."""
    proof = outcome.proof
    old, new = proof.old.agreement, proof.new.agreement
    found = [
        Row("agreement", old.quality, new.quality, "", proof.gain),
        Row("recall", old.recall, new.recall, "", proof.recall_gain),
        Row("extra boxes a frame", old.extra / proof.frames, new.extra / proof.frames, "", proof.extra_gain),
        Row("IoU of matched boxes", _mean(old.iou, old.matched), _mean(new.iou, new.matched)),
        Row("score error", _mean(old.score_error, old.matched), _mean(new.score_error, new.matched)),
        Row("worst score error", old.worst_score_error, new.worst_score_error),
        Row("box error", _mean(old.box_error_px, old.matched), _mean(new.box_error_px, new.matched), "px"),
    ]
    heads = zip(proof.old.sqnr_db, proof.new.sqnr_db, proof.sqnr_gain_db, strict=True)
    names = ("SQNR of boxes", "SQNR of scores")
    return found + [Row(name, *values[:2], "dB", values[2]) for name, values in zip(names, heads, strict=False)]


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


def text(outcome: Outcome, model: Model) -> str:
    """For a terminal."""
    lines = [*_head(outcome, model), "", f"{'':22} {'before':>8} {'after':>8}  gain (95 %)"]
    for row in rows(outcome):
        gain = f"{row.gain.value:+.3f} ({row.gain.low:+.3f} to {row.gain.high:+.3f})" if row.gain else ""
        lines.append(f"{row.name:22} {_number(row.before):>8} {_number(row.after):>8}  {gain}{_unit(row)}".rstrip())
    return "\n".join([*lines, "", f"{outcome.verdict}: {outcome.reason}"])


def _head(outcome: Outcome, model: Model) -> list[str]:
    proof = outcome.proof
    return [
        f"model     {model.info.name} {model.info.version} ({model.info.input}), {outcome.patch.base_sha256[:12]}",
        f"measured  {outcome.measured_on} frames in {outcome.measure_s:.2f} s",
        f"proved    {proof.frames} other frames in {proof.blocks} blocks",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _unit(row: Row) -> str:
    return f" {row.unit}" if row.unit else ""


def as_json(outcome: Outcome, model: Model) -> dict[str, Any]:
    """For programs: the table, the verdict and the patch."""
    return {
        "v": 1,
        "model": msgspec.to_builtins(model.info),
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "measured_on": outcome.measured_on,
        "measure_s": round(outcome.measure_s, 4),
        "frames": outcome.proof.frames,
        "blocks": outcome.proof.blocks,
        "table": [msgspec.to_builtins(row) for row in rows(outcome)],
        "patch": msgspec.to_builtins(outcome.patch),
    }


def page(outcome: Outcome, model: Model, shown: Sequence[Shown]) -> str:
    """One self-contained HTML page: verdict, table, pictures before and after."""
    head = "".join(f"<li>{html.escape(line)}</li>" for line in _head(outcome, model))
    table = "".join(_table_row(row) for row in rows(outcome))
    pictures = "".join(_figure(item, model) for item in shown)
    return _PAGE.format(
        verdict=html.escape(outcome.verdict),
        reason=html.escape(outcome.reason),
        kind="good" if outcome.verdict == "recalibrate" else "none",
        head=head,
        table=table,
        pictures=pictures,
    )


def _table_row(row: Row) -> str:
    gain = f"{row.gain.value:+.3f} <small>({row.gain.low:+.3f} to {row.gain.high:+.3f})</small>" if row.gain else ""
    cells = f"<td>{_number(row.before)}</td><td>{_number(row.after)}</td><td>{gain}{_unit(row)}</td>"
    return f"<tr><th scope=row>{html.escape(row.name)}</th>{cells}</tr>"


def _figure(item: Shown, model: Model) -> str:
    sides = (("before", item.before), ("after", item.after))
    images = "".join(
        f"<figure><img alt='{len(found)} objects {name}' src='{_data_uri(draw(item.pixels, found, model.labels))}'>"
        f"<figcaption>{name}: {len(found)} objects</figcaption></figure>"
        for name, found in sides
    )
    return f"<div class=pair>{images}</div>"


def _data_uri(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (_SHOWN_PX, max(1, round(height * _SHOWN_PX / width))), interpolation=cv2.INTER_AREA)
    _, packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(packed.tobytes()).decode()


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Recalibration: {verdict}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }}
body {{ max-width: 64rem; margin: 2rem auto; padding: 0 1rem }}
.verdict {{ border-left: .4rem solid #888; padding: .2rem 1rem }} .good {{ border-color: #2a8f4c }}
table {{ border-collapse: collapse }}
th, td {{ padding: .2rem 1rem .2rem 0; text-align: right }} [scope=row] {{ text-align: left }}
tr + tr {{ border-top: 1px solid #8884 }} ul {{ list-style: none; padding: 0 }}
.pair {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem }}
figure {{ margin: 0 0 1rem }} img {{ max-width: 100% }}
</style>
<h1>Recalibration</h1>
<p class='verdict {kind}'><strong>{verdict}</strong>: {reason}</p>
<ul>{head}</ul>
<table><tr><th></th><th>before</th><th>after</th><th>gain (95 %)</th></tr>{table}</table>
<h2>Held-out pictures</h2>
{pictures}
</html>
"""
