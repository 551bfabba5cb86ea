"""Figures and sentences as JSON can carry them. Pure."""

from __future__ import annotations

import math

MAX_TEXT = 500
"""Longest sentence that travels, characters."""


def text(text: str) -> str:
    """Free text as JSON can carry it: a file name may hold bytes that are no UTF-8, a driver's message has no bound."""
    return text[:MAX_TEXT].encode(errors="replace").decode()


def rounded(value: float, digits: int) -> float:
    """JSON knows no infinity and no NaN; a window of no length would else make one."""
    return round(value, digits) if math.isfinite(value) else 0.0


def optional(value: float | None, digits: int) -> float | None:
    """The figure rounded; None stays None, and no number becomes None."""
    return round(value, digits) if value is not None and math.isfinite(value) else None
