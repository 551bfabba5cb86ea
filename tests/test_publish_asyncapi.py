"""The contract as documents: AsyncAPI by its own meta-schema, JSON Schemas, and the command that prints them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import ConfigError
from agent.publish import INBOUND, RAW, TOPICS, asyncapi, listing, schemas
from tests.contract_watch import complaint
from tests.test_publish_contract import NAMES, PAYLOADS

META = Path(__file__).parent / "fixtures" / "asyncapi" / "3.0.0.json"


@pytest.fixture(scope="module")
def meta() -> Draft7Validator:
    return Draft7Validator(json.loads(META.read_text()))


def resolved(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for word in reference.removeprefix("#/").split("/"):
        node = node[word]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def test_the_document_is_asyncapi_3(meta: Draft7Validator) -> None:
    assert not list(meta.iter_errors(asyncapi.document()))
    wrong = asyncapi.document()
    wrong["operations"]["send-state"]["action"] = "shout"
    assert list(meta.iter_errors(wrong)), "the meta-schema looks"


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi.document()
    for reference in references(document):
        assert resolved(document, reference)


def test_every_topic_is_a_channel_with_its_delivery() -> None:
    document = asyncapi.document()
    addresses = {channel["address"] for channel in document["channels"].values()}
    expected = {f"edge/v1/{{site}}/{{device}}/{line.pattern}" for line in (*TOPICS, *RAW)}
    assert addresses == expected | {f"edge/v1/{{site}}/{line.pattern}" for line in INBOUND}
    assert len(document["operations"]) == len(TOPICS) + len(RAW) + len(INBOUND), "no two topics share a name"
    for line in TOPICS:
        name = next(key for key, one in document["channels"].items() if one["address"].endswith(f"}}/{line.pattern}"))
        binding = document["operations"][f"send-{name}"]["bindings"]["mqtt"]
        assert (binding["qos"], binding["retain"]) == (line.qos, line.retain)


def test_every_schema_is_a_schema() -> None:
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("below", "payload"), PAYLOADS, ids=[below for below, _ in PAYLOADS])
def test_payloads_keep_their_schema_and_broken_ones_do_not(below: str, payload: msgspec.Struct) -> None:
    body = msgspec.json.encode(payload)
    assert not complaint(NAMES.topic(below), body)
    plain = json.loads(body)
    for broken in (plain | {"seq": "one"}, plain | {"unheard": 1}, {key: plain[key] for key in plain if key != "v"}):
        assert complaint(NAMES.topic(below), json.dumps(broken).encode())
    assert "not in the contract" in complaint(NAMES.topic(f"other/{below}"), body)


def test_topics_prints_a_table_lines_a_document_or_a_schema() -> None:
    def printed(*words: str) -> str:
        result = CliRunner().invoke(app, ["topics", *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert all(line.description in printed() for line in TOPICS)
    lines = [json.loads(line) for line in printed("--json").splitlines()]
    assert {line["schema"] for line in lines} >= {line.pattern for line in TOPICS} | {"cmd", "cmd-to-all"}
    assert printed("--asyncapi") == asyncapi.text()
    assert {line["topic"].rpartition("device}/")[2] for line in lines} > {line.pattern for line in RAW}
    for line in lines:
        if line["payload"] in {"Batch", "Jpeg"}:
            assert not line["schema"]
            continue  # no JSON: the schema of each line in a batch is its kind's
        assert printed("--schema", line["schema"]) == json.dumps(listing.schema_of(line["schema"])) + "\n"


def test_an_unknown_topic_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no topic is called 'm/pref'; did you mean m/perf"):
        listing.schema_of("m/pref")


@pytest.mark.parametrize(
    ("name", "what"),
    [("mb", "a batch of m/"), ("mh", "a batch of m/"), ("mh/{kind}", "a batch"), ("image", "a bare JPEG")],
)
def test_what_is_no_json_has_no_schema_and_is_said_to_be_there(name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"{re.escape(name)} has no schema of its own: it is {what}"):
        listing.schema_of(name)
