"""What waits, in memory and on the disk: what is saved when, and what happens when the disk does not take it.

Owned by the mqtt thread. While the broker listens, windows stay in memory. They are saved, in batches, when it does
not, when they become old, and at the stop; what must not be lost (alarms, events, replies) is saved before it is sent,
all that came in together in one transaction. A row is deleted when the broker has acknowledged it, never before.

A disk that is full, read-only or gone changes nothing but that: everything waits in memory, and is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.publish.entries import Entries
from agent.publish.gather import Gather
from agent.publish.outbox import MAX_MERGED, Outbox, OutboxCounts
from agent.publish.profile import Limits
from agent.publish.restamp import restamp
from agent.publish.rows import Row, packed, unlend
from agent.publish.stamp import UNSYNCED_BEFORE_S
from agent.publish.store import Entry, Gone, Store
from agent.publish.stored import thin
from agent.publish.topics import BY_CLASS
from agent.sqlite import Disk, DiskCounts

log = logging.getLogger("agent.publish")

SAVE_S = 300.0
"""Windows are saved together, this often: an SD card dies of one commit each."""

FORGET_S = 30.0
EXPIRE_S = 600.0
MOST_DONE = 256
MOST_LENT = 64


class Spool:
    """The outbox, what is not full yet, and the file behind them.

    Attributes:
        outbox: rows in memory.
        on_damage: told the name that a corrupt file has now; nothing where the file had gone.
        on_trouble: told in a sentence that the disk takes nothing any more; an empty one when that is over.

    Args:
        outbox: rows in memory.
        gather: windows that grow.
        store: the file; None: everything stays in memory.
        clock: monotonic seconds.
        wall: unix seconds, a label.
        boot: this start of the agent.
        prefix: of our topics; what another device left in the file is not ours to send.
        limits: how much, and how long.
    """

    def __init__(
        self,
        outbox: Outbox,
        gather: Gather,
        store: Store | None,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        boot: str,
        prefix: str,
        limits: Limits,
    ) -> None:
        self.outbox = outbox
        self.on_damage: Callable[[str], None] = lambda _name: None
        self.on_trouble: Callable[[str], None] = lambda _why: None
        self._gather = gather
        self._disk = Disk(
            store,
            clock,
            "what waits for the broker",
            on_open=self._adopt,
            on_size=Store.totals,
            on_damage=self._damaged,
            on_trouble=self._troubled,
        )
        self._entries = Entries(boot, clock, wall)
        self._clock = clock
        self._wall = wall
        self._boot = boot
        self._prefix = prefix
        self._limits = limits
        self._fresh: list[Row] = []
        self._done: list[int] = []
        self._forget_from_s = self._expire_from_s = clock()
        self._unsaved_since_s: float | None = None
        self._last_notice = self._last_pack = 0
        self._maybe_notices = self._maybe_packs = self._disk.exists

    def set_pace(self, length_s: Callable[[str], float], live_s: float) -> None:
        """How long windows of a class are made from now on, and how long they count as live."""
        self._gather.set_length(length_s)
        self._limits = replace(self._limits, live_s=live_s)

    def put(self, row: Row) -> None:
        """Takes a row in; a notice is on the disk after the next :meth:`turn`."""
        if row.mergeable:
            self._gather.put(row)
        elif self._disk.exists:
            self._fresh.append(row)
        else:
            self.outbox.put(row)

    def turn(self, *, connected: bool) -> None:
        """What is due: call it after rows were put in, and every now and then."""
        now_s = self._clock()
        self._gather.tick(now_s)
        self._disk.is_usable()  # one that failed is tried again, and said to be well, though nothing is to be saved
        self._save_notices()
        if connected:
            self._retire(now_s - self._limits.live_s)
        elif self._is_window_due(now_s):
            self._save_all()
        if self._done and (len(self._done) >= MOST_DONE or now_s >= self._forget_from_s):
            self._forget(now_s)
        if now_s >= self._expire_from_s:
            self._expire(now_s)

    def lend(self) -> None:
        """Puts what lies on the disk into the outbox, to be sent: notices first, and one pack."""
        if self._maybe_notices and not self.outbox.has_notices:
            found = self._disk.look(lambda store: store.notices(self._last_notice, MOST_LENT))
            self._maybe_notices = found is None or bool(found)
            for number, entry in found or ():
                self._last_notice = number
                self._lend(number, entry, self._entries.notice)
        if self._maybe_packs and not self.outbox.has_packs:
            found = self._disk.look(lambda store: store.packs(self._last_pack, 1))
            self._maybe_packs = found is None or bool(found)
            for number, entry in found or ():
                self._last_pack = number
                self._lend(number, entry, self._entries.pack)

    def acked(self, number: int) -> Row:
        """The broker has it: the row leaves the memory, and soon the disk."""
        return self._leave(self.outbox.acked(number))

    def give_up(self, number: int) -> Row:
        """It can never be sent: the row leaves, and counts as dropped."""
        return self._leave(self.outbox.give_up(number))

    def flush(self) -> None:
        """Before a stop: what was still growing is to be sent as it is."""
        self._gather.flush()

    def close(self) -> None:
        """The end: what the broker has not acknowledged goes to the disk."""
        self._gather.flush()
        self._save_notices()
        self.outbox.requeue()
        self._save_all()
        self._forget(self._clock())
        self._disk.close()
        self.outbox.tally.clean()
        self.outbox.tally.close()

    def shift(self, seconds: float) -> None:
        """The clock was set by so much: what still waits gets the time that is right now."""

        def shifted(row: Row) -> Row:
            if row.former:
                return row
            if row.lines:
                return replace(row, shift_s=row.shift_s + seconds)
            return replace(row, body=restamp(row.cls, row.body, seconds))

        self.outbox.change(shifted)
        self._gather.replace(shifted)
        self._fresh = [shifted(row) for row in self._fresh]
        self._disk.attempt(lambda store: store.shift(self._boot, seconds))

    def count_dropped(self, cls: str, messages: int = 1) -> None:
        """Counts a loss that happened before a row was made."""
        self.outbox.count_dropped(cls, messages)

    @property
    def is_sent(self) -> bool:
        """Nothing waits but what may wait on the disk: packs."""
        return self.outbox.is_sent and not (self._fresh or self._has_more_notices)

    @property
    def is_former_told(self) -> bool:
        """Nothing that must not be lost is left of a former start: it comes before all of ours."""
        return not self.outbox.has_former and (self.outbox.has_notices or not self._has_more_notices)

    @property
    def is_safe(self) -> bool:
        """What waits can be saved."""
        return self._disk.is_usable()

    @property
    def is_readable(self) -> bool:
        """What lies on the disk can be looked at, or there is no disk."""
        return not self._disk.exists or self._disk.is_usable()

    @property
    def is_notice_at_risk(self) -> bool:
        """Something that must not be lost is in memory only."""
        return bool(self._fresh) or self.outbox.is_notice_at_risk

    def on_disk(self, boot: str) -> dict[str, set[int]]:
        """The numbers that lie on the disk of a start of the agent, by class."""
        return self._disk.look(lambda store: store.of_boot(boot)) or {}

    def counts(self) -> OutboxCounts:
        """As of the outbox, with what is not in it yet, and what lies on the disk only."""
        counts, disk = self.outbox.counts(), self._disk.counts()
        rows = [*self._fresh, *self._gather.rows()]
        disk_only = max(0, disk.rows - len(self.outbox.lent) - len(self._done))
        ages = [row.queued_s for row in rows] + ([] if counts.oldest_s is None else [counts.oldest_s])
        return replace(
            counts,
            rows=counts.rows + len(rows) + disk_only,
            bytes=counts.bytes + sum(row.size_bytes for row in rows),
            oldest_s=min(ages, default=None),
        )

    def disk(self) -> DiskCounts:
        """How the disk is used."""
        return self._disk.counts()

    @property
    def _has_more_notices(self) -> bool:
        return self._maybe_notices and self._disk.is_usable()

    def _lend(self, number: int, entry: Entry, make: Callable[[int, Entry], Row]) -> None:
        if entry.cls in BY_CLASS and entry.topic.startswith(self._prefix):
            self.outbox.put(make(number, entry))
            return
        self._done.append(number)  # of a later version of the agent, or garbled
        self.outbox.count_dropped(entry.cls, entry.messages)

    def _leave(self, row: Row) -> Row:
        if row.disk:
            self._done.append(row.disk)
        return row

    def _save_notices(self) -> None:
        rows, self._fresh = self._fresh, []
        if self._disk.is_usable():  # where it was not, what came meanwhile goes first
            rows = self.outbox.take_out_notices() + rows
        if not rows or self._save(rows):
            return
        for row in rows:
            self.outbox.put(row)

    def _is_window_due(self, now_s: float) -> bool:
        """Windows wait in memory for long enough, or have begun to fill it."""
        if not self._disk.exists:
            return False
        if not self.outbox.is_unsaved:
            self._unsaved_since_s = None
            return False
        if self._unsaved_since_s is None:
            self._unsaved_since_s = now_s
        return now_s - self._unsaved_since_s >= SAVE_S or self.outbox.is_filling

    def _save_all(self) -> None:
        """Everything that is in memory only goes to the disk; where it cannot, it comes back."""
        self._unsaved_since_s = None
        rows = self.outbox.take_out() if self._disk.is_usable() else []
        singles = [row for row in rows if not row.mergeable]
        packs = packed([row for row in rows if row.mergeable], self._prefix)
        if rows and not self._save([*singles, *packs]):
            for row in rows:
                self.outbox.put(row)

    def _retire(self, before_s: float) -> None:
        """Windows that are live no longer become packs, on the disk or (where there is none) in memory."""
        old = [number for number, row in self.outbox.windows() if row.queued_s < before_s]
        if not old:
            return
        packs = packed(self.outbox.take_out(old), self._prefix)
        if not self._save(packs):
            for row in packs:
                self.outbox.put(row)

    def _save(self, rows: Sequence[Row]) -> bool:
        """Whether they are on the disk now, within its bound."""
        entries = [self._entries.of(row) for row in rows]
        saved = self._disk.attempt(lambda store: store.add(entries))
        if saved is None:
            return False
        self._disk.took()
        self._maybe_notices = self._maybe_notices or any(not row.lines for row in rows)
        self._maybe_packs = self._maybe_packs or any(row.lines for row in rows)
        self._disk.attempt(self._make_room)
        return True

    def _make_room(self, store: Store) -> None:
        busy = self.outbox.lent
        if store.totals()[1] > self._limits.disk_bytes and self._done:
            store.forget(self._done)
            self._done.clear()
        while store.totals()[1] > self._limits.disk_bytes:
            merged = store.thin(thin, MAX_MERGED, busy)
            self.outbox.count_merged(merged)
            if merged:
                continue
            dropped = store.drop(busy)
            if dropped is None:
                return
            self._count_gone([dropped])

    def _forget(self, now_s: float) -> None:
        done = list(self._done)
        if done and self._disk.attempt(lambda store: store.forget(done)) is not None:
            self._forget_from_s = now_s + FORGET_S
            del self._done[: len(done)]

    def _expire(self, now_s: float) -> None:
        self._expire_from_s = now_s + EXPIRE_S
        self._forget(now_s)
        self.outbox.expire(now_s - self._limits.max_age_s)
        before_s = self._wall() - self._limits.max_age_s
        if before_s > UNSYNCED_BEFORE_S:
            busy = self.outbox.lent
            self._count_gone(self._disk.attempt(lambda store: store.expire(UNSYNCED_BEFORE_S, before_s, busy)) or [])

    def _adopt(self, store: Store) -> None:
        """What another device left in the file is not ours to send."""
        lost = store.adopt(self._prefix)
        if lost:
            log.error("what another device left in the state directory is thrown away: %s", dict(lost))
        for cls, messages in lost.items():
            self.outbox.count_dropped(cls, messages)

    def _count_gone(self, gone: list[Gone]) -> None:
        for each in gone:
            if each.boot == self._boot:
                self.outbox.tally.done(each.cls, [(each.seq_first, each.seq_last)])
            self.outbox.count_dropped(each.cls, each.messages)

    def _damaged(self, moved: str) -> None:
        """The file begins anew: numbers on the disk mean nothing any more."""
        self.outbox.change(unlend)
        self._done.clear()
        self._rewind()
        self.on_damage(moved)

    def _troubled(self, why: str) -> None:
        self.on_trouble(why)

    def _rewind(self) -> None:
        self._last_notice = self._last_pack = 0
        self._maybe_notices = self._maybe_packs = self._disk.exists
