"""The result for a person: milliseconds, degrees, and what is wrong with it in words."""

from __future__ import annotations

from agent.bench.plan import TITLES
from agent.bench.result import Result, Score, Soak
from agent.bench.run import FIRST_MINUTE_S
from agent.measure import EnergySource
from agent.records import StageStats

ENERGY: dict[EnergySource, str] = {
    "": "everything on the processor included",
    "powercap": "everything on the processor included",
    "pmic": "all outputs of the power chip; its own losses, USB, HAT and fan are not in it",
}
"""What stands behind joules; a result that does not name their source is of a time when there was one only."""

_STAGES = ("age", "preprocess", "invoke", "postprocess", "total")


def table(result: Result) -> str:
    """Some lines of text."""
    lines = [*_head(result), "", *_verdict(result)]
    if result.score is not None:
        lines += ["", *_score(result, result.score), "", *_stages(result.stages)]
    if result.soak is not None:
        lines += ["", *_soak(result, result.soak)]
    if result.start is not None:
        start = result.start
        memory = f"child's peak {_mib(start.child_peak_rss_bytes)}, model step {_mib(start.model_step_bytes)}"
        times = f"load {start.load_s * 1e3:.0f} ms, first invoke {start.first_invoke_s * 1e3:.1f} ms"
        lines += ["", f"start: {times}, {memory}"]
    if result.not_checked:
        lines.append(f"this board does not tell: {', '.join(result.not_checked)}")
    if result.op_profile is None:
        lines.append("time of each operation: not given; the runtime does not tell it to Python")
    return "\n".join(lines)


def _head(result: Result) -> list[str]:
    env = result.environment
    title = "soak, " if result.plan.soak else ""
    delegate = f", delegate {env.runtime.delegate}" if env.runtime.delegate else ""
    many = f"{env.source.frames} frames of " if env.source.frames else ""
    name = f"{env.model.name} {env.model.version}".rstrip()
    runtime = f"{env.runtime.backend} {env.runtime.version}, {env.runtime.num_threads} thread(s){delegate}"
    return [
        f"{title}{TITLES[result.plan.scenario]}: {name} ({env.model.input}, {_mib(env.model.size_bytes)})",
        f"on {env.board.model}, {env.board.cores} cores; {runtime}",
        f"with {many}{env.source.uri} at {env.source.width}x{env.source.height}",
    ]


def _verdict(result: Result) -> list[str]:
    lines = ["valid" if result.valid else "NOT VALID:"]
    lines += [f"  {reason}" for reason in result.invalid_because]
    return lines + [f"seen: {finding}" for finding in result.findings]


def _score(result: Result, score: Score) -> list[str]:
    figures = (("p50", score.p50_s), ("p90", score.p90_s), ("p99", score.p99_s), ("max", score.max_s))
    latency = "  ".join(f"{name} {_ms(seconds)}" for name, seconds in figures)
    rate = f"{score.queries} queries in {score.duration_s:.1f} s, {score.samples_per_s:.1f} frames/s"
    lines = [f"{rate}; latency in ms: {latency}", *_drops(result)]
    if score.estimate_s is not None:
        percent = f"p{score.estimate_percentile * 100:g}"
        lines.append(f"{percent} by MLPerf's early stopping: {_ms(score.estimate_s)} ms")
    elif result.plan.scenario in {"single-stream", "multi-stream"}:
        lines.append("too few queries for MLPerf's early-stopping estimate")
    if score.mlperf:
        lines.append(f"MLPerf: {score.mlperf}")
    return lines


def _stages(stages: dict[str, StageStats]) -> list[str]:
    rows = [f"{'ms':<12}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}"]
    for name in _STAGES:
        stats = stages.get(name)
        if stats is not None:
            figures = (stats.p50_s, stats.p90_s, stats.p99_s, stats.max_s)
            rows.append(f"{name:<12}" + "".join(f"{_ms(figure):>9}" for figure in figures))
    return rows


def _soak(result: Result, soak: Soak) -> list[str]:
    heat = f", at most {soak.hottest_celsius:.1f} C" if soak.hottest_celsius is not None else ""
    figures = f"p50 {_ms(soak.steady_p50_s)} ms, p99 {_ms(soak.steady_p99_s)} ms"
    lines = [f"{soak_words(result, soak)}{heat}", f"{soak_rates(result, soak)}, {figures} of a query there"]
    if soak.energy_per_query_joules is not None:
        lines.append(f"{soak.energy_per_query_joules:.3f} J a query, {ENERGY[result.energy_source]}")
    lines += ["", f"{'at s':>7}{'fps':>9}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}{'C':>7}{'MHz':>7}  disturbed by"]
    step = max(1, len(result.windows) // 20)
    for window in result.windows[::step]:
        celsius = f"{window.soc_celsius:.1f}" if window.soc_celsius is not None else "-"
        clock = f"{window.frequency_hz / 1e6:.0f}" if window.frequency_hz is not None else "-"
        figures = "".join(f"{_ms(each):>9}" for each in (window.p50_s, window.p90_s, window.p99_s, window.max_s))
        said = ", ".join(window.disturbed)
        lines.append(
            f"{window.started_s:>7.0f}{window.samples_per_s:>9.1f}{figures}{celsius:>7}{clock:>7}  {said}".rstrip()
        )
    return lines


def soak_words(result: Result, soak: Soak) -> str:
    """Whether the board became steady, and whether it was held back; what it does not tell is not said to be fine."""
    never = "never steady" if result.ended == "done" else "not steady yet"
    steady = f"steady from {soak.steady_s:.0f} s" if soak.steady_s is not None else never
    if soak.first_throttle_s is not None:
        return f"{steady}; throttled after {soak.first_throttle_s:.0f} s"
    return f"{steady}; {'throttling: not known here' if 'throttling' in result.not_checked else 'not throttled'}"


def soak_rates(result: Result, soak: Soak) -> str:
    """Frames a second at the end, against the first minute once the two are apart."""
    lasted_s = sum(window.duration_s for window in result.windows)
    if lasted_s < 2 * FIRST_MINUTE_S:
        return f"last windows {soak.steady_per_s:.1f} frames/s"
    change = f"{soak.steady_per_s / soak.first_minute_per_s - 1.0:+.1%}"
    return f"first minute {soak.first_minute_per_s:.1f} frames/s, at the end {soak.steady_per_s:.1f} ({change})"


def _drops(result: Result) -> list[str]:
    dropped = [window.dropped for window in result.windows if window.dropped is not None]
    if not dropped:
        return []
    lost, seen = sum(dropped), sum(window.queries for window in result.windows)
    age = result.stages.get("age")
    said = f"; age in ms: p50 {_ms(age.p50_s)}  p99 {_ms(age.p99_s)}" if age is not None else ""
    return [f"dropped {lost} of {lost + seen} frames{said}"]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"


def _mib(size_bytes: int | None) -> str:
    return "not told" if size_bytes is None else f"{size_bytes / 2**20:.1f} MiB"
