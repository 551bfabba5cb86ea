"""Whether one benchmark is slower than another, by statistics that respect noise.

The unit is the window, never the query: queries of one window share its heat, its clock and its neighbours. The
statistic is the ratio of the windows' geometric midmeans: the mean of the middle half of them, so that a few seconds in
which something else ran do not speak for the run. Over 20 pairs of runs that do the same, plain means differed by 1.5 %
(standard deviation, p50), midmeans by 0.9 %. The 95 % interval has two parts, added as variances:

- within a run: stationary bootstrap over windows (Politis and Romano, JASA 1994), whose mean block grows with the
  windows' autocorrelation (Politis and White, Econometric Reviews 2004, for a first-order process), because the windows
  of a board that warms up are no independent draws;
- between runs: two processes that do the same differ by where their memory happens to lie, and whatever disturbs the
  windows of a run disturbs whole runs as well. No single run can show that, so it is stated: the larger of
  :data:`BETWEEN_RUNS` and of :data:`BETWEEN_SHARE` of what the windows differ by;
  ``python -m bench compare`` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from agent.bench import TITLES, Result, Window

BETWEEN_RUNS = 0.007
"""Standard deviation of the logarithm of a run's figures over runs that do the same; the least that is believed."""

BETWEEN_SHARE = 0.3
"""The same, as a share of the standard deviation of the run's windows: measured 0.22 to 0.29 for the four figures, from
p50, whose windows differ by 2.5 %, to p99, whose windows differ by 14 %."""

SAME = 0.05
"""An interval that holds no difference and is nowhere further than this from none says "same"."""

LEAST_WINDOWS = 20
"""With fewer, how far windows depend on each other cannot be told, and the interval comes out too narrow."""

RESAMPLES = 2000
_TWO_SIDED = 1.96
_QUARTILES = 1.349
"""Standard deviations between the quartiles of a normal distribution."""
_MOST_CORRELATED = 0.9

Floats = npt.NDArray[np.float64]
Word = Literal["same", "slower", "faster", "cannot tell"]

METRICS: dict[str, Callable[[Window], float]] = {
    "p50": lambda window: window.p50_s,
    "p90": lambda window: window.p90_s,
    "p99": lambda window: window.p99_s,
    "time per frame": lambda window: 1.0 / window.samples_per_s,
}
"""All of them times: above 1 is slower."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of B by the same of A.

    Attributes:
        metric: one of :data:`METRICS`.
        ratio: B by A; above 1, B is slower.
        low, high: its 95 % interval.
        word: what that means.
    """

    metric: str
    ratio: float
    low: float
    high: float
    word: Word


def compare(one: Result, other: Result, *, between_runs: float = BETWEEN_RUNS, seed: int = 1) -> tuple[Ratio, ...]:
    """Each figure of ``other`` by that of ``one``.

    Args:
        one: A.
        other: B.
        between_runs: the least, as in the module.
        seed: of the bootstrap; the same seed gives the same interval.

    Raises:
        ValueError: a run has too few windows to say anything.
    """
    for name, result in (("A", one), ("B", other)):
        if len(judged(result)) < LEAST_WINDOWS:
            raise ValueError(
                f"{name} has {len(judged(result))} windows to compare; {LEAST_WINDOWS} are needed: "
                "measure longer, or in shorter windows (--window)"
            )
    rng = np.random.default_rng(seed)
    return tuple(_ratio(name, _logs(one, of), _logs(other, of), between_runs, rng) for name, of in METRICS.items())


