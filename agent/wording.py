"""Why a JSON object from outside is none of ours, in one sentence for whoever wrote it. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import msgspec
from msgspec import inspect

_WORDS = {"str": "text", "float": "number", "int": "integer", "bool": "true or false", "array": "list"}
"""The library speaks of Python here and there; who asked wrote JSON."""


def fault_in(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """What does not fit, by the name of its field.

    >>> class Asked(msgspec.Struct, forbid_unknown_fields=True):
    ...     level: str
    >>> try:
    ...     msgspec.json.decode(b'{"lvel": 1}', type=Asked)
    ... except msgspec.ValidationError as error:
    ...     print(fault_in(error, Asked))
    unknown field 'lvel'; did you mean 'level'?
    """
    fault, _, place = str(error).partition(" - at ")
    place = place.strip("`").removeprefix("$").removeprefix(".")
    fields = {field.encode_name: field.type for field in _fields(kind)}
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", fault, re.DOTALL):
        return f"unknown field {found[1]!r}; {nearest(found[1], fields)}"
    if found := re.fullmatch(r"Object missing required field `(\w+)`", fault):
        return f"{found[1]!r} is missing"
    if not place and fault.startswith("Expected `object`"):
        return "it is no JSON object"
    allowed = _choices(fields[place]) if place in fields else []
    if fault.startswith("Invalid enum value") and allowed:
        return f"{place}: {fault.removeprefix('Invalid enum value ')} is none of {', '.join(map(str, allowed))}"
    return f"{place}: {re.sub(r'`([^`]*)`', _plain, fault[:1].lower() + fault[1:])}"


def nearest(word: str, known: Iterable[str]) -> str:
    """What was meant, or what there is."""
    names = list(known)
    near = difflib.get_close_matches(word[:100], names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"


def _fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    node = inspect.type_info(kind)
    return node.fields if isinstance(node, inspect.StructType) else ()


def _choices(node: inspect.Type) -> list[bool | str | int | None]:
    if isinstance(node, inspect.Metadata):
        return _choices(node.type)
    if isinstance(node, inspect.UnionType):
        return [choice for part in node.types for choice in _choices(part)]
    return list(node.values) if isinstance(node, inspect.LiteralType) else []


def _plain(quoted: re.Match[str]) -> str:
    return re.sub(r"\w+", lambda word: _WORDS.get(word[0], word[0]), quoted[1].removesuffix(" | null"))
