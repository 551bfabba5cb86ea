"""One message that must arrive, as it waits; and windows that wait together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from agent.publish.batch import pack

ROW_OVERHEAD_BYTES = 250
"""What Python needs for a row beside its topic and body (64-bit CPython 3.11: the objects' and the dict's share)."""

PACK_LINES = 32
"""Windows that wait together at most: a few kilobytes, which any broker takes as one message."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message that must arrive.

    Attributes:
        cls: delivery class.
        topic: the whole topic.
        body: payload; windows as they are stored, with every sketch; of a pack, such windows deflated.
        queued_s: monotonic time at which it was put in.
        seq_first, seq_last: what it stands for in its class; both 0 for a payload without an envelope.
        retain: the broker keeps it.
        mergeable: a window, that a neighbour can take in.
        lines: windows in a pack; 0 for a single message.
        count: how many messages a pack stands for; there may be gaps in it.
        disk: its number on the disk; 0: it is in memory only.
        former: made by a former start of the agent.
        shift_s: of a pack, seconds to be added to its times.
    """

    cls: str
    topic: str
    body: bytes
    queued_s: float
    seq_first: int = 0
    seq_last: int = 0
    retain: bool = False
    mergeable: bool = False
    lines: int = 0
    count: int = 0
    disk: int = 0
    former: bool = False
    shift_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        """Memory it takes."""
        return len(self.topic) + len(self.body) + ROW_OVERHEAD_BYTES

    @property
    def messages(self) -> int:
        """How many it stands for."""
        return self.count or self.seq_last - self.seq_first + 1


Merge = Callable[[Row, Row], Row | None]
"""Makes one row of two neighbours, the older first; None where that would say something untrue."""


def packed(rows: Sequence[Row], prefix: str) -> list[Row]:
    """Windows as packs, class by class in their order, on the topics of the backlog below ``prefix``."""
    packs = []
    for cls, group in groupby(sorted(rows, key=lambda row: row.cls), key=lambda row: row.cls):
        members = list(group)
        topic = f"{prefix}/mh/{cls.removeprefix('m/')}"
        packs += [_as_pack(members[at : at + PACK_LINES], topic) for at in range(0, len(members), PACK_LINES)]
    return packs


def unlend(row: Row) -> Row:
    """The row, as if it had never been on the disk: the file is gone."""
    return replace(row, disk=0)


def _as_pack(rows: list[Row], topic: str) -> Row:
    return Row(
        cls=rows[0].cls,
        topic=topic,
        body=pack([row.body for row in rows]),
        queued_s=rows[0].queued_s,
        seq_first=rows[0].seq_first,
        seq_last=rows[-1].seq_last,
        lines=len(rows),
        count=sum(row.messages for row in rows),
    )