def judged(result: Result) -> Sequence[Window]:
    """The windows that are compared: of a soak its second half, when it has warmed through."""
    windows = result.windows
    return windows[len(windows) // 2 :] if result.plan.soak else windows


def differences(one: Result, other: Result) -> list[str]:
    """Why the two measure different things, one sentence each; none: they may be compared.

    Runtime, threads, delegate, board and version may differ: they are what is compared.
    """
    ours, theirs = one.environment, other.environment
    pairs = {
        "the scenario": (TITLES[one.plan.scenario], TITLES[other.plan.scenario]),
        "the frames of a query": (one.rules.samples_per_query, other.rules.samples_per_query),
        "the kind of run": ("soak" if one.plan.soak else "run", "soak" if other.plan.soak else "run"),
        "the model (sha256)": (ours.model.sha256[:12], theirs.model.sha256[:12]),
        "the frames": (
            f"{ours.source.uri} {ours.source.width}x{ours.source.height}",
            f"{theirs.source.uri} {theirs.source.width}x{theirs.source.height}",
        ),
    }
    found = [f"{what} {_verb(what)}: {mine} and {his}" for what, (mine, his) in pairs.items() if mine != his]
    marks = ours.source.sha256, theirs.source.sha256
    if all(marks) and len(set(marks)) > 1 and pairs["the frames"][0] == pairs["the frames"][1]:
        found.append(f"the frames differ: other pixels under the same name, sha256 {marks[0][:12]} and {marks[1][:12]}")
    return found


def _verb(what: str) -> str:
    return "differ" if what.startswith("the frames") else "differs"


def doubts(one: Result, other: Result) -> list[str]:
    """Why one of the two is not to be believed."""
    return [
        f"{name} is not valid: {reason}"
        for name, result in (("A", one), ("B", other))
        for reason in result.invalid_because
    ]


def _logs(result: Result, of: Callable[[Window], float]) -> Floats:
    return np.log([max(of(window), 1e-9) for window in judged(result)])


def _ratio(name: str, one: Floats, other: Floats, between_runs: float, rng: np.random.Generator) -> Ratio:
    found = float(midmean(other) - midmean(one))
    drawn = resampled_midmeans(other, rng) - resampled_midmeans(one, rng)
    below, above = (abs(float(found - edge)) for edge in np.percentile(drawn, [2.5, 97.5]))
    apart = _TWO_SIDED * math.hypot(*(max(between_runs, BETWEEN_SHARE * spread(each)) for each in (one, other)))
    low, high = found - math.hypot(below, apart), found + math.hypot(above, apart)
    return Ratio(name, math.exp(found), math.exp(low), math.exp(high), _word(math.exp(low), math.exp(high)))


def midmean(values: Floats) -> Floats:
    """Mean of the middle half along the last axis (interquartile mean).

    >>> float(midmean(np.array([1.0, 2.0, 4.0, 100.0])))
    3.0
    """
    count = values.shape[-1]
    cut = count // 4
    middle: Floats = np.sort(values, axis=-1)[..., cut : count - cut].mean(axis=-1)
    return middle


def spread(values: Floats) -> float:
    """Standard deviation by the quartiles: that of most windows, without the few that were disturbed."""
    low, high = np.percentile(values, [25, 75])
    return float(high - low) / _QUARTILES


def _word(low: float, high: float) -> Word:
    if low > 1.0:
        return "slower"
    if high < 1.0:
        return "faster"
    return "same" if 1.0 - low <= SAME and high - 1.0 <= SAME else "cannot tell"


def resampled_midmeans(values: Floats, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """Midmeans of stationary bootstrap samples: blocks of random length, end joined to begin."""
    count = len(values)
    starts = rng.integers(0, count, (resamples, count))
    goes_on = rng.random((resamples, count)) >= 1.0 / block_length(values)
    places = starts.copy()
    for column in range(1, count):
        places[:, column] = np.where(goes_on[:, column], (places[:, column - 1] + 1) % count, starts[:, column])
    means = midmean(values[places])
    # The spread of a mean of n correlated values is taken as if there were n; fewer are free, so it is widened.
    free = max(2.0, count / block_length(values))
    middle = midmean(values)
    widened: Floats = middle + (means - middle) * math.sqrt(free / (free - 1.0))
    return widened


def block_length(values: Floats) -> float:
    """Mean length of a block, 1 for values that do not depend on each other.

    Politis and White: (2 G^2 / D)^(1/3) n^(1/3), which for a first-order process of correlation r is
    (2 r / (1 - r^2))^(2/3) n^(1/3).
    """
    count = len(values)
    centred = values - values.mean()
    power = float(centred @ centred)
    if power <= 1e-18 * count:
        return 1.0
    correlation = float(centred[1:] @ centred[:-1]) / power
    # The estimate of a correlation is biased downwards by about (1 + 4 r) / n (Marriott and Pope, 1954).
    correlation = min(_MOST_CORRELATED, correlation + (1.0 + 4.0 * max(correlation, 0.0)) / count)
    if correlation <= 0.0:
        return 1.0
    return float(min(count / 3.0, max(1.0, (2.0 * correlation / (1.0 - correlation**2)) ** (2 / 3) * count ** (1 / 3))))


def table(found: Sequence[Ratio]) -> str:
    """For a person: per cent, the interval, and the word."""
    lines = [f"{'B against A':<16}{'change':>9}   {'95 % interval':<20}"]
    for each in found:
        span = f"{_percent(each.low)} to {_percent(each.high)}"
        lines.append(f"{each.metric:<16}{_percent(each.ratio):>9}   {span:<20}{each.word}")
    return "\n".join(lines)


def values(one: Result, other: Result) -> str:
    """The figures of both whole runs, and in one line what they were run with where that differs."""
    lines = []
    for name, result in (("A", one), ("B", other)):
        score = result.score
        if score is not None:
            times = ", ".join(
                f"{word} {seconds * 1e3:.2f} ms"
                for word, seconds in (("p50", score.p50_s), ("p90", score.p90_s), ("p99", score.p99_s))
            )
            lines.append(f"{name}: {times}, {score.samples_per_s:.1f} frames/s")
    pairs = list(zip(_setting(one), _setting(other), strict=True))
    unlike = [f"{mine[0]} {mine[1]} against {his[1]}" for mine, his in pairs if mine != his]
    return "\n".join([*lines, f"differs: {', '.join(unlike) or 'nothing of board, runtime, threads and agent'}"])


def _setting(result: Result) -> list[tuple[str, str]]:
    env, runtime = result.environment, result.environment.runtime
    return [
        ("threads", str(runtime.num_threads)),
        ("runtime", f"{runtime.backend} {runtime.version}"),
        ("delegate", runtime.delegate or "none"),
        ("board", env.board.model),
        ("agent", env.agent),
    ]


def _percent(ratio: float) -> str:
    return f"{(ratio - 1.0) * 100:+.1f} %"
