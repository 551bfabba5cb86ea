"""The clock was set: what still waits gets the time that it would have got. Pure."""

from __future__ import annotations

import msgspec

from agent.publish.stamp import UNSYNCED_BEFORE_S
from agent.publish.topics import BY_CLASS


def restamp(cls: str, body: bytes, shift_s: float) -> bytes:
    """A payload of a class with its time moved by ``shift_s`` seconds.

    What was recorded before the board had learned the time is ``ok`` from now on; what had a time that turned out
    wrong is ``stepped``: right as far as the new time is. An empty payload has no time.
    """
    if not body or not shift_s:
        return body
    payload = msgspec.json.decode(body, type=BY_CLASS[cls].payload)
    ts = round(payload.ts + shift_s, 3)
    if ts < UNSYNCED_BEFORE_S:
        changed = msgspec.structs.replace(payload, ts=ts)
    else:
        changed = msgspec.structs.replace(payload, ts=ts, up=None, clk="ok" if payload.clk == "unsynced" else "stepped")
    return msgspec.json.encode(changed)
