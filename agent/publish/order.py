"""What is sent next, from all that waits: notices, live windows, and the backlog at its leisure. No I/O of its own.

Notices (alarms, events, replies) go first, oldest first, what a former start left before our own. Live windows follow,
the newest first: each alone, or (profiles ``normal`` and ``metered``) all together each so many seconds. What waited
through an outage comes last, oldest first, one pack at a time and no faster than a setting says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from agent.publish import batch, stored
from agent.publish.outbox import Row
from agent.publish.profile import Profile
from agent.publish.restamp import restamp
from agent.publish.spool import Spool
from agent.publish.topics import BY_CLASS, packet_bytes

log = logging.getLogger("agent.publish")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message on its way.

    Attributes:
        cls: whose bytes it is counted under: a delivery class, ``mb`` or ``mh``.
        topic: the whole topic.
        body: the payload.
        retain: the broker keeps it.
        numbers: rows of the outbox that leave with its acknowledgement.
    """

    cls: str
    topic: str
    body: bytes
    retain: bool
    numbers: tuple[int, ...]


class Order:
    """Owned by the mqtt thread.

    Args:
        spool: what waits.
        profile: how windows travel.
        prefix: of our topics.
        clock: monotonic seconds.
        backlog_bytes_s: most of the backlog that is sent in a second.
    """

    def __init__(
        self, spool: Spool, profile: Profile, prefix: str, clock: Callable[[], float], backlog_bytes_s: float
    ) -> None:
        self.is_hurried = False
        self._spool = spool
        self._profile = profile
        self._prefix = prefix
        self._clock = clock
        self._backlog_bytes_s = backlog_bytes_s
        self._batch_from_s = 0.0
        self._pack_from_s = 0.0

    def set_profile(self, profile: Profile) -> None:
        """How windows travel from now on; what waits for its batch goes at once."""
        self._profile = profile
        self._batch_from_s = 0.0

    def next(self, max_packet_bytes: int) -> Parcel | None:
        """The next message, in flight from now on; None when nothing may be sent now.

        What is larger than the broker takes is given up, and counted.
        """
        self._spool.lend()
        while (taken := self._spool.outbox.next(windows=not self._profile.batch_s)) is not None:
            number, row = taken
            body = stored.to_wire(row)
            if packet_bytes(row.topic, body, qos=1) <= max_packet_bytes:
                # a former start's alarm is news, and no longer what holds
                is_kept = BY_CLASS[row.cls].retain and not row.former
                return Parcel(row.cls, row.topic, body, is_kept, (number,))
            self._spool.give_up(number)
            _say_too_large(row.topic, max_packet_bytes)
        return self._next_batch(max_packet_bytes) or self._next_pack(max_packet_bytes)

    def _next_batch(self, max_packet_bytes: int) -> Parcel | None:
        """All live windows; where they don't fit into one message, the newest of them."""
        windows = self._spool.outbox.windows()
        if not self._profile.batch_s or not windows or (self._clock() < self._batch_from_s and not self.is_hurried):
            return None
        topic = f"{self._prefix}/mb"
        lines = [batch.line(row.cls, stored.to_wire(row)) for _, row in windows]
        count, body = batch.parts(lines, lambda body: packet_bytes(topic, body, qos=1) <= max_packet_bytes)[-1]
        numbers = [number for number, _ in windows[-count:]]
        self._spool.outbox.fly(numbers)
        if packet_bytes(topic, body, qos=1) > max_packet_bytes:
            for number in numbers:
                self._spool.give_up(number)
            _say_too_large(topic, max_packet_bytes)
            return None
        if count == len(windows):
            self._batch_from_s = (self._clock() // self._profile.batch_s + 1) * self._profile.batch_s
        return Parcel("mb", topic, body, False, tuple(numbers))

    def _next_pack(self, max_packet_bytes: int) -> Parcel | None:
        """The oldest pack, when it is time for one and none is on its way."""
        if self._clock() < self._pack_from_s or self._spool.outbox.is_pack_flying:
            return None
        if self.is_hurried and self._spool.is_safe:
            return None
        while (taken := self._spool.outbox.next_pack()) is not None:
            number, row = taken
            found = self._parts(row, max_packet_bytes)
            if len(found) > 1:
                self._spool.outbox.split(number, found)
                continue
            if not found or packet_bytes(row.topic, found[0].body, qos=1) > max_packet_bytes:
                self._spool.give_up(number)
                _say_too_large(row.topic, max_packet_bytes) if found else _say_garbled(row)
                self._spool.lend()
                continue
            size = packet_bytes(row.topic, found[0].body, qos=1)
            self._pack_from_s = max(self._pack_from_s, self._clock() - 1.0) + size / self._backlog_bytes_s
            return Parcel("mh", row.topic, found[0].body, False, (number,))
        return None

    def _parts(self, row: Row, max_packet_bytes: int) -> list[Row]:
        """The pack as it is sent, where it fits into a message; else as packs that do; nothing when it is garbled."""
        try:
            stored_lines = [restamp(row.cls, line, row.shift_s) for line in batch.unpack(row.body)]
            lines = [batch.line(row.cls, stored.slim(row.cls, line)) for line in stored_lines]
        except (ValueError, msgspec.MsgspecError):
            return []
        found = batch.parts(lines, lambda body: packet_bytes(row.topic, body, qos=1) <= max_packet_bytes)
        if len(found) == 1:
            return [replace(row, body=found[0][1])]
        rows, start = [], 0
        for count, _ in found:
            part = batch.pack(stored_lines[start : start + count])
            start += count
            messages = sum(map(stored.messages, stored_lines[start - count : start]))
            rows.append(replace(row, body=part, lines=count, count=messages, disk=0, shift_s=0.0))
        # the row on the disk goes with its last part
        return [*rows[:-1], replace(rows[-1], disk=row.disk)]


def _say_too_large(topic: str, max_packet_bytes: int) -> None:
    log.warning("%s: the broker takes no more than %d bytes: dropped", topic, max_packet_bytes)


def _say_garbled(row: Row) -> None:
    log.error("%s: %d windows on the disk cannot be read any more: dropped", row.topic, row.messages)
