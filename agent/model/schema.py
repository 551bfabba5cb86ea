"""The JSON Schemas of what is told of a file; ``docs/schemas/`` are made from them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from agent.model.diff import Diff
from agent.model.page import Page

_NAMES: dict[type[msgspec.Struct], str] = {Page: "model-show", Diff: "model-diff"}


def schema_of(record: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema (2020-12) of :class:`Page` or :class:`Diff`."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"edge-agent {_NAMES[record]}"}
    return {**head, **msgspec.json.schema(record)}


def schema_files() -> dict[str, str]:
    """Name of the file -> its text."""
    return {f"schemas/{name}.json": json.dumps(schema_of(record), indent=1) + "\n" for record, name in _NAMES.items()}
