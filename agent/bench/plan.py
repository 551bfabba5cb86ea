"""What to measure, and the rules that it is measured by.

``Plan`` is what a person or a command asks for; ``Rules`` is what follows from it. The least durations and numbers of
queries are MLPerf's (mlcommons/inference ``loadgen/mlperf.conf``): SingleStream p90, MultiStream p99 of 8 samples in
at least 662 queries, all of them 600 s in an official run. A shorter run states 60 s and 1,024 queries, the rule of
MLPerf's first rounds (inference_policies ``inference_rules.adoc``, version 0.5).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

ScenarioName = Literal["single-stream", "multi-stream", "offline", "camera"]

TITLES: dict[ScenarioName, str] = {
    "single-stream": "SingleStream",
    "multi-stream": "MultiStream",
    "offline": "Offline",
    "camera": "Camera",
}
"""MLPerf's spelling; Camera is our own."""

LEAST_S, OFFICIAL_S = 60.0, 600.0
LEAST_QUERIES: dict[ScenarioName, int] = {"single-stream": 1024, "multi-stream": 662, "offline": 1024, "camera": 1}
OFFLINE_OFFICIAL_QUERIES = 24_576
PERCENTILES: dict[ScenarioName, float] = {"single-stream": 0.9, "multi-stream": 0.99, "offline": 0.9, "camera": 0.9}


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Measure how fast the model runs on this board."""

    scenario: Annotated[
        ScenarioName,
        Meta(description="One frame after the other, 8 at a time, all at once, or as the camera gives them."),
    ] = "single-stream"
    seconds: Annotated[
        Annotated[float, Meta(ge=1.0, le=86400.0)] | None,
        Meta(description="At least so long; null: by the scenario's rule.", extra={"unit": "s"}),
    ] = None
    queries: Annotated[
        Annotated[int, Meta(ge=1, le=100_000_000)] | None,
        Meta(description="At least so many queries; null: by the scenario's rule."),
    ] = None
    official: Annotated[bool, Meta(description="MLPerf's full 600 s instead of 60 s.")] = False
    soak: Annotated[bool, Meta(description="Go on until heat and latency are steady.")] = False
    minutes: Annotated[
        float, Meta(gt=0.0, le=1440.0, description="Longest soak, warm-up included.", extra={"unit": "min"})
    ] = 15.0
    warmup_s: Annotated[
        float, Meta(ge=0.0, le=600.0, description="Run before anything is counted.", extra={"unit": "s"})
    ] = 2.0
    window_s: Annotated[
        Annotated[float, Meta(ge=0.1, le=600.0)] | None,
        Meta(description="Length of a window; null: 1 s, in a soak 10 s.", extra={"unit": "s"}),
    ] = None
    samples_per_query: Annotated[int, Meta(ge=1, le=256, description="Frames of one MultiStream query.")] = 8
    frames: Annotated[
        int, Meta(ge=1, le=4096, description="Frames that are recorded beforehand and gone through in turn.")
    ] = 64


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the run had to keep to.

    Attributes:
        least_s: it counts only when it lasted so long.
        least_queries: and had so many queries.
        percentile: the scenario's own, 0 to 1.
        window_s: length of a window.
        samples_per_query: frames of one query.
        longest_s: it ends here at the latest; None: when the two above are met.
    """

    least_s: float
    least_queries: int
    percentile: float
    window_s: float
    samples_per_query: int
    longest_s: float | None


def rules(plan: Plan) -> Rules:
    """The rules of a plan.

    >>> found = rules(Plan())
    >>> (found.least_s, found.least_queries, found.percentile)
    (60.0, 1024, 0.9)
    >>> rules(Plan(official=True, scenario="offline")).least_queries
    24576
    """
    least = LEAST_QUERIES[plan.scenario]
    if plan.official and plan.scenario == "offline":
        least = OFFLINE_OFFICIAL_QUERIES
    if plan.soak:
        least = 1
    usual_s = OFFICIAL_S if plan.official else LEAST_S
    return Rules(
        least_s=plan.seconds
        if plan.seconds is not None
        else min(usual_s, plan.minutes * 60.0 if plan.soak else usual_s),
        least_queries=plan.queries if plan.queries is not None else least,
        percentile=PERCENTILES[plan.scenario],
        window_s=plan.window_s or (10.0 if plan.soak else 1.0),
        samples_per_query=plan.samples_per_query if plan.scenario == "multi-stream" else 1,
        longest_s=plan.minutes * 60.0 if plan.soak else None,
    )


def keeps_mlperf(plan: Plan) -> str:
    """In which way a plan is shorter or other than MLPerf's rule; empty when it is not."""
    if plan.scenario == "camera":
        return "Camera is no scenario of MLPerf"
    if plan.soak:
        return "a soak ends when it is steady, not by MLPerf's rule"
    found = rules(plan)
    if (
        found.least_s < OFFICIAL_S
        or found.least_queries < rules(Plan(scenario=plan.scenario, official=True)).least_queries
    ):
        return "shorter than MLPerf's 600 s (--official)"
    return (
        "" if plan.scenario != "multi-stream" or plan.samples_per_query == 8 else "MLPerf's MultiStream has 8 samples"
    )
