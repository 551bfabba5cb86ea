"""The typical light of a reference as a short text, for a record: 64 grey levels a channel, whole ones. Pure."""

from __future__ import annotations

import base64

import numpy as np

from agent.recalibrate.levels import LEVELS, Light, Reals

CHARACTERS = 240
"""Of the text: 192 bytes in base85, which needs no escape in JSON."""


def pack(light: Light) -> str:
    """Of the frames that show something; empty where none does."""
    shown = light.some(light.shows)
    if not len(shown):
        return ""
    return base64.b85encode(np.rint(np.clip(shown.typical(), 0, 255)).astype(np.uint8).tobytes()).decode()


def unpack(text: str) -> Reals:
    """The levels again, (3, 64), within half a grey level.

    Raises:
        ValueError: it is no such text.
    """
    if len(text) != CHARACTERS:
        raise ValueError(f"typical light of {len(text)} characters; it has {CHARACTERS}")
    levels = np.frombuffer(base64.b85decode(text), np.uint8).reshape(3, LEVELS).astype(np.float64)
    if (np.diff(levels, axis=1) < 0).any():
        raise ValueError("typical light whose levels do not ascend")
    return levels
