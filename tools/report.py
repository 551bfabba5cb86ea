"""Results of the benchmark on one page that needs nothing else: no script, no font, no network.

A result is a file that anybody may have written: every word of it is escaped, and the page forbids itself scripts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from agent.bench import TITLES, Result, Window
from agent.bench.table import ENERGY, soak_rates, soak_words
from agent.records import SketchBins, StageStats
from tools import compare, sides
from tools.plot import Frame, Line, bars, lines

STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
_STAGES = ("age", "preprocess", "invoke", "postprocess", "total")
_MARKS = ((0.0, "0"), (-math.log10(0.5), "p50"), (1.0, "p90"), (2.0, "p99"), (3.0, "p99.9"))
Named = tuple[str, Result]
Failed = tuple[str, str]


BEGIN = '<!doctype html><html lang="en"><head><meta charset="utf-8">'
"""Of each page; by it one is known again."""


def page(results: Sequence[Named], failed: Sequence[Failed] = ()) -> str:
    """The whole page.

    Args:
        results: each with the name of its file.
        failed: rows of a sweep without a result, each with its reason.
    """
    body = "".join(
        [_overview(results, failed), _comparisons(results), *(_section(name, result) for name, result in results)]
    )
    return (
        f"{BEGIN}"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>edge-agent bench</title><style>{STYLE}</style></head><body><main>"
        f"<h1>edge-agent bench</h1>{body}</main></body></html>\n"
    )


def _overview(results: Sequence[Named], failed: Sequence[Failed]) -> str:
    head = ("result", "frames/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "", "scenario", "model", "board", "runtime")
    rows = []
    for name, result in results:
        score, env = result.score, result.environment
        figures = ["-"] * 5
        if score is not None:
            times = (score.p50_s, score.p90_s, score.p99_s, score.max_s)
            figures = [f"{score.samples_per_s:.1f}", *(_ms(each) for each in times)]
        runtime = f"{env.runtime.backend} {env.runtime.version} x{env.runtime.num_threads} {env.runtime.delegate}"
        soak = " soak" if result.plan.soak else ""
        word = "valid" if result.valid else "not valid"
        cells = (name, *figures, word, TITLES[result.plan.scenario] + soak, env.model.name, env.board.model, runtime)
        rows.append(_row(cells, numbers=range(1, 6), style="" if result.valid else "bad"))
    blank = ("-",) * 5
    rows += [_row((name, *blank, f"failed: {why}", *[""] * 4), range(1, 6), "bad") for name, why in failed]
    return _table(head, rows, numbers=range(1, 6), style="overview")


def _comparisons(results: Sequence[Named]) -> str:
    pairs = "".join(_compared(one, other) for one, other in pairwise(results))
    return f"<h2>Compared</h2>{pairs}" if pairs else ""


def _compared(one: Named, other: Named) -> str:
    """One result against the one before it: its changes, or why there are none."""
    refused = sides.refusals(one, other)
    reasons = "".join(f'<p class="bad">{escape(each.said)}</p>' for each in refused)
    title = f"<h3>{escape(other[0])} against {escape(one[0])}</h3>{reasons}"
    if compare.differences(one[1], other[1]) or any(each.is_final for each in refused):
        return f'{title}<p class="note">Not compared.</p>'
    rows = []
    for each in compare.compare(one[1], other[1]):
        span = f"{(each.low - 1) * 100:+.1f} to {(each.high - 1) * 100:+.1f}"
        rows.append(_row((each.metric, f"{(each.ratio - 1) * 100:+.1f}", span, each.word), numbers=(1, 2)))
    return title + _table(("time", "change %", "95 % interval %", ""), rows, numbers=(1, 2), style="narrow")


def _section(name: str, result: Result) -> str:
    env, runtime = result.environment, result.environment.runtime
    facts = {
        "created": result.created,
        "agent": env.agent,
        "board": f"{env.board.model}, {env.board.cores} cores, {env.board.os}, kernel {env.board.kernel}",
        "runtime": f"{runtime.backend} {runtime.version}, {runtime.num_threads} thread(s) {runtime.delegate}",
        "model": f"{env.model.name} {env.model.version}, {env.model.input}, sha256 {env.model.sha256[:16]}",
        "frames": f"{env.source.uri}, {env.source.width}x{env.source.height}",
        "ended": result.ended,
        "not told here": ", ".join(result.not_checked) or "nothing",
    }
    said = [f'<p class="bad">Not valid: {escape(reason)}</p>' for reason in result.invalid_because]
    said += [f'<p class="note">Seen: {escape(finding)}</p>' for finding in result.findings]
    rows = [_row((key, value)) for key, value in facts.items()]
    return (
        f"<section><h2>{escape(name)}</h2>{''.join(said)}{_soak(result)}{_over_time(result)}"
        f"{_spread(result)}{_stages(result.stages)}<details><summary>Where and with what</summary>"
        f"{_table(('', ''), rows)}</details></section>"
    )


def _soak(result: Result) -> str:
    soak = result.soak
    if soak is None:
        return ""
    said = f"{soak_words(result, soak)}; {soak_rates(result, soak)}"
    if soak.energy_per_query_joules is not None:
        said += f"; {soak.energy_per_query_joules:.3f} J a query, {ENERGY[result.energy_source]}"
    return f"<p>{escape(said)}.</p>"


def _over_time(result: Result) -> str:
    windows = result.windows
    if not windows:
        return ""
    x = (0.0, windows[-1].started_s + windows[-1].duration_s)
    bands = _bands(windows)
    latency = [
        Line(name, name, [(_middle(window), getattr(window, f"{name}_s") * 1e3) for window in windows])
        for name in ("p99", "p90", "p50")
    ]
    heat = [Line("SoC", "heat", _points(windows, "soc_celsius", 1.0))]
    if any(window.accelerator_celsius is not None for window in windows):
        heat.append(Line("accelerator", "p90", _points(windows, "accelerator_celsius", 1.0)))
    clock = [Line("clock", "clock", _points(windows, "frequency_hz", 1e-6))]
    others = [Line("other processes", "others", _points(windows, "others_cores", 1.0))]
    return "".join(
        (
            lines(
                Frame(
                    "Latency of a query, ms, by window; shaded: held back or disturbed",
                    x,
                    "s",
                    240,
                    from_zero=True,
                    bands=bands,
                ),
                latency,
            ),
            lines(Frame("Temperature, C", x, "s", 130, bands=bands), heat),
            lines(Frame("Processor clock, MHz", x, "s", 130, from_zero=True, bands=bands), clock),
            lines(Frame("Cores that others kept busy", x, "s", 110, from_zero=True, bands=bands), others),
        )
    )


def _bands(windows: Sequence[Window]) -> list[tuple[float, float, str]]:
    """Stretches that something disturbed; neighbours with one reason are one stretch."""
    found: list[tuple[float, float, str]] = []
    for one in windows:
        reason, end = ", ".join(one.disturbed), one.started_s + one.duration_s
        if not reason:
            continue
        if found and found[-1][2] == reason and one.started_s - found[-1][1] < one.duration_s:
            found[-1] = (found[-1][0], end, reason)
        else:
            found.append((one.started_s, end, reason))
    return found


def _spread(result: Result) -> str:
    total = result.stages.get("total")
    if total is None:
        return ""
    edges = _edges(total.bins)
    count = total.count
    drawn, below = [], total.bins.zero_count
    curve: list[tuple[float, float]] = []
    for left, right, many in edges:
        drawn.append((left * 1e3, right * 1e3, float(many), f"{left * 1e3:.3f} to {right * 1e3:.3f} ms: {many}"))
        below += many
        curve.append((_nines(below / count), math.sqrt(left * right) * 1e3))
    end9 = max(2.0, *(x for x, _ in curve))
    # One late query must not squeeze all others into a corner: the axis ends a little above p99.
    end = min(edges[-1][1] * 1e3, 1.5 * total.p99_s * 1e3)
    shown = [bar for bar in drawn if bar[1] <= end]
    left_out = count - total.bins.zero_count - sum(int(bar[2]) for bar in shown)
    late = f"; {left_out} later than {end:.1f} ms not drawn" if left_out else ""
    return "".join(
        (
            bars(Frame(f"Histogram: frames by their work, ms{late}", (shown[0][0], end), "ms", 180), shown),
            lines(
                Frame("Percentiles of a frame's work, ms", (0.0, end9), "", 180, from_zero=True, marks=_MARKS),
                [Line("work of a frame", "p50", curve)],
            ),
        )
    )


def _stages(stages: dict[str, StageStats]) -> str:
    rows = []
    longest = max((stats.p99_s for stats in stages.values()), default=0.0) or 1.0
    for name in _STAGES:
        stats = stages.get(name)
        if stats is None:
            continue
        wide, tail = 100 * stats.p50_s / longest, 100 * max(0.0, stats.p99_s - stats.p50_s) / longest
        bar = "".join(
            f'<span class="{style} box" style="width:{share:.1f}%"></span>'
            for style, share in (("p50", wide), ("p99", tail))
        )
        figures = "".join(
            f"<td class=num>{_ms(each)}</td>" for each in (stats.p50_s, stats.p90_s, stats.p99_s, stats.max_s)
        )
        rows.append(f"<tr><td>{name}</td>{figures}<td class=wide>{bar}</td></tr>")
    if not rows:
        return ""
    return "<h3>Stages</h3>" + _table(
        ("stage", "p50 ms", "p90 ms", "p99 ms", "max ms", "p50 and, behind it, p99"), rows, numbers=range(1, 5)
    )


def _edges(bins: SketchBins) -> list[tuple[float, float, int]]:
    growth = (1 + bins.relative_accuracy) / (1 - bins.relative_accuracy)
    numbers = range(bins.offset, bins.offset + len(bins.counts))
    return [(growth ** (k - 1), growth**k, many) for k, many in zip(numbers, bins.counts, strict=True)]


def _nines(share: float) -> float:
    """An axis on which the tail has room: 0 is none, 1 is 90 %, 2 is 99 %, 3 is 99.9 %, where it ends."""
    return min(3.0, -math.log10(max(1.0 - share, 1e-3)))


def _points(windows: Sequence[Window], field: str, factor: float) -> list[tuple[float, float]]:
    values = ((_middle(window), getattr(window, field)) for window in windows)
    return [(x, math.nan if value is None else value * factor) for x, value in values]


def _middle(window: Window) -> float:
    return window.started_s + window.duration_s / 2


def _table(head: Sequence[str], rows: Sequence[str], numbers: Sequence[int] = (), style: str = "") -> str:
    marks = (' class="num"' if place in numbers else "" for place in range(len(head)))
    cells = "".join(f"<th{mark}>{escape(cell)}</th>" for mark, cell in zip(marks, head, strict=True))
    return f'<div class="scroll"><table class="{style}"><tr>{cells}</tr>{"".join(rows)}</table></div>'


def _row(cells: Sequence[str], numbers: Sequence[int] = (), style: str = "") -> str:
    marks = (' class="num"' if place in numbers else "" for place in range(len(cells)))
    inner = "".join(f"<td{mark}>{escape(cell)}</td>" for mark, cell in zip(marks, cells, strict=True))
    return f'<tr class="{style}">{inner}</tr>'


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"
