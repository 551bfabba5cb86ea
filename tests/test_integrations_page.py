"""docs/integrations.md: its settings are settings, and what it says of them is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config import Config, ZoneConfig, parse
from agent.prometheus import Exposition
from agent.publish import contract
from tests.test_prometheus import CARD, FACTS, MQTT, Clock

PAGE = Path(__file__).parent.parent / "docs" / "integrations.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_example_of_settings_is_taken(block: str) -> None:
    assert parse(block) != Config()


def test_defaults_are_those_of_the_settings() -> None:
    seen = Config().detections
    for text in (
        f"`appear_s` ({seen.appear_s:g} s)",
        f"`hold_s` ({seen.hold_s:g} s)",
        f"`min_frames` ({seen.min_frames})",
        f"`repeat_s` ({seen.repeat_s:g} s)",
        f"`interval_s` ({Config().prometheus.interval_s:g} s)",
        f"`mqtt.health_s` ({Config().mqtt.health_s:g} s)",
    ):
        assert text in TEXT, text


def test_each_field_of_the_payload_and_each_setting_of_the_example_is_real() -> None:
    for field in ("known", "counts", "zones", "boxes"):
        assert f"`{field}" in TEXT
        assert field in contract.Detections.__struct_fields__
    [zone] = parse(BLOCKS[0]).zones
    assert isinstance(zone, ZoneConfig)


def test_metrics_that_are_queried_exist(tmp_path: Path) -> None:
    config = parse(f'[prometheus]\ntextfile = "{tmp_path}/edge.prom"').prometheus
    Exposition(config, FACTS, Clock()).take(CARD, MQTT)
    shown = (tmp_path / "edge.prom").read_text()
    queried = set(re.findall(r"edge_agent_[a-z_]+", TEXT))
    assert queried
    for name in queried:
        assert re.search(rf"^{name}[ {{]", shown, re.MULTILINE), name


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PAGE.parent / target).exists(), target
