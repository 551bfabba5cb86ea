"""``edge-tools report``: one page that needs nothing else, whatever stands in the results."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench import Plan, Result, encode, table
from agent.bench.sweep import Row, measured
from agent.bench.sweep import encode as encode_rows
from tests.bench_fakes import conditions, make_run, window
from tests.test_tools_compare import edge_tools
from tools.plot import Frame, Line, bars, lines, thin, ticks
from tools.report import _bands, page


class Outline(HTMLParser):
    """What a page is made of; fails when a mark is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def soak() -> Result:
    """A board that warms up, throttles and has company for a while."""

    def board(at_s: float) -> object:
        hot = at_s > 300
        return conditions(
            min(82.0, 45.0 + at_s / 8),
            bits=0x40004 if hot else 0,
            hertz=1.0e9 if hot else 1.5e9,
            others_cores=0.6 if 100 < at_s < 130 else 0.02,
        )

    plan = Plan(soak=True, warmup_s=0.0, minutes=10.0)
    return make_run(plan, lambda at_s: (0.04 if at_s < 300 else 0.062) * (1 + 0.1 * math.sin(at_s)), board).go()  # type: ignore[arg-type]


def test_a_page_holds_every_plot_and_needs_nothing_else() -> None:
    text = page([("soak.json", soak()), ("plain.json", make_run(Plan(warmup_s=0.0), lambda _: 0.01).go())])
    found = Outline(text)
    assert found.seen.count("svg") == 12, "latency, heat, clock, company, histogram and percentiles, of two results"
    assert not {"script", "link", "img", "iframe"} & set(found.seen)
    assert not [value for name, value in found.attributes if name in {"src", "href"} or name.startswith("on")]
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert "NaN" not in text
    assert "held the processor back" in text
    assert "others" in re.findall(r"<title>(.*?)</title>", text)


def test_every_word_of_a_result_is_escaped() -> None:
    result = soak()
    evil = "<script>alert(1)</script><b>&\"'"
    env = result.environment
    result = msgspec.structs.replace(
        result,
        created=evil,
        invalid_because=(evil,),
        findings=(evil,),
        not_checked=(evil,),
        environment=msgspec.structs.replace(
            env,
            agent=evil,
            model=msgspec.structs.replace(env.model, name=evil, version=evil, input=evil, sha256=evil),
            source=msgspec.structs.replace(env.source, uri=evil),
        ),
        windows=tuple(msgspec.structs.replace(one, disturbed=(evil,)) for one in result.windows),
    )
    text = page([(evil, result), (evil, result)])
    assert "<script" not in text
    assert "<b>" not in text
    Outline(text)


def test_a_result_without_a_window_and_a_board_that_tells_nothing_are_drawn_as_that() -> None:
    bare = make_run(Plan(warmup_s=0.0), lambda _: 0.01, lambda _: conditions(None, bits=None, hertz=None)).go()
    text = page([("bare.json", bare)])
    assert "Temperature, C: this board does not tell." in text
    empty = msgspec.structs.replace(bare, windows=(), score=None, stages={})
    Outline(page([("empty.json", empty)]))


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e6) | st.just(math.nan)), max_size=60))
def test_a_plot_of_anything_is_whole_and_within_its_frame(points: list[tuple[float, float]]) -> None:
    text = lines(Frame("t", (0.0, 1e4), "s"), [Line("a", "p50", sorted(points, key=lambda point: point[0]))])
    Outline(text)
    path = re.search(r'class="line p50" d="([^"]*)"', text)
    for x, y in re.findall(r"[ML]([-0-9.]+) ([-0-9.]+)", path[1] if path else ""):
        assert 63 <= float(x) <= 839
        assert 9 <= float(y) <= 175


def test_every_word_of_a_plot_is_escaped() -> None:
    evil = "<b>&"
    frame = Frame(evil, (0.0, 1.0), evil, bands=[(0.0, 1.0, evil)], marks=[(0.0, evil)])
    for text in (lines(frame, [Line(evil, evil, [(0.0, 1.0)])]), bars(frame, [(0.0, 1.0, 1.0, evil)])):
        assert "<b>" not in text
        Outline(text)
    assert "<b>" not in lines(frame, [])
    assert "<b>" not in bars(frame, [])


def test_thinning_keeps_the_peaks() -> None:
    points = [(float(x), 100.0 if x == 7777 else 1.0) for x in range(10_000)]
    kept = thin(points)
    assert len(kept) <= 1500
    assert (7777.0, 100.0) in kept


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert len(found) <= 8
    slack = 1e-6 * span + 1e-9 * abs(low)
    assert all(low - slack <= value <= low + span + slack for value in found)


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(encode(soak()))
    done = edge_tools("report", tmp_path / "a.json", "--out", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    Outline((tmp_path / "r.html").read_text())
    assert edge_tools("report", tmp_path / "a.json", "--out", tmp_path / "no" / "r.html").returncode == 74
    assert edge_tools("report", tmp_path / "absent.json").returncode == 74


def test_the_rows_of_a_sweep_are_drawn_one_by_one(tmp_path: Path) -> None:
    rows = [Row(settings={"runtime.num_threads": number}, result=soak()) for number in (1, 2)]
    (tmp_path / "s.json").write_bytes(encode_rows([*rows, Row(settings={"runtime.num_threads": 4}, error="died")]))
    done = edge_tools("report", tmp_path / "s.json", "--out", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "r.html").read_text()
    assert re.findall(r"<h2>(.*?)</h2>", text)[1:] == ["s.json: threads=1", "s.json: threads=2 (ran on 1)"]
    assert measured(encode(soak()), "s.json") is None
    assert measured(b"{}", "s.json") is None


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999999, 1.0])
def test_the_percentile_axis_ends(share: float) -> None:
    from tools.report import _nines

    assert 0.0 <= _nines(share) <= 3.0


