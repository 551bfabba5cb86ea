"""The run on a made-up clock and board: when it ends, what is in its windows, and what is said of it."""

from __future__ import annotations

import pytest

from agent.bench.plan import Plan, keeps_mlperf, rules
from agent.bench.result import Result, decode, encode
from agent.bench.run import Progress, Told
from agent.bench.scenarios import Query
from agent.bench.steady import SPAN, is_steady, slope_celsius_per_min
from agent.bench.table import table
from agent.bench.tally import Tally
from agent.bench.validity import OTHERS_CORES, WAITED_SHARE, judge
from agent.errors import AgentError, CameraError
from tests.bench_fakes import conditions, make_run, window

SHORT = Plan(warmup_s=0.0)


def test_a_run_lasts_until_both_rules_are_met() -> None:
    quick = make_run(SHORT, lambda _: 0.01).go()
    assert quick.valid, quick.invalid_because
    assert quick.score is not None
    assert 60.0 <= quick.score.duration_s < 61.1, "many queries: the duration decides"
    slow = make_run(SHORT, lambda _: 0.125).go()
    assert slow.score is not None
    assert slow.score.queries >= 1024
    assert slow.score.duration_s == pytest.approx(128, abs=1.1), "few queries: their number decides"
    assert slow.valid


def test_windows_lie_end_to_end_and_hold_every_query() -> None:
    result = make_run(Plan(seconds=5.0, queries=10, warmup_s=3.0), lambda at_s: 0.05 if at_s < 5.5 else 0.1).go()
    assert result.score is not None
    assert sum(one.queries for one in result.windows) == result.score.queries
    for one, other in zip(result.windows, result.windows[1:], strict=False):
        assert one.started_s + one.duration_s == pytest.approx(other.started_s)
    assert [one.p50_s for one in result.windows] == pytest.approx([0.05, 0.05, 0.05, 0.1, 0.1])
    assert result.score.p50_s == pytest.approx(0.05)
    assert result.windows[0].started_s == 0.0, "the warm-up is in no window"


def test_percentiles_of_a_run_are_exact() -> None:
    tally = Tally()
    for number in range(1, 1001):
        tally.add(Query(number / 1000, 0.0, number / 1000, 0.0))
    found = tally.window(0.0, 1.0, conditions(), None)
    assert (found.p50_s, found.p90_s, found.p99_s, found.max_s) == (0.5, 0.9, 0.99, 1.0)
    assert tally.stages()["total"].p50_s == pytest.approx(0.5, rel=0.01), "stages travel as sketches"


def test_a_soak_ends_when_it_is_steady() -> None:
    def latency(at_s: float) -> float:
        return 0.10 + 0.05 * min(at_s, 200.0) / 200.0

    def board(at_s: float) -> object:
        return conditions(40.0 + min(at_s, 240.0) / 8.0)

    result = make_run(Plan(soak=True, warmup_s=0.0), latency, board).go()  # type: ignore[arg-type]
    assert result.ended == "steady"
    assert result.soak is not None
    assert result.soak.steady_s is not None
    assert 200.0 <= result.soak.steady_s <= 260.0
    assert result.soak.first_minute_per_s > 1.2 * result.soak.steady_per_s
    assert result.soak.hottest_celsius == 70.0
    assert result.valid, result.invalid_because


def test_a_soak_that_never_settles_ends_after_its_minutes() -> None:
    result = make_run(Plan(soak=True, warmup_s=0.0, minutes=5.0), lambda at_s: 0.1 + at_s / 1000).go()
    assert result.ended == "done"
    assert result.soak is not None
    assert result.soak.steady_s is None
    assert result.windows[-1].started_s + result.windows[-1].duration_s == pytest.approx(300, abs=15)


def test_throttling_is_a_finding_in_a_soak_and_spoils_anything_else() -> None:
    def board(at_s: float) -> object:
        return conditions(82.0, bits=0x40004 if at_s > 20 else 0, hertz=1.5e9 if at_s <= 20 else 1.0e9)

    soak = make_run(Plan(soak=True, warmup_s=0.0, minutes=2.0), lambda _: 0.1, board).go()  # type: ignore[arg-type]
    assert soak.valid, soak.invalid_because
    assert any("held the processor back" in one for one in soak.findings)
    assert any("clock moved between 1000 and 1500 MHz" in one for one in soak.findings)
    assert soak.soak is not None
    assert soak.soak.first_throttle_s == pytest.approx(25, abs=6)
    plain = make_run(SHORT, lambda _: 0.01, board).go()  # type: ignore[arg-type]
    assert not plain.valid
    assert {"throttled"} <= set(plain.windows[-1].disturbed)
    assert any("throttle bits changed: 0x0, 0x40004" in one for one in plain.invalid_because)


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (conditions(bits=0x50005), "under-volted in"),
        (conditions(others_cores=OTHERS_CORES + 0.1), "other processes kept 0.30 cores busy"),
        (conditions(waited_share=WAITED_SHARE + 0.02), "run queue for 5.0% of a core's time; other work beside it"),
        (conditions(stolen_share=0.2), "host took 20.0%"),
    ],
)
def test_what_spoils_a_run_spoils_a_soak_too(seen: object, word: str) -> None:
    for plan in (SHORT, Plan(soak=True, warmup_s=0.0, minutes=3.0)):
        result = make_run(plan, lambda _: 0.01, lambda _: seen).go()  # type: ignore[arg-type, return-value]
        assert not result.valid
        assert any(word in one for one in result.invalid_because), result.invalid_because


