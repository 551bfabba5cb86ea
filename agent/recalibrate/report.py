"""What a repair found, as text for a terminal, as JSON, and as one HTML page with pictures. Pure."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import Any

import cv2
import msgspec
import numpy as np

from agent.annotate import draw
from agent.pipeline import Model
from agent.recalibrate.ladder import Climbed
from agent.recalibrate.rung import Row, Rung, Shown, Threshold
from agent.records import Correction, Pixels

_SHOWN_PX = 480
"""Width of a picture in the page."""


def text(found: Climbed, model: Model) -> str:
    """For a terminal."""
    lines = [_model_line(found, model)]
    for rung in found.rungs:
        lines += ["", f"{rung.name}: {rung.verdict}: {rung.reason}", *(f"  {said}" for said in rung.details)]
        if rung.rows:
            lines.append(f"  {'':22} {'before':>8} {'after':>8}  gain (95 %)")
        lines += [f"  {_row(row)}".rstrip() for row in rung.rows]
        lines += [f"  {_sentence(each)}" for each in rung.thresholds if each.refit.is_moved]
    return "\n".join([*lines, "", f"{found.verdict}: {found.advice}" if found.advice else found.verdict])


def _model_line(found: Climbed, model: Model) -> str:
    info = model.info
    return f"model {f'{info.name} {info.version}'.strip()} ({info.input}), {found.overlay.base_sha256[:12]}"


def _row(row: Row) -> str:
    return f"{row.name:22} {_number(row.before):>8} {_number(row.after):>8}  {_gain(row)}"


def _gain(row: Row) -> str:
    gain = f"{row.gain.value:+.3f} ({row.gain.low:+.3f} to {row.gain.high:+.3f})" if row.gain else ""
    return f"{gain} {row.unit}".strip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _sentence(each: Threshold) -> str:
    refit = each.refit
    low, high = refit.interval
    return (
        f"threshold of {each.class_name} {refit.old_threshold:.3f} -> {refit.threshold:.3f}: {refit.rate:.3f} false "
        f"positives a frame (95 %: {low:.3f} to {high:.3f}), before {refit.old_rate:.3f}; rests on {refit.evidence}"
    )


def as_json(found: Climbed, model: Model) -> dict[str, Any]:
    """For programs: every rung with its figures, and the record of what is to be in force."""
    return {
        "v": 2,
        "model": msgspec.to_builtins(model.info),
        "verdict": found.verdict,
        "advice": found.advice,
        "rungs": [msgspec.to_builtins(rung) for rung in found.rungs],
        "overlay": None if found.overlay.is_empty else msgspec.to_builtins(found.overlay),
    }


def page(found: Climbed, model: Model, shown: Sequence[Shown]) -> str:
    """One self-contained HTML page: verdicts, tables, pictures before and after."""
    sections = "".join(
        _section(rung, model, [item for item in shown if item.rung == rung.name]) for rung in found.rungs
    )
    return _PAGE.format(
        verdict=html.escape(found.verdict),
        advice=html.escape(found.advice),
        kind="none" if found.advice else "good",
        model=html.escape(_model_line(found, model)),
        sections=sections,
    )


def _section(rung: Rung, model: Model, shown: Sequence[Shown]) -> str:
    kind = "good" if rung.verdict in {"helps", "sound"} else "none"
    said = [*rung.details, *(_sentence(each) for each in rung.thresholds if each.refit.is_moved)]
    table = "".join(map(_table_row, rung.rows))
    head = "<tr><th></th><th>before</th><th>after</th><th>gain (95 %)</th></tr>"
    return "".join(
        (
            f"<h2>{rung.name}</h2>",
            f"<p class='verdict {kind}'><strong>{rung.verdict}</strong>: {html.escape(rung.reason)}</p>",
            f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in said)}</ul>" if said else "",
            f"<table>{head}{table}</table>" if table else "",
            "<h3>Held-out pictures</h3>" if shown else "",
            *(_figure(item, model) for item in shown),
        )
    )


def _table_row(row: Row) -> str:
    cells = f"<td>{_number(row.before)}</td><td>{_number(row.after)}</td><td>{_gain(row)}</td>"
    return f"<tr><th scope=row>{html.escape(row.name)}</th>{cells}</tr>"


def _figure(item: Shown, model: Model) -> str:
    sides = (("before", item.before, item.light_before), ("after", item.after, item.light_after))
    images = "".join(
        f"<figure><img alt='{len(found)} objects {name}' "
        f"src='{_data_uri(draw(_lit(item.pixels, light), found, model.labels))}'>"
        f"<figcaption>{name}: {len(found)} objects</figcaption></figure>"
        for name, found, light in sides
    )
    return f"<div class=pair>{images}</div>"


def _lit(pixels: Pixels, light: Correction | None) -> Pixels:
    return pixels if light is None else np.asarray(cv2.LUT(pixels, light.table()), np.uint8)


def _data_uri(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (_SHOWN_PX, max(1, round(height * _SHOWN_PX / width))), interpolation=cv2.INTER_AREA)
    _, packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(packed.tobytes()).decode()


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Repair: {verdict}</title>
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
<h1>Repair of a deployed model</h1>
<p>{model}</p>
<p class='verdict {kind}'><strong>{verdict}</strong> {advice}</p>
{sections}
</html>
"""
