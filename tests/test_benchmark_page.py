"""docs/benchmark.md says what the rules and thresholds are: its tables are made from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from agent.bench import TITLES, Plan, rules, steady, validity
from agent.bench.choice import NEAR
from agent.bench.early import discards
from agent.bench.frames import MOST_BYTES
from agent.bench.plan import ScenarioName
from agent.bench.store import LEAST_PAUSE_S, SHARE_OF_RUN
from agent.bench.tune import BACKUP
from agent.errors import CameraError, ConfigError, ModelError, StorageError, UnavailableError
from tests.cases import edge_agent
from tools import compare

PAGE = (Path(__file__).parent.parent / "docs" / "benchmark.md").read_text()


def scenarios() -> str:
    head = ("`--scenario`", "MLPerf's name", "a query", "at least", "with `--official`", "judged by")
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|---|"]
    judged = {"offline": "throughput", "camera": "age and drops"}
    for name in get_args(ScenarioName):
        usual, official = rules(Plan(scenario=name)), rules(Plan(scenario=name, official=True))
        frames = f"{usual.samples_per_query} frame{'s' if usual.samples_per_query > 1 else ''}"
        spans = [
            f"{each.least_s:g} s" + (f" and {each.least_queries} queries" if each.least_queries > 1 else "")
            for each in (usual, official)
        ]
        by = judged.get(name, f"p{usual.percentile * 100:g}, early stopping")
        lines.append(f"| `{name}` | {TITLES[name]} | {frames} | {spans[0]} | {spans[1]} | {by} |")
    return "\n".join(lines)


def thresholds() -> str:
    too = "spoils it too"
    rows = [
        ("under-voltage", "any window saw it", too),
        ("other processes", f"they keep more than {validity.OTHERS_CORES:g} cores busy", too),
        ("run queue", f"our threads stood in it for more than {validity.WAITED_SHARE:.0%} of a core's time", too),
        ("stolen time", f"the host took more than {validity.STOLEN_SHARE:.0%} of a virtual machine's time", too),
        ("throttling, cap, soft limit", "any window saw it, or the bits changed", "a finding"),
        ("clock", f"lowest and highest differ by more than {validity.CLOCK_SPREAD:.0%}", "a finding"),
        (
            "length",
            (
                "shorter than the rules above, or than `--seconds`, `--queries` or `--minutes` where given, stopped, "
                "or the frames ended"
            ),
            too,
        ),
    ]
    lines = ["| sign | spoils a run when | in a soak |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]).replace(" %", "%").replace("%", " %")


@pytest.mark.parametrize(("name", "made"), [("scenarios", scenarios()), ("validity", thresholds())])
def test_tables_are_those_of_the_code(name: str, made: str) -> None:
    found = re.search(rf"<!-- generated: {name} -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert found is not None
    assert found[1] == made


def test_figures_in_the_text_are_those_of_the_code() -> None:
    assert f"over the last {steady.SPAN} windows of {rules(Plan(soak=True)).window_s:g} s" in PAGE
    assert f"within {steady.LATENCY_SPREAD:.0%}".replace("%", " %") in PAGE
    assert f"no more than {steady.SLOPE_CELSIUS_PER_MIN:g} C a minute" in PAGE
    assert f"at most `--minutes` ({Plan().minutes:g})" in PAGE
    assert f"`--frames`, {Plan().frames}; at most {MOST_BYTES >> 20} MiB" in PAGE
    assert f"each {LEAST_PAUSE_S:g} s and ever more rarely" in PAGE
    longer_s = LEAST_PAUSE_S / SHARE_OF_RUN
    assert f"the last {LEAST_PAUSE_S:g} s, or {100 * SHARE_OF_RUN:g} % of a run of more than {longer_s:g} s" in PAGE
    assert f"a standard deviation of {100 * compare.BETWEEN_RUNS:g} %, or {100 * compare.BETWEEN_SHARE:g} %" in PAGE
    assert f"At least {compare.LEAST_WINDOWS} windows a side" in PAGE
    assert f"goes no further than {100 * compare.SAME:g} %" in PAGE
    assert f"agent.toml{BACKUP}" in PAGE
    assert f"less\nthan {100 * NEAR:g} % behind it" in PAGE
    assert discards(64, 0.9) == discards(662, 0.99) == 0, "as the page says"


def test_every_option_on_the_page_exists_and_every_word_of_a_comparison_is_there() -> None:
    options = set(re.findall(r"(?<!-)--[a-z][a-z0-9-]+", PAGE))
    known = set(re.findall(r"--[a-z0-9-]+", edge_agent("bench", "--help", COLUMNS="200", TERM="dumb").stdout))
    assert options - known == {"--anyway", "--timeout"}, "which are options of compare and of ask"
    for word in ("slower", "faster", "same", "cannot tell"):
        assert f"`{word}`" in PAGE


def test_every_exit_code_of_a_run_is_on_the_page() -> None:
    for error in (ConfigError, ModelError, CameraError, StorageError, UnavailableError):
        assert f"| {error.exit_code} | " in PAGE
