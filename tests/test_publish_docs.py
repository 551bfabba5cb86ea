"""docs/mqtt.md says what the contract says: its tables are made from it, its examples are payloads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from agent.config import LIVE
from agent.publish import TOPICS, contract, decode, metric_dictionary

PAGE = Path(__file__).parent.parent / "docs" / "mqtt.md"


def generated(name: str) -> str:
    """What stands between the marks of a generated part."""
    found = re.search(rf"<!-- generated: {name} -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert found, f"docs/mqtt.md lacks the part {name!r}"
    return found[1]


def topics_table() -> str:
    lines = ["| topic | QoS | retained | class | payload | content |", "|---|---|---|---|---|---|"]
    for line in TOPICS:
        kept = "yes" if line.retain else "no"
        cells = (f"`P/{line.pattern}`", line.qos, kept, f"`{line.cls}`", f"`{line.payload.__name__}`", line.description)
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def metrics_table() -> str:
    lines = ["| metric | unit | kind |", "|---|---|---|"]
    lines += [f"| `{name}` | {metric.unit} | {metric.kind} |" for name, metric in metric_dictionary().items()]
    return "\n".join(lines)


def live_table() -> str:
    rows = [f"| `{key}` | {when} |" for key, when in LIVE.items()]
    return "\n".join(["| setting | in force |", "|---|---|", *rows])


def examples() -> dict[str, str]:
    return dict(re.findall(r"^`(edge/\S+)`\n\n```json\n(.*?)\n```", generated("examples"), re.DOTALL | re.MULTILINE))


TABLES = {"topics": topics_table(), "metrics": metrics_table(), "live": live_table()}


@pytest.mark.parametrize(("part", "table"), TABLES.items(), ids=TABLES)
def test_tables_are_those_of_the_contract(part: str, table: str) -> None:
    assert generated(part) == table


def test_every_topic_has_an_example_that_is_a_payload() -> None:
    shown = examples()
    for topic, text in shown.items():
        body = json.dumps(json.loads(text), separators=(",", ":")).encode()
        payload = decode(topic, body)
        assert json.loads(msgspec.json.encode(payload)) == json.loads(body), "no field that the contract does not know"
    assert {type(decode(topic, text.encode())) for topic, text in shown.items()} == {line.payload for line in TOPICS}


def test_every_envelope_field_is_explained() -> None:
    for field in contract.Envelope.__struct_fields__:
        assert f"`{field}`" in PAGE.read_text()