def test_a_little_company_spoils_nothing() -> None:
    seen = conditions(others_cores=OTHERS_CORES - 0.05, waited_share=WAITED_SHARE - 0.01, stolen_share=0.01)
    assert make_run(SHORT, lambda _: 0.01, lambda _: seen).go().valid


def test_a_board_that_tells_nothing_is_said_to() -> None:
    seen = conditions(None, bits=None, hertz=None)
    result = make_run(SHORT, lambda _: 0.01, lambda _: seen).go()
    assert result.valid
    assert {"temperature", "clock", "throttling", "supply voltage", "energy"} == set(result.not_checked)


def test_stopping_keeps_what_is_there_and_says_so() -> None:
    asked = iter([False] * 3000 + [True] * 10_000)
    result = make_run(SHORT, lambda _: 0.01, told=Told(stop=lambda: next(asked))).go()
    assert result.ended == "stopped"
    assert not result.valid
    assert "it was stopped after" in result.invalid_because[0]
    assert result.score is not None
    assert result.score.queries > 100


def test_a_recording_that_ends_too_early_is_not_valid() -> None:
    result = make_run(SHORT, lambda _: 0.01, most=500).go()
    assert result.ended == "end of file"
    assert [one.partition(" ")[0] for one in result.invalid_because] == ["the", "it", "it"]


def test_nothing_at_all_is_not_valid_and_has_no_score() -> None:
    result = make_run(SHORT, lambda _: 0.01, told=Told(stop=lambda: True)).go()
    assert result.invalid_because == ("no window was finished",)
    assert result.score is None
    assert "NOT VALID" in table(result)


def test_a_clock_that_stands_still_is_told_and_does_not_hang() -> None:
    with pytest.raises(AgentError, match="clock stood still"):
        make_run(SHORT, lambda _: 0.0).go()


def test_a_camera_that_falls_silent_breaks_the_run_off() -> None:
    run = make_run(Plan(scenario="camera", warmup_s=0.0), lambda at_s: 0.01 if at_s < 10 else None)
    with pytest.raises(CameraError, match="no frame for 20 s"):
        run.go()
    assert 30.0 < run._clock() - 1000.0 < 31.0


def test_progress_goes_from_nothing_to_all_and_the_rest_shrinks() -> None:
    seen: list[Progress] = []
    partial: list[Result] = []
    told = Told(progress=seen.append, partial=lambda make: partial.append(make()))
    make_run(SHORT, lambda _: 0.01, told=told).go()
    shares = [one.share for one in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert seen[10].left_s > seen[50].left_s
    assert seen[-1].left_s == 0.0
    assert {one.ended for one in partial} == {"running"}
    assert not any(one.valid for one in partial)
    assert len(partial[-1].windows) == len(seen)


def test_a_long_warm_up_gives_signs_of_life() -> None:
    seen: list[Progress] = []
    make_run(Plan(warmup_s=30.0), lambda _: 0.1, told=Told(progress=seen.append)).go()
    warming = [one for one in seen if one.window is None]
    assert 27 <= len(warming) <= 30
    assert {one.share for one in warming} == {0.0}


def test_a_result_travels_as_json_and_comes_back() -> None:
    result = make_run(SHORT, lambda _: 0.01).go()
    assert decode(encode(result), "here") == result
    assert "valid" in table(result)
    assert "p90 by MLPerf's early stopping" in table(result)


def test_steady_needs_level_latency_and_level_heat() -> None:
    level = [window(number) for number in range(SPAN)]
    assert is_steady(level)
    assert not is_steady(level[1:]), "too few windows"
    assert not is_steady([window(number, 0.1 + 0.002 * number) for number in range(SPAN)])
    assert not is_steady([window(number, celsius=50.0 + 0.2 * number) for number in range(SPAN)])
    assert is_steady([window(number, celsius=None) for number in range(SPAN)]), "no sensor: latency decides"
    assert slope_celsius_per_min([window(0, celsius=50.0), window(6, celsius=51.0)]) == pytest.approx(1.0)


def test_the_rules_are_mlperfs() -> None:
    assert (rules(Plan(official=True)).least_s, rules(Plan(official=True)).least_queries) == (600.0, 1024)
    several = rules(Plan(official=True, scenario="multi-stream"))
    assert (several.least_queries, several.samples_per_query, several.percentile) == (662, 8, 0.99)
    assert keeps_mlperf(Plan(official=True)) == ""
    assert keeps_mlperf(Plan()) != ""
    assert keeps_mlperf(Plan(official=True, seconds=10.0)) != ""
    assert keeps_mlperf(Plan(official=True, scenario="camera")) != ""


def test_judging_no_window_says_only_that() -> None:
    verdict = judge((), rules(SHORT), is_soak=False, ended="done", first_bits=None, threads=1)
    assert verdict.invalid_because == ("no window was finished",)
