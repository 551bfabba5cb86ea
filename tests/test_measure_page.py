"""docs/measure.md: its settings, figures and defaults are those of the agent."""

from __future__ import annotations

import re
from pathlib import Path

from agent.config import MeasureConfig, settings
from agent.measure import blind, episodes
from agent.publish import contract
from agent.publish.topics import metric_dictionary
from agent.records.board import HOLD_CAUSES
from agent.vitals import CALM_S, EVENTS_AN_HOUR

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "measure.md").read_text()
MQTT = (DOCS / "mqtt.md").read_text()

FIELDS = {name.rpartition(".")[2] for name in metric_dictionary()} | set(contract.BoardCard.__struct_fields__)


def test_each_setting_on_the_page_is_one() -> None:
    known = {row.key for row in settings()}
    named = set(re.findall(r"`(measure\.[a-z0-9_]+|mqtt\.[a-z]+)`", TEXT + MQTT)) - {"mqtt.md"}
    assert {"measure.hung_s", "measure.p99_limit_s", "measure.memory_limit_bytes"} <= named
    assert named <= known


def test_each_figure_on_the_page_travels() -> None:
    named = set(re.findall(r"`([a-z0-9_]+_(?:celsius|hz|bytes|volts|bits|rpm|share|hour|s|episodes))`", TEXT))
    assert len(named) > 20
    also = set(contract.ModelCard.__struct_fields__) | set(contract.HealthCard.__struct_fields__)
    assert named - FIELDS - also == set()


def test_each_figure_of_heat_is_on_the_page() -> None:
    for field in contract.Therm.__struct_fields__:
        if field.endswith(("_celsius", "_hz", "rpm", "share")) and field != "soc_max_celsius":
            assert f"`{field}`" in TEXT, field


def test_figures_are_those_of_the_code() -> None:
    measure = MeasureConfig()
    for text in (
        f"`measure.hung_s` ({measure.hung_s:g} s)",
        f"`measure.growth_limit_bytes` ({measure.growth_limit_bytes // 2**20} MiB an hour)",
        f"`measure.state_s` ({measure.state_s / 60:g} minutes)",
        f"clear for {episodes.END_AFTER_S:g} s",
    ):
        assert text in TEXT, text
    assert (CALM_S, EVENTS_AN_HOUR, measure.growth_hold_s) == (300.0, 12, 3600.0), "five minutes, twelve, an hour"


def test_each_cause_is_explained() -> None:
    for cause in re.findall(r"^(\w+) {2,}", blind.__doc__ or "", re.MULTILINE):
        assert f"`{cause}`" in TEXT, cause
    for held in HOLD_CAUSES:
        assert f"`{held}`" in MQTT, held


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (DOCS / target).exists(), target
