"""``edge-tools compare``: its intervals hold what they promise, and what cannot be compared is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bench import Plan, Result, encode
from tests.bench_fakes import conditions, make_run, window
from tools.compare import (
    BETWEEN_RUNS,
    LEAST_WINDOWS,
    Floats,
    block_length,
    compare,
    differences,
    doubts,
    spread,
    table,
    values,
)
from tools.sides import refusals

WINDOWS = 60
BASE = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()


def correlated(rng: np.random.Generator, correlation: float, spread: float, count: int = WINDOWS) -> Floats:
    """Windows of a board: each like the one before it (a first-order process)."""
    noise = rng.normal(0.0, spread * math.sqrt(1 - correlation**2), count + 50)
    values = np.zeros(count + 50)
    for place in range(1, count + 50):
        values[place] = correlation * values[place - 1] + noise[place]
    return values[50:]


def a_run(rng: np.random.Generator, correlation: float, factor: float = 1.0) -> Result:
    """A run of made-up windows, with an offset of its own as every process has."""
    logs = correlated(rng, correlation, 0.015) + rng.normal(0.0, 0.85 * BETWEEN_RUNS) + math.log(0.1 * factor)
    tails = correlated(rng, correlation, 0.02)
    windows = tuple(
        window(number, math.exp(log), p99_s=1.3 * math.exp(log + tail), samples_per_s=math.exp(-log))
        for number, (log, tail) in enumerate(zip(logs, tails, strict=True))
    )
    return msgspec.structs.replace(BASE, windows=windows)


@pytest.mark.parametrize("correlation", [0.4, *(pytest.param(rest, marks=pytest.mark.slow) for rest in (0.0, 0.7))])
def test_over_pairs_of_identical_runs_the_interval_holds_no_change_and_is_narrow(correlation: float) -> None:
    rng = np.random.default_rng(2026)
    pairs = [compare(a_run(rng, correlation), a_run(rng, correlation)) for _ in range(100)]
    for place, name in enumerate(("p50", "p90", "p99", "time per frame")):
        found = [pair[place] for pair in pairs]
        assert {each.metric for each in found} == {name}
        assert sum(each.low <= 1.0 <= each.high for each in found) >= 90, name
        # The tails of the made-up windows differ by twice as much as their middles.
        assert sum(each.high - each.low <= (0.05 if name != "p99" else 0.08) for each in found) >= 90, name


@pytest.mark.parametrize("correlation", [0.4, *(pytest.param(rest, marks=pytest.mark.slow) for rest in (0.0, 0.7))])
def test_a_slow_down_of_a_tenth_is_found(correlation: float) -> None:
    rng = np.random.default_rng(7)
    pairs = [compare(a_run(rng, correlation), a_run(rng, correlation, 1.1)) for _ in range(20)]
    assert sum(pair[0].word == "slower" for pair in pairs) >= 18
    assert sum(pair[3].word == "slower" for pair in pairs) >= 18
    back = [compare(a_run(rng, correlation, 1.1), a_run(rng, correlation)) for _ in range(20)]
    assert sum(pair[0].word == "faster" for pair in back) >= 18


@settings(max_examples=8, deadline=None)
@given(st.floats(0.5, 2.0), st.integers(0, 1000))
def test_swapping_the_two_turns_the_ratio_over_and_scaling_both_changes_nothing(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = a_run(rng, 0.3), a_run(rng, 0.3, factor)
    there, back = compare(one, other)[0], compare(other, one)[0]
    assert there.ratio * back.ratio == pytest.approx(1.0)
    assert there.low <= there.ratio <= there.high
    assert there.low * back.high == pytest.approx(1.0, abs=0.01)
    assert compare(one, other) == compare(one, other), "the same files give the same answer"


def test_windows_that_hang_together_are_taken_in_longer_blocks() -> None:
    rng = np.random.default_rng(3)
    lengths = [block_length(correlated(rng, correlation, 1.0, 2000)) for correlation in (0.0, 0.3, 0.8)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 4
    assert lengths[2] > 15
    assert block_length(np.ones(60)) == 1.0


def test_a_board_that_drifts_has_a_wider_interval_than_one_that_does_not() -> None:
    rng = np.random.default_rng(4)
    calm = compare(a_run(rng, 0.0), a_run(rng, 0.0))[0]
    slow = compare(a_run(rng, 0.85), a_run(rng, 0.85))[0]
    assert slow.high - slow.low > calm.high - calm.low


def test_a_few_seconds_of_something_else_do_not_speak_for_a_run() -> None:
    rng = np.random.default_rng(5)
    one, other = a_run(rng, 0.0), a_run(rng, 0.0)
    hit = tuple(msgspec.structs.replace(each, p50_s=each.p50_s * 1.5) for each in other.windows[:9])
    disturbed = msgspec.structs.replace(other, windows=hit + other.windows[9:])
    assert compare(one, disturbed)[0].ratio == pytest.approx(compare(one, other)[0].ratio, abs=0.01)


def test_runs_whose_windows_differ_more_are_believed_to_differ_more() -> None:
    calm, wild = np.linspace(-0.01, 0.01, 60), np.linspace(-0.1, 0.1, 60)
    assert spread(wild) == pytest.approx(10 * spread(calm))
    assert spread(wild) == pytest.approx(0.1 / 1.349, rel=0.05)


def test_too_few_windows_say_nothing() -> None:
    one = a_run(np.random.default_rng(1), 0.0)
    few = msgspec.structs.replace(one, windows=one.windows[: LEAST_WINDOWS - 1])
    with pytest.raises(ValueError, match="B has 19 windows"):
        compare(one, few)


def test_of_a_soak_the_second_half_counts() -> None:
    rng = np.random.default_rng(1)
    one, other = a_run(rng, 0.0), a_run(rng, 0.0)
    cold = (
        tuple(msgspec.structs.replace(each, p50_s=each.p50_s / 2) for each in other.windows[:20]) + other.windows[20:]
    )
    plan = Plan(soak=True)
    one, other = (
        msgspec.structs.replace(each, plan=plan) for each in (one, msgspec.structs.replace(other, windows=cold))
    )
    assert compare(one, other)[0].word == "same"


def test_an_interval_that_is_wide_cannot_tell() -> None:
    rng = np.random.default_rng(1)
    one, other = a_run(rng, 0.0), a_run(rng, 0.0)
    assert compare(one, other)[0].word == "same"
    wide = compare(one, other, between_runs=0.05)[0]
    assert wide.word == "cannot tell"
    assert "cannot tell" in table([wide])


def changed(result: Result, **parts: object) -> Result:
    return msgspec.structs.replace(result, environment=msgspec.structs.replace(result.environment, **parts))


def test_what_measures_something_else_is_told() -> None:
    one = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    env = one.environment
    assert differences(one, one) == []
    assert differences(one, changed(one, agent="9", board=msgspec.structs.replace(env, agent="x").board)) == []
    model = changed(one, model=msgspec.structs.replace(env.model, sha256="cd" * 32))
    source = changed(one, source=msgspec.structs.replace(env.source, uri="other.mp4"))
    scenario = msgspec.structs.replace(one, plan=Plan(scenario="offline"))
    for other, word in ((model, "model"), (source, "frames"), (scenario, "scenario")):
        assert [word in said for said in differences(one, other)] == [True]


def test_values_of_both_and_what_they_were_run_with_stand_below() -> None:
    one = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    other = changed(make_run(Plan(warmup_s=0.0), lambda _: 0.02).go(), agent="9")
    said = values(one, other)
    assert "A: p50 10.00 ms" in said
    assert "B: p50 20.00 ms" in said
    assert "50.0 frames/s" in said
    assert "differs: agent 0 against 9" in said
    assert "differs: nothing" in values(one, one)


def test_the_kind_of_run_and_the_frames_of_a_query_are_told_apart() -> None:
    one = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    soak = msgspec.structs.replace(one, plan=Plan(soak=True))
    assert differences(one, soak) == ["the kind of run differs: run and soak"]
    four, eight = (
        make_run(Plan(scenario="multi-stream", warmup_s=0.0, samples_per_query=many), lambda _: 0.1).go()
        for many in (4, 8)
    )
    assert differences(four, eight) == ["the frames of a query differ: 4 and 8"]


def test_each_percentile_and_everything_it_ran_with_stands_in_the_values() -> None:
    one = make_run(Plan(warmup_s=0.0), lambda at_s: 0.030 if int(at_s * 100) % 8 == 0 else 0.010).go()
    assert "A: p50 10.00 ms, p90 30.00 ms, p99 30.00 ms" in values(one, one)
    env = one.environment
    runtime = replace(env.runtime, num_threads=4, delegate="edgetpu", version="9")
    other = changed(one, runtime=runtime, board=replace(env.board, model="Pi 5"))
    said = values(one, other).splitlines()[-1]
    for words in ("threads 1 against 4", "delegate none against edgetpu", "runtime litert 2.3.0 against litert 9"):
        assert words in said
    assert "board Raspberry Pi 4 against Pi 5" in said


def edge_tools(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from tools.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def sides_of(one: Result, other: Result, *names: str) -> list[str]:
    first, second = names or ("a.json", "b.json")
    return [each.said for each in refusals((first, one), (second, other))]


def test_each_reason_is_a_line_of_its_own_with_its_file() -> None:
    plan = Plan(warmup_s=0.0)
    good = make_run(plan, lambda _: 0.01).go()
    hog = make_run(plan, lambda _: 0.01, lambda _: conditions(others_cores=1.0, stolen_share=0.5)).go()
    few = msgspec.structs.replace(good, windows=good.windows[: LEAST_WINDOWS - 1])
    assert sides_of(good, good) == []
    said = sides_of(good, hog)
    assert [line.partition(": ")[0] for line in said] == ["b.json", "b.json"]
    assert said[0] == "b.json: not valid: other processes kept 1.00 cores busy; stop them"
    offline = msgspec.structs.replace(good, plan=Plan(scenario="offline"))
    assert sides_of(offline, good) == ["a.json and b.json: the scenario differs: Offline and SingleStream"]
    assert [line[:7] for line in sides_of(hog, few)] == ["a.json:"] * 2 + ["b.json:"]
    final = [each.is_final for each in refusals(("a", hog), ("b", few))]
    assert final == [False, False, True], "too few windows cannot be compared, whoever asks"


def test_the_command_refuses_what_is_not_to_be_believed_unless_told(tmp_path: Path) -> None:
    good = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    hog = make_run(Plan(warmup_s=0.0), lambda _: 0.02, lambda _: conditions(others_cores=1.0)).go()
    assert doubts(good, hog)
    a, b, c = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    a.write_bytes(encode(good))
    b.write_bytes(encode(hog))
    c.write_bytes(b"{}")
    refused = edge_tools("compare", a, b)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.splitlines() == [
        f"edge-tools: {b}: not valid: other processes kept 1.00 cores busy; stop them",
        "edge-tools: not compared; --anyway compares them all the same",
    ]
    done = edge_tools("compare", a, b, "--anyway")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"mind: {b}: not valid: other processes kept 1.00 cores busy; stop them\n"
    assert "slower" in done.stdout
    unreadable = edge_tools("compare", a, c)
    assert unreadable.returncode == 74
    assert unreadable.stderr.endswith(
        "c.json: is no result of edge-agent bench (edge-agent-bench/1): 'created' is missing\n"
    )
    assert edge_tools("compare", a, tmp_path / "absent").returncode == 74


def test_json_has_both_sides_and_every_refusal(tmp_path: Path) -> None:
    good = make_run(Plan(warmup_s=0.0), lambda _: 0.01).go()
    hog = make_run(Plan(warmup_s=0.0), lambda _: 0.02, lambda _: conditions(others_cores=1.0)).go()
    few = msgspec.structs.replace(good, windows=good.windows[: LEAST_WINDOWS - 1], score=None)
    a, b, c = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    for path, result in ((a, good), (b, hog), (c, few)):
        path.write_bytes(encode(result))
    refused = edge_tools("compare", a, b, "--json")
    assert refused.returncode == 2
    told = json.loads(refused.stdout)
    assert told["ratios"] == []
    assert told["refusals"] == [
        {"files": [str(b)], "reason": "not valid: other processes kept 1.00 cores busy; stop them"}
    ]
    assert (told["a"]["file"], told["a"]["valid"], told["b"]["valid"]) == (str(a), True, False)
    assert (told["a"]["p50_s"], told["b"]["p99_s"]) == (pytest.approx(0.01), pytest.approx(0.02))
    assert (told["a"]["runtime"]["num_threads"], told["b"]["scenario"], told["b"]["soak"]) == (1, "SingleStream", False)
    done = json.loads(edge_tools("compare", a, b, "--json", "--anyway").stdout)
    assert [each["word"] for each in done["ratios"]] == ["slower"] * 4
    assert done["refusals"] == told["refusals"]
    short = edge_tools("compare", a, c, "--json", "--anyway")
    assert short.returncode == 2, "there is nothing that could be compared"
    assert json.loads(short.stdout)["b"]["p50_s"] is None
    assert short.stderr.splitlines()[-1] == "edge-tools: not compared"
