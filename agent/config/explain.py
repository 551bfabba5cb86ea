"""The settings as a table for people: what ``config explain``, ``config init`` and ``docs/settings.md`` print."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from agent.config.tables import Config


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One row of the settings table.

    Attributes:
        key: dotted name, as in ``camera.stall_s``; ``zones[].name`` inside a list of tables.
        kind: the type, in words.
        default: the default as TOML; empty when there is none, or when the whole table is optional.
        allowed: range or choices; empty when anything of the type goes.
        unit: ``s``, ``bytes``...; empty for none.
        description: the sentence.
    """

    key: str
    kind: str
    default: str
    allowed: str
    unit: str
    description: str


def settings() -> Iterator[Setting]:
    """Every setting, in the order of the file."""
    yield from _rows(inspect.type_info(Config), "")


def template() -> str:
    """A configuration file in which every setting stands commented out with its default."""
    unset = set(_plain_unset(inspect.type_info(Config), ""))
    lines = ["# edge-agent. Every setting with its default; take away the # to change one."]
    table = ""
    for row in settings():
        name, _, key = row.key.rpartition(".")
        if not row.default and ("[]" in row.key or row.key not in unset):
            continue
        if name != table:
            table = name
            lines += ["", f"[{name}]"]
        value = f" {row.default}" if row.default else f"    # unset: {row.kind}"
        lines += [f"# {row.description}{_limits(row)}", f"#{key} ={value}"]
    return "\n".join(lines) + "\n"


def _plain_unset(node: inspect.Type, prefix: str) -> Iterator[str]:
    """Settings without a value, in the tables that are always there."""
    for field in fields_of(node):
        inner = unwrap(field.type)[0]
        if fields_of(inner):
            if field.default is not None:
                yield from _plain_unset(inner, f"{prefix}{field.encode_name}.")
        elif field.default is None and not isinstance(inner, inspect.ListType | inspect.VarTupleType):
            yield f"{prefix}{field.encode_name}"


def _limits(row: Setting) -> str:
    return f" ({row.allowed})" if row.allowed else ""


def _rows(node: inspect.Type, prefix: str, *, optional: bool = False) -> Iterator[Setting]:
    sentences = _attributes(node)
    for field in fields_of(node):
        key = f"{prefix}{field.encode_name}"
        inner, meta = unwrap(field.type)
        item = unwrap(inner.item_type)[0] if isinstance(inner, (inspect.ListType, inspect.VarTupleType)) else inner
        if fields_of(item):
            many = "[]" if item is not inner else ""
            yield from _rows(item, f"{key}{many}.", optional=optional or bool(many) or field.default is None)
        else:
            row = _row(key, field, inner, {"description": sentences.get(field.name, "")} | meta)
            yield dataclasses.replace(row, default="") if optional else row


def _attributes(node: inspect.Type) -> dict[str, str]:
    """The ``Attributes:`` of a record's docstring: records know no library, so their sentences stand there."""
    text = (isinstance(node, inspect.DataclassType) and node.cls.__doc__) or ""
    section = textwrap.dedent(text.partition("Attributes:\n")[2])
    entries = re.findall(r"^(\w+): (.+(?:\n +.+)*)", section, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", f"{text[0].upper()}{text[1:]}").replace("``", "") for name, text in entries}


def _row(key: str, field: inspect.Field, inner: inspect.Type, meta: dict[str, Any]) -> Setting:
    default = field.default if field.default is not msgspec.NODEFAULT else None
    if default is None and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return Setting(
        key=key,
        kind=_kind(inner),
        default="" if default is None else _toml(default),
        allowed=_allowed(inner),
        unit=meta.get("unit", ""),
        description=meta.get("description", ""),
    )


def fields_of(node: inspect.Type) -> tuple[inspect.Field, ...]:
    """The fields of a table type; none for anything else."""
    if isinstance(node, (inspect.StructType, inspect.DataclassType)):
        return node.fields
    return ()


def unwrap(node: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """A type without its notes and without ``| None``, and the notes: ``description``, ``unit``."""
    meta: dict[str, Any] = {}
    while True:
        if isinstance(node, inspect.Metadata):
            meta |= (node.extra_json_schema or {}) | (node.extra or {})
            node = node.type
        elif isinstance(node, inspect.UnionType):
            node = next(kind for kind in node.types if not isinstance(kind, inspect.NoneType))
        else:
            return node, meta


def _kind(node: inspect.Type) -> str:
    names = {
        inspect.StrType: "text",
        inspect.IntType: "integer",
        inspect.FloatType: "number",
        inspect.BoolType: "true or false",
        inspect.LiteralType: "choice",
        inspect.DictType: "table",
    }
    if isinstance(node, inspect.ListType):
        return f"list of {_kind(unwrap(node.item_type)[0])}"
    if isinstance(node, (inspect.TupleType, inspect.VarTupleType)):
        return "list"
    return names.get(type(node), "value")


def _allowed(node: inspect.Type) -> str:
    if isinstance(node, inspect.LiteralType):
        return ", ".join(str(value) for value in node.values)
    limits = []
    for name, words in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        value = getattr(node, name, None)
        if value is not None:
            limits.append(f"{words} {value:g}")
    return ", ".join(limits)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return msgspec.json.encode(value).decode()
