"""Why JSON from outside is none of ours, in one sentence for whoever wrote it. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import msgspec
from msgspec import inspect

_WORDS = {"str": "text", "float": "number", "int": "integer", "bool": "true or false", "array": "list"}
"""The library speaks of Python here and there; who asked wrote JSON."""

_FORMS = {
    r"^[a-z0-9-]{1,64}\Z": "a-z, 0-9 and - only, 1 to 64",
    r"^[a-z0-9][a-z0-9._-]{0,63}$": "a-z, 0-9, ., _ and - only, 1 to 64, beginning with a letter or digit",
    r"^[0-9a-f]{64}$": "64 digits of a sha256, 0-9 and a-f",
    r"^[0-9a-f]{64}\Z": "64 digits of a sha256, 0-9 and a-f",
}
"""A regular expression is no sentence."""


def no_json(error: Exception, kind: type) -> str:
    """Why bytes are no JSON of this kind, whatever the decoder raised.

    Args:
        error: a ``MsgspecError``, ``UnicodeDecodeError`` or ``RecursionError``.
        kind: what was to be read.
    """
    if isinstance(error, msgspec.ValidationError):
        return fault_in(error, kind)
    return "it is nested too deep" if isinstance(error, RecursionError) else "it is no JSON"


def fault_in(error: msgspec.ValidationError, kind: type) -> str:
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
    front = f"{place}: " if place else ""
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", fault, re.DOTALL):
        return f"{front}unknown field {found[1]!r}" + ("" if place else f"; {nearest(found[1], fields)}")
    if found := re.fullmatch(r"Object missing required field `(\w+)`", fault):
        return f"{front}{found[1]!r} is missing"
    if not place and fault.startswith("Expected `object`"):
        return "it is no JSON object"
    if found := re.search(r"matching regex '(.*)'", fault, re.DOTALL):
        form = _FORMS.get(found[1].replace(r"\\", "\\"))
        return front + (f"must be {form}" if form else "is not of the right form")
    allowed = _choices(fields[place]) if place in fields else []
    if fault.startswith("Invalid enum value") and allowed:
        return f"{front}{fault.removeprefix('Invalid enum value ')} is none of {', '.join(map(str, allowed))}"
    return f"{front}{re.sub(r'`([^`]*)`', _plain, fault[:1].lower() + fault[1:])}"


def nearest(word: str, known: Iterable[str]) -> str:
    """What was meant, or what there is."""
    names = list(known)
    near = difflib.get_close_matches(word[:100], names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"


def _fields(kind: type) -> tuple[inspect.Field, ...]:
    node = inspect.type_info(kind)
    return node.fields if isinstance(node, inspect.StructType | inspect.DataclassType) else ()


def _choices(node: inspect.Type) -> list[bool | str | int | None]:
    if isinstance(node, inspect.Metadata):
        return _choices(node.type)
    if isinstance(node, inspect.UnionType):
        return [choice for part in node.types for choice in _choices(part)]
    return list(node.values) if isinstance(node, inspect.LiteralType) else []


def _plain(quoted: re.Match[str]) -> str:
    return re.sub(r"\w+", lambda word: _WORDS.get(word[0], word[0]), quoted[1].removesuffix(" | null"))
