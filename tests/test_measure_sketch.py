"""Laws of the sketch: it adds up exactly, and its quantiles are within 1 % of the exact ones."""

from __future__ import annotations

import doctest
import math
from collections.abc import Iterable

import numpy as np
import pytest
from ddsketch import DDSketch
from ddsketch.mapping import LogarithmicMapping
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.measure import sketch as sketch_module
from agent.measure.sketch import HIGHEST, LOWEST, Sketch
from agent.records import SketchBins

durations = st.floats(min_value=1e-9, max_value=1e6)
values = st.one_of(durations, st.just(0.0), st.floats(min_value=-10.0, max_value=0.0))
samples = st.lists(values, max_size=200)
quantiles = st.floats(min_value=0.0, max_value=1.0)


def sketch_of(numbers: Iterable[float]) -> Sketch:
    sketch = Sketch()
    for number in numbers:
        sketch.add(number)
    return sketch


def merged(*sketches: Sketch) -> Sketch:
    whole = Sketch()
    for sketch in sketches:
        whole.merge(sketch)
    return whole


def state(sketch: Sketch) -> tuple[object, ...]:
    return sketch.bins(), sketch.count, sketch.min, sketch.max, sketch.rejected


def exact(numbers: list[float], q: float) -> float:
    """The least number that at least a share ``q`` of all does not exceed; below a nanosecond is zero."""
    ordered = sorted(n if n >= LOWEST else 0.0 for n in numbers)
    return ordered[max(math.ceil(q * len(ordered)), 1) - 1]


@settings(deadline=None)
@given(samples, samples)
def test_merging_equals_adding_everything(first: list[float], second: list[float]) -> None:
    whole = merged(sketch_of(first), sketch_of(second))
    assert state(whole) == state(sketch_of(first + second))
    assert whole.sum == pytest.approx(sketch_of(first + second).sum)


@settings(deadline=None)
@given(samples, samples, samples)
def test_merging_needs_no_order(a: list[float], b: list[float], c: list[float]) -> None:
    x, y, z = sketch_of(a), sketch_of(b), sketch_of(c)
    assert state(merged(x, y)) == state(merged(y, x))
    assert state(merged(merged(x, y), z)) == state(merged(x, merged(y, z)))


@settings(deadline=None)
@given(samples, samples)
def test_merging_leaves_the_other_as_it_was(a: list[float], b: list[float]) -> None:
    mine, other = sketch_of(a), sketch_of(b)
    mine.merge(other)
    mine.add(1.0)
    assert state(other) == state(sketch_of(b))


@settings(deadline=None)
@given(samples)
def test_bins_survive_the_wire(numbers: list[float]) -> None:
    sketch = sketch_of(numbers)
    back = Sketch.from_bins(sketch.bins(), low=sketch.min, high=sketch.max, total=sketch.sum)
    assert state(back) == state(sketch)
    assert back.sum == sketch.sum
    assert [back.quantile(q) for q in (0.0, 0.5, 0.9, 1.0)] == [sketch.quantile(q) for q in (0.0, 0.5, 0.9, 1.0)]


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=200))
def test_bins_alone_tell_extremes_and_sum_within_one_percent(numbers: list[float]) -> None:
    sketch = sketch_of(numbers)
    back = Sketch.from_bins(sketch.bins())
    for told, true in ((back.min, sketch.min), (back.max, sketch.max), (back.sum, sketch.sum)):
        assert told == pytest.approx(true, rel=0.0101, abs=1e-12)


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=200), quantiles)
def test_quantiles_are_within_one_percent(numbers: list[float], q: float) -> None:
    assert sketch_of(numbers).quantile(q) == pytest.approx(exact(numbers, q), rel=0.0100001, abs=0.0)


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=100), quantiles, quantiles)
def test_quantiles_rise_and_stay_between_the_extremes(numbers: list[float], q: float, r: float) -> None:
    sketch = sketch_of(numbers)
    low, high = sketch.quantile(min(q, r)), sketch.quantile(max(q, r))
    assert low is not None
    assert high is not None
    assert sketch.min is not None
    assert sketch.max is not None
    assert sketch.min <= low <= high <= sketch.max


@settings(deadline=None)
@given(st.lists(durations, min_size=1, max_size=200))
def test_extremes_and_sum_are_exact(numbers: list[float]) -> None:
    sketch = sketch_of(numbers)
    assert (sketch.count, sketch.min, sketch.max) == (len(numbers), min(numbers), max(numbers))
    assert sketch.sum == pytest.approx(math.fsum(numbers))


@settings(deadline=None)
@given(durations)
def test_buckets_are_those_of_the_published_schema(value: float) -> None:
    bins = sketch_of([value]).bins()
    position = math.log(value) / math.log(1.01 / 0.99)
    if abs(position - round(position)) > 1e-6:  # on a boundary the last bit of the logarithm decides
        assert (bins.offset, bins.counts) == (LogarithmicMapping(0.01).key(value), (1,))


