"""Whether a run may be believed: pure, fed with windows. Every doubt is one sentence.

Under-voltage, other work on the processor and a host that takes time away spoil any run. A board that throttles, or
whose clock moves, spoils a short run; in a soak that is what is looked for, so there it is a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from agent.bench.plan import Rules
from agent.bench.result import Window

OTHERS_CORES = 0.20
"""A fifth of one core: a desktop at rest and a board's own services stay below it."""

WAITED_SHARE = 0.03
STOLEN_SHARE = 0.02
CLOCK_SPREAD = 0.10
"""Between the lowest and the highest clock of a run; turbo steps of a steady PC are smaller."""

_TAGS = ("under-voltage", "throttled", "others", "waited", "stolen")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a run."""

    invalid_because: tuple[str, ...]
    findings: tuple[str, ...]
    not_checked: tuple[str, ...]


def disturbed(window: Window) -> tuple[str, ...]:
    """Short words for what kept one window from being a fair one."""
    signs = (
        bool(window.under_voltage),
        bool(window.throttled),
        (window.others_cores or 0.0) > OTHERS_CORES,
        (window.waited_share or 0.0) > WAITED_SHARE,
        (window.stolen_share or 0.0) > STOLEN_SHARE,
    )
    return tuple(tag for tag, is_so in zip(_TAGS, signs, strict=True) if is_so)


def judge(
    windows: Sequence[Window], rules: Rules, *, is_soak: bool, ended: str, first_bits: int | None, threads: int
) -> Verdict:
    """All that is to be said of a run.

    Args:
        windows: in their order.
        rules: what it had to keep to.
        is_soak: heat is what is looked for.
        ended: why it ended.
        first_bits: throttle bits before the run.
        threads: of the interpreter.
    """
    reasons = [*_too_short(windows, rules, ended), *_power(windows), *_company(windows, threads)]
    held_back = [*_throttling(windows, first_bits), *_clock(windows)]
    findings = held_back if is_soak else []
    if not is_soak:
        reasons += held_back
    return Verdict(tuple(reasons), tuple(findings), _not_checked(windows))


def _too_short(windows: Sequence[Window], rules: Rules, ended: str) -> list[str]:
    if not windows:
        return ["no window was finished"]
    lasted_s, queries = sum(window.duration_s for window in windows), sum(window.queries for window in windows)
    found = []
    if ended in {"stopped", "end of file", "running"}:
        word = {"stopped": "it was stopped", "end of file": "the frames ended", "running": "it was broken off"}[ended]
        found.append(f"{word} after {lasted_s:.0f} s")
    if lasted_s < 0.999 * rules.least_s:
        found.append(f"it lasted {lasted_s:.1f} s; the rule is {rules.least_s:g} s")
    if queries < rules.least_queries:
        found.append(f"it had {queries} queries; the rule is {rules.least_queries}")
    return found


def _power(windows: Sequence[Window]) -> list[str]:
    low = [window for window in windows if window.under_voltage]
    return [f"the board was under-volted in {len(low)} of {len(windows)} windows; mend the power supply"] if low else []


def _company(windows: Sequence[Window], threads: int) -> list[str]:
    found = []
    others = _mean([window.others_cores for window in windows])
    if others is not None and others > OTHERS_CORES:
        found.append(f"other processes kept {others:.2f} cores busy; stop them")
    waited = _mean([window.waited_share for window in windows])
    if waited is not None and waited > WAITED_SHARE:
        why = "too many threads, or other work beside it" if threads > 1 else "other work beside it"
        found.append(f"it stood in the run queue for {waited:.1%} of a core's time; {why}")
    stolen = _mean([window.stolen_share for window in windows])
    if stolen is not None and stolen > STOLEN_SHARE:
        found.append(f"the host took {stolen:.1%} of the time from this virtual machine")
    return found


def _throttling(windows: Sequence[Window], first_bits: int | None) -> list[str]:
    held = [window for window in windows if window.throttled]
    found = [f"the board held the processor back in {len(held)} of {len(windows)} windows"] if held else []
    words = [first_bits, *(window.throttle_bits for window in windows)]
    seen = {bits for bits in words if bits is not None}
    if len(seen) > 1:
        found.append(f"its throttle bits changed: {', '.join(f'{bits:#x}' for bits in sorted(seen))}")
    return found


def _clock(windows: Sequence[Window]) -> list[str]:
    clocks = [window.frequency_hz for window in windows if window.frequency_hz is not None]
    if not clocks or max(clocks) - min(clocks) <= CLOCK_SPREAD * max(clocks):
        return []
    return [f"the processor's clock moved between {min(clocks) / 1e6:.0f} and {max(clocks) / 1e6:.0f} MHz"]


def _not_checked(windows: Sequence[Window]) -> tuple[str, ...]:
    names = {
        "temperature": "soc_celsius",
        "clock": "frequency_hz",
        "throttling": "throttle_bits",
        "supply voltage": "under_voltage",
        "other processes": "others_cores",
        "run queue": "waited_share",
        "energy": "energy_joules",
    }
    return tuple(
        name for name, field in names.items() if windows and all(getattr(window, field) is None for window in windows)
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
