"""Plots as inline SVG: lines over a common axis, steps, bars. Text in, text out; colours come from the page's style.

Everything that is not a number is escaped here; numbers are written with two decimals of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 860, 64, 22, 10, 26
MOST_POINTS = 1500
"""Of a line: more than there are pixels; of neighbours the highest is drawn, so that no peak is lost."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot.

    Attributes:
        name: of the legend and the tooltip.
        style: class of the style sheet.
        points: x and y; a NaN breaks the line.
    """

    name: str
    style: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a plot lies and what its axes mean.

    Attributes:
        title: what is drawn, with the unit.
        x: least and greatest, and the unit below.
        height: pixels.
        from_zero: the vertical axis begins at 0.
        bands: stretches of x that are marked, with the reason.
        marks: what stands below the horizontal axis, by x; round numbers when there are none.
    """

    title: str
    x: tuple[float, float]
    x_unit: str = ""
    height: int = 200
    from_zero: bool = False
    bands: Sequence[tuple[float, float, str]] = field(default=())
    marks: Sequence[tuple[float, str]] = field(default=())


def lines(frame: Frame, drawn: Sequence[Line]) -> str:
    """A plot of lines; a sentence where there is nothing to draw."""
    kept = [Line(line.name, line.style, thin(line.points)) for line in drawn]
    ys = [y for line in kept for _, y in line.points if math.isfinite(y)]
    if not ys:
        return f'<p class="none">{escape(frame.title)}: this board does not tell.</p>'
    low, high = _span(min(ys), max(ys), from_zero=frame.from_zero)
    parts = [_bands(frame), _grid(frame, low, high)]
    for line in kept:
        path = _path(frame, line.points, low, high)
        parts.append(f'<path class="line {escape(line.style)}" d="{path}"><title>{escape(line.name)}</title></path>')
    legend = "".join(f'<span class="key {escape(line.style)}">{escape(line.name)}</span>' for line in kept)
    return _figure(frame, "".join(parts), legend)


def bars(frame: Frame, edges: Sequence[tuple[float, float, float, str]]) -> str:
    """A histogram: left edge, right edge, height and tooltip of each bar."""
    high = max((height for _, _, height, _ in edges), default=0.0)
    if not high > 0.0:
        return f'<p class="none">{escape(frame.title)}: nothing was measured.</p>'
    parts = [_grid(frame, 0.0, high)]
    for left, right, height, said in edges:
        x, top = _x(frame, left), _y(frame, height, 0.0, high)
        width = max(1.0, _x(frame, right) - x - 0.5)
        tall = frame.height - BOTTOM - top
        parts.append(
            f'<rect class="bar" x="{x:.2f}" y="{top:.2f}" width="{width:.2f}" height="{tall:.2f}">'
            f"<title>{escape(said)}</title></rect>"
        )
    return _figure(frame, "".join(parts), "")


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most so many points; of neighbours the one with the greatest y stays."""
    step = -(-len(points) // most) or 1
    groups = (points[start : start + step] for start in range(0, len(points), step))
    return [max(group, key=lambda point: -math.inf if math.isnan(point[1]) else point[1]) for group in groups]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``.

    >>> ticks(0.0, 10.0)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    rough = (high - low) / about
    if not rough > 0.0 or not math.isfinite(rough):
        return [low]
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= 0.999 * rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(low: float, high: float, *, from_zero: bool) -> tuple[float, float]:
    if from_zero:
        return 0.0, high * 1.05 or 1.0
    margin = 0.08 * (high - low) or max(0.02 * abs(high), 0.5)
    return low - margin, high + margin


def _x(frame: Frame, value: float) -> float:
    low, high = frame.x
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / ((high - low) or 1.0)


def _y(frame: Frame, value: float, low: float, high: float) -> float:
    inner = frame.height - TOP - BOTTOM
    return TOP + inner * (1.0 - (value - low) / ((high - low) or 1.0))


def _path(frame: Frame, points: Sequence[Point], low: float, high: float) -> str:
    parts, pen = [], "M"
    for x, y in points:
        if not math.isfinite(y):
            pen = "M"
            continue
        parts.append(f"{pen}{_x(frame, x):.2f} {_y(frame, y, low, high):.2f}")
        pen = "L"
    return "".join(parts)


def _grid(frame: Frame, low: float, high: float) -> str:
    bottom = frame.height - BOTTOM
    parts = []
    for value in ticks(low, high, 4):
        y = _y(frame, value, low, high)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.2f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 6}" y="{y + 4:.2f}">{value:g}</text>')
    for value, said in frame.marks or [(value, f"{value:g}") for value in ticks(*frame.x, 8)]:
        x = _x(frame, value)
        parts.append(f'<path class="grid" d="M{x:.2f} {TOP}V{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.2f}" y="{bottom + 16}">{escape(said)}</text>')
    parts.append(f'<text class="tick end" x="{LEFT - 16}" y="{bottom + 16}">{escape(frame.x_unit)}</text>')
    return "".join(parts)


def _bands(frame: Frame) -> str:
    parts = []
    for begin, end, said in frame.bands:
        x = _x(frame, begin)
        width = max(1.0, _x(frame, end) - x)
        parts.append(
            f'<rect class="band" x="{x:.2f}" y="{TOP}" width="{width:.2f}" height="{frame.height - TOP - BOTTOM}">'
            f"<title>{escape(said)}</title></rect>"
        )
    return "".join(parts)


def _figure(frame: Frame, drawn: str, legend: str) -> str:
    return (
        f'<figure><figcaption><span>{escape(frame.title)}</span><span class="legend">{legend}</span></figcaption>'
        f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {frame.height}" role="img" aria-label="{escape(frame.title)}">'
        f"{drawn}</svg></div></figure>"
    )