def test_percentiles_of_merged_windows_match_a_hundred_thousand_values() -> None:
    numbers = np.random.default_rng(7).lognormal(mean=-4.8, sigma=0.6, size=100_000)
    windows = [sketch_of(map(float, part)) for part in np.array_split(numbers, 137)]
    whole = merged(*windows)
    assert whole.count == 100_000
    for q in (0.01, 0.5, 0.9, 0.99, 0.999, 1.0):
        assert whole.quantile(q) == pytest.approx(np.quantile(numbers, q, method="inverted_cdf"), rel=0.01)


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=200), st.lists(st.integers(0, 4), min_size=200, max_size=200), quantiles)
def test_quantiles_of_merged_parts_are_within_one_percent(numbers: list[float], where: list[int], q: float) -> None:
    parts = [sketch_of(number for number, place in zip(numbers, where, strict=False) if place == n) for n in range(5)]
    assert merged(*parts).quantile(q) == pytest.approx(exact(numbers, q), rel=0.0100001, abs=0.0)


SHAPES = {
    "a calm board": lambda rng: rng.lognormal(-4.8, 0.3, 1_000_000),
    "one that throttles": lambda rng: np.concatenate(
        [rng.lognormal(-4.8, 0.1, 900_000), rng.lognormal(-3.9, 0.1, 100_000)]
    ),
    "long waits": lambda rng: 0.01 * (1.0 + rng.pareto(1.5, 1_000_000)),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_of_merged_windows_match_a_million_values(shape: str) -> None:
    """Windows of many sizes, each over the wire and back, merged; the worst error is printed."""
    rng = np.random.default_rng(11)
    numbers = rng.permutation(SHAPES[shape](rng))
    cuts = np.sort(rng.integers(0, len(numbers), 2000))
    windows = [sketch_of(map(float, part)) for part in np.split(numbers, cuts)]
    whole = merged(*[Sketch.from_bins(w.bins(), low=w.min, high=w.max, total=w.sum) for w in windows])
    assert whole.count == 1_000_000
    worst = 0.0
    for q in (0.0, 0.001, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0):
        true = float(np.quantile(numbers, q, method="inverted_cdf"))
        worst = max(worst, abs((whole.quantile(q) or 0.0) / true - 1.0))
    print(f"{shape}: at most {100 * worst:.2f} % off")  # noqa: T201
    assert worst <= 0.01


def test_a_mean_of_percentiles_would_not_do() -> None:
    """Why sketches travel: the p99 of a calm and a busy window is not the mean of their p99s."""
    calm, busy = sketch_of([0.010] * 900), sketch_of([0.100] * 100)
    mean_of_p99 = ((calm.quantile(0.99) or 0) + (busy.quantile(0.99) or 0)) / 2
    assert merged(calm, busy).quantile(0.99) == pytest.approx(0.100, rel=0.01)
    assert mean_of_p99 == pytest.approx(0.055, rel=0.01)


def test_buckets_are_those_of_ddsketch_itself() -> None:
    numbers = [float(n) for n in np.random.default_rng(3).lognormal(-5, 1.5, 5_000)]
    theirs = DDSketch(0.01)
    for number in numbers:
        theirs.add(number)
    ours = sketch_of(numbers)
    for q in (0.1, 0.5, 0.9, 0.99):
        assert ours.quantile(q) == pytest.approx(theirs.get_quantile_value(q), rel=0.021)


def test_an_empty_sketch_knows_nothing() -> None:
    sketch = Sketch()
    assert (sketch.count, sketch.min, sketch.max, sketch.sum) == (0, None, None, 0.0)
    assert sketch.quantile(0.5) is None
    assert sketch.bins() == SketchBins(0, ())
    assert state(Sketch.from_bins(sketch.bins())) == state(sketch)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, HIGHEST * 2])
def test_what_is_no_measurement_is_refused_and_counted(value: float) -> None:
    sketch = sketch_of([0.5, value])
    assert (sketch.count, sketch.rejected, sketch.sum, sketch.max) == (1, 1, 0.5, 0.5)
    assert merged(sketch, sketch).rejected == 2


@pytest.mark.parametrize("value", [0.0, -0.0, -3.0, 5e-324, LOWEST / 2])
def test_zero_and_below_count_as_zero(value: float) -> None:
    sketch = sketch_of([value, 0.2])
    assert (sketch.count, sketch.min, sketch.quantile(0.5), sketch.sum) == (2, 0.0, 0.0, 0.2)
    assert sketch.bins().zero_count == 1


@pytest.mark.parametrize("value", [LOWEST, HIGHEST])
def test_the_schemas_ends_belong_to_it(value: float) -> None:
    sketch = sketch_of([value])
    assert (sketch.count, sketch.rejected, sketch.bins().zero_count) == (1, 0, 0)
    assert Sketch.from_bins(sketch.bins()).quantile(0.5) == pytest.approx(value, rel=0.0101)


@pytest.mark.parametrize("q", [-0.01, 1.01, math.nan])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        sketch_of([1.0]).quantile(q)


@pytest.mark.parametrize(
    ("bins", "sentence"),
    [
        (SketchBins(0, (1,), relative_accuracy=0.02), "accuracy"),
        (SketchBins(0, (3, -1)), "damaged"),
        (SketchBins(0, (1,), zero_count=-1), "damaged"),
        (SketchBins(0, (10**400,)), "damaged"),
        (SketchBins(-100_000, (1,)), "outside"),
        (SketchBins(0, (1,) * 5_000), "outside"),
    ],
)
def test_bins_that_are_none_are_refused(bins: SketchBins, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Sketch.from_bins(bins)


def test_the_example_in_the_docstring_holds() -> None:
    assert doctest.testmod(sketch_module).failed == 0
    assert doctest.testmod(sketch_module).attempted > 0