def heads(text: str) -> list[list[str]]:
    return [re.findall(r"<th[^>]*>(.*?)</th>", row) for row in re.findall(r"<table[^>]*><tr>(.*?)</tr>", text)]


def test_figures_come_first_and_every_column_of_them_has_its_unit() -> None:
    plain = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    overview, compared, stages, facts, *_ = heads(page([("a.json", plain), ("b.json", plain)]))
    assert overview[:6] == ["result", "frames/s", "p50 ms", "p90 ms", "p99 ms", "max ms"]
    assert compared == ["time", "change %", "95 % interval %", ""]
    assert stages[:5] == ["stage", "p50 ms", "p90 ms", "p99 ms", "max ms"]
    assert facts == ["", ""]


def test_two_results_are_compared_under_a_heading_and_a_refusal_is_a_line() -> None:
    plain, hog = (
        make_run(Plan(warmup_s=0.0), lambda _: 0.01, lambda _: conditions(others_cores=cores)).go()  # noqa: B023
        for cores in (0.0, 1.0)
    )
    text = page([("a.json", plain), ("b.json", plain)])
    assert "<h2>Compared</h2><h3>b.json against a.json</h3>" in text
    assert "Not compared" not in text
    assert "Compared" not in page([("a.json", plain)])
    doubted = page([("a.json", plain), ("b.json", hog)])
    assert '<p class="bad">b.json: not valid: other processes kept 1.00 cores busy; stop them</p>' in doubted
    assert "change %" in doubted, "it is said, and compared all the same"
    few = msgspec.structs.replace(plain, windows=plain.windows[:3])
    other = msgspec.structs.replace(plain, plan=Plan(scenario="offline"))
    for one in (few, other):
        refused = page([("a.json", plain), ("b.json", one)])
        assert '<p class="note">Not compared.</p>' in refused
        assert "change %" not in refused


def test_every_chart_and_table_scrolls_by_itself() -> None:
    text = page([("soak.json", soak())])
    charts, tables = text.count("<svg"), text.count("<table")
    assert charts == text.count('<div class="scroll"><svg') == 6
    assert tables == text.count('<div class="scroll"><table') > 0


def test_energy_is_told_with_whose_it_is() -> None:
    plan = Plan(soak=True, warmup_s=0.0, minutes=2.0)
    told = {
        source: make_run(plan, lambda _: 0.125, lambda _: conditions(energy_joules=40.0, energy_source=source)).go()  # noqa: B023
        for source in ("pmic", "powercap")
    }
    for source, words in (("pmic", "USB, HAT and fan are not in it"), ("powercap", "processor included")):
        result = told[source]
        assert result.energy_source == source
        for text in (page([("a.json", result)]), table(result)):
            assert "0.500 J a query, " in text
            assert words in text
    silent = make_run(plan, lambda _: 0.1).go()
    assert silent.energy_source == ""
    assert "J a query" not in page([("a.json", silent)])


def test_what_disturbed_is_shaded_once_for_as_long_as_it_lasted() -> None:
    tagged = [(("others",) if 2 <= number < 5 else ("throttled",) if number == 7 else ()) for number in range(10)]
    windows = [window(number, disturbed=tags) for number, tags in enumerate(tagged)]
    assert _bands(windows) == [(20.0, 50.0, "others"), (70.0, 80.0, "throttled")]
    apart = [window(number, disturbed=("others",)) for number in (0, 5)]
    assert _bands(apart) == [(0.0, 10.0, "others"), (50.0, 60.0, "others")]


def test_one_late_query_does_not_squeeze_the_histogram_and_is_told() -> None:
    late = make_run(Plan(warmup_s=0.0), lambda at_s: 1.0 if 30.0 <= at_s < 30.01 else 0.010).go()
    text = page([("a.json", late)])
    found = re.search(r"Histogram: frames by their work, ms; (\d+) later than ([0-9.]+) ms not drawn", text)
    assert found is not None
    assert int(found[1]) == 1
    assert 14 < float(found[2]) < 16
    said = re.findall(r"<title>([0-9.]+) to ([0-9.]+) ms: (\d+)</title>", text)
    assert all(9.7 < float(low) < 10.0 < float(high) < 10.3 for low, high, many in said if int(many))
    assert late.score is not None
    assert sum(int(many) for *_, many in said) == late.score.queries - 1


def test_what_a_window_does_not_know_is_a_gap_and_an_accelerator_has_its_line() -> None:
    known = soak()
    assert "accelerator" not in page([("a.json", known)])
    gaps = tuple(
        msgspec.structs.replace(one, soc_celsius=None if number % 2 else 50.0, accelerator_celsius=60.0)
        for number, one in enumerate(known.windows)
    )
    text = page([("a.json", msgspec.structs.replace(known, windows=gaps))])
    heat = re.search(r'class="line heat" d="([^"]*)"', text)
    assert heat is not None
    assert "L" not in heat[1], "no line is drawn over what is not known"
    assert '<span class="key p90">accelerator</span>' in text


def test_bars_of_the_stages_are_as_long_as_their_share() -> None:
    text = page([("a.json", make_run(Plan(warmup_s=0.0), lambda _: 0.01).go())])
    widths = re.findall(r'<tr><td>(\w+)</td>.*?class="p50 box" style="width:([0-9.]+)%"></span>(.*?)</td>', text)
    found = {name: float(width) for name, width, _ in widths}
    assert found["total"] == pytest.approx(100.0, abs=2)
    assert found["invoke"] == pytest.approx(80.0, abs=3)
    tails = re.findall(r'class="p99 box" style="width:([0-9.]+)%"', text)
    assert all(float(width) < 3 for width in tails), "beyond p50 there is nothing"
