"""Which numbers a row stands for, exactly: a pack may have gaps. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from agent.publish.batch import unpack
from agent.publish.contract import Envelope
from agent.publish.rows import Row

Ranges = list[tuple[int, int]]
"""First and last ``seq`` of each."""


def ranges(row: Row) -> Ranges:
    """The numbers of a row; none for a payload without an envelope."""
    if not row.seq_last:
        return []
    if not row.lines or row.messages == row.seq_last - row.seq_first + 1:
        return [(row.seq_first, row.seq_last)]
    return of_pack(row.body) or [(row.seq_first, row.seq_last)]


def of_pack(body: bytes) -> Ranges:
    """The numbers of the windows in a pack; nothing where it is garbled."""
    try:
        windows = [msgspec.json.decode(line, type=Envelope) for line in unpack(body)]
    except (ValueError, msgspec.MsgspecError):
        return []
    return [(window.seq_first or window.seq, window.seq) for window in windows]


def shown(numbers: Iterable[int], most: int = 24) -> str:
    """Numbers as a person writes them; the newest, where there are many.

    >>> shown({1, 2, 3, 7, 9, 10})
    '1-3,7,9-10'
    >>> shown(range(1, 100, 2), most=2)
    '...,97,99'
    """
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] + 1 == number:
            found[-1][1] = number
        else:
            found.append([number, number])
    words = [str(first) if first == last else f"{first}-{last}" for first, last in found[-most:]]
    return ",".join((["..."] if len(found) > most else []) + words)
