"""Wrong values of options in plain words: Typer hands the sentences of pydantic on, which speak of its own."""

from __future__ import annotations

import re
from typing import Any

import typer
import typer.core

_WORDS = (
    (r"Value error, ", ""),
    (r"Input should be a valid number, .*", "is no number"),
    (r"Input should be a valid integer, .*", "is no whole number"),
    (r"Input should be a finite number", "is no number to work with"),
    (r"Input should be greater than or equal to ", "must be at least "),
    (r"Input should be less than or equal to ", "must be at most "),
    (r"Input should be ", "must be "),
)


class PlainGroup(typer.core.TyperGroup):
    """A group of commands whose refusals are plain."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = plain(error.message)
            raise


def plain(sentence: str) -> str:
    """A library's sentence about a value, as a person says it.

    >>> plain("Input should be greater than or equal to 1")
    'must be at least 1'
    >>> plain("Value error, 'server' is not one of 'offline', 'camera'.")
    "'server' is not one of 'offline', 'camera'."
    """
    for pattern, words in _WORDS:
        sentence = re.sub(f"^{pattern}", words, sentence, flags=re.DOTALL)
    return sentence
