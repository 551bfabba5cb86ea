"""What is said to the broker, in which order, and what came back: the judgement of the mqtt thread, without I/O.

Cards (last values) go first, then rows of the outbox, which leave it only when the broker has acknowledged them. At
most ``window`` messages are unacknowledged at a time; one that stays so past its deadline makes the connection
overdue, whatever the socket says: QoS 1 is only ever repeated on a new connection.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from agent.publish.build import spool_in_memory
from agent.publish.cards import Cards
from agent.publish.contract import QueueCard, StateName, Totals
from agent.publish.hearing import Hearing
from agent.publish.home_assistant import CLS as HOME
from agent.publish.home_assistant import Announcer
from agent.publish.inbox import AlarmChange, Happening, Inbox, Pace, StateChange
from agent.publish.intake import Intake
from agent.publish.link import Accepted, Acked, Link, Received, Subscribed, Will
from agent.publish.order import Order, Parcel
from agent.publish.outbox import Outbox, Row
from agent.publish.profile import AS_MEASURED, Profile
from agent.publish.reckoning import Reckoning
from agent.publish.spool import Spool
from agent.publish.stamp import Stamper
from agent.publish.topics import DELIVERY, PATTERNS, Names, packet_bytes
from agent.records import Command, Desired

log = logging.getLogger("agent.publish")

ACK_DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True)
class Flight:
    """An unacknowledged message; ``numbers`` are its rows in the outbox, none for a card."""

    cls: str
    deadline_s: float
    numbers: tuple[int, ...] = ()


class Session:
    """Owned by the mqtt thread; outlives connections, and the thread itself should it die.

    Attributes:
        refusals: what the broker does not let us publish, by class.
        hearing: takes in what the broker sends us.
        reckoning: tells what former starts have lost.
    """

    def __init__(
        self,
        names: Names,
        outbox: Outbox,
        stamper: Stamper,
        clock: Callable[[], float],
        *,
        spool: Spool | None = None,
        profile: Profile = AS_MEASURED,
        backlog_bytes_s: float = math.inf,
        ack_deadline_s: float = ACK_DEADLINE_S,
        on_command: Callable[[Command], None] | None = None,
        on_delivered: Callable[[str, str], None] | None = None,
        on_desired: Callable[[Desired], None] | None = None,
        home: Announcer | None = None,
    ) -> None:
        self.refusals: dict[str, str] = {}
        self._names = names
        self._spool = spool or spool_in_memory(outbox, clock, names.prefix)
        self._spool.on_damage = self._on_damage
        self._spool.on_trouble = self._on_trouble
        self._order = Order(self._spool, profile, names.prefix, clock, backlog_bytes_s)
        self._stamper = stamper
        self._clock = clock
        self._ack_deadline_s = ack_deadline_s
        self._on_delivered = on_delivered
        self._home = home
        self._cards = Cards(names, stamper, home)
        self._intake = Intake(names, stamper, self._cards, self._spool, clock)
        self.reckoning = Reckoning(self._spool, clock)
        self.hearing = Hearing(
            names,
            stamper.boot,
            self._cards,
            self._intake,
            clock,
            is_state_said=self.is_state_said,
            on_command=on_command,
            on_desired=on_desired,
            home=home,
        )
        self._flights: dict[int, Flight] = {}
        self._limits: Accepted | None = None
        self._published = self._acked = 0
        self._refused: Counter[str] = Counter()
        self._bytes_out: Counter[str] = Counter()
        self._stale_alarms: set[str] = set()
        self._was_synced = stamper.is_synced

    def take_in(self, inbox: Inbox) -> None:
        """Takes in what was handed over so far, and counts what was lost on the way."""
        for cls, count in inbox.take_losses().items():
            self._spool.count_dropped(cls, count)
        self._check_clock()
        self._right_stale_alarms()
        self.reckoning.turn(self._intake.take)
        for _ in range(len(inbox)):
            item = inbox.pop()
            if isinstance(item, Pace):
                self._order.set_profile(item.profile)
                self._spool.set_pace(item.profile.length_s, item.live_s)
            elif item is not None:
                self._intake.take(item)
        self._spool.turn(connected=self._limits is not None)
        self.reckoning.settle()

    def recover(self) -> None:
        """The thread died over something: it is not tried again."""
        self._intake.recover()

    def will(self, conn: int) -> Will:
        """What the broker shall say when the connection ``conn`` dies without a goodbye."""
        return self._cards.will(conn)

    def say(self, state: StateName) -> None:
        """Sets the state from within: the last one, ``offline``."""
        self._cards.set_state(StateChange(state))

    def hurry(self) -> None:
        """A stop is near: nothing waits for its time any more."""
        self._spool.flush()
        self._order.is_hurried = True

    def close(self) -> None:
        """The end: what the broker has not acknowledged is saved for the next start."""
        self._spool.close()

    def begin(self, link: Link, limits: Accepted, conn: int) -> None:
        """The broker let us in: watch ourselves, and say everything that it may have forgotten."""
        self._limits = limits
        self._stamper.conn = conn
        self._cards.all_due()
        self._spool.turn(connected=True)  # what is live no longer must not go out as if it were
        # what we said ourselves must not be kept for us while we are away: it would come as if somebody else said it
        also = [self._home.status_topic] if self._home else []
        link.subscribe([self._names.topic("state"), self._names.topic("a/+"), *also], qos=0)
        asked = [self._names.topic("cmd/+/+"), self._names.topic("desired"), f"{self._names.to_all}cmd/+/+"]
        link.subscribe(asked, as_published=True)
        self.pump(link)

    def end(self) -> None:
        """The connection is gone: what was not acknowledged waits again."""
        self._limits = None
        self.hearing.ended()
        self._flights.clear()
        self._spool.outbox.requeue()

    def pump(self, link: Link) -> None:
        """Sends what may be sent now."""
        self.hearing.turn()
        if self._home is not None and self._home.take_due():
            for key in (HOME, "d"):  # all else is retained
                self._cards.say_again(key)
        while self._limits and len(self._flights) < self._limits.window:
            if not (self._send_card(link, self._limits) or self._send_row(link, self._limits)):
                break

    def on_event(self, event: Acked | Subscribed | Received) -> None:
        """Takes in what the broker sent."""
        match event:
            case Acked():
                self._on_ack(event)
            case Received():
                self.hearing.take(event)
            case Subscribed() if event.refusal:
                also = f" or {self._home.status_topic}" if self._home else ""
                log.warning(
                    "the broker lets us not read our own topics%s (%s): it may keep a stale state", also, event.refusal
                )

    def is_overdue(self) -> bool:
        """An acknowledgement is missing for too long."""
        return any(flight.deadline_s < self._clock() for flight in self._flights.values())

    def is_idle(self) -> bool:
        """Everything was said and acknowledged, but for a backlog that is safe on the disk."""
        return not self._flights and not self._cards.is_due() and self._spool.is_sent

    def is_state_said(self) -> bool:
        """The broker knows our present state."""
        return not self._cards.is_due("state") and all(flight.cls != "state" for flight in self._flights.values())

    def queue(self) -> QueueCard:
        """What waits for the broker."""
        counts = self._spool.counts()
        age_s = self._clock() - counts.oldest_s if counts.oldest_s is not None else 0.0
        disk_bytes = self._spool.disk().bytes
        return QueueCard(rows=counts.rows, bytes=counts.bytes, disk_bytes=disk_bytes, oldest_s=round(age_s, 1))

    def totals(self) -> Totals:
        """The counters since the agent's start."""
        counts, disk = self._spool.counts(), self._spool.disk()
        return Totals(
            published=self._published,
            acked=self._acked,
            merged=counts.merged,
            dropped=counts.dropped,
            refused=dict(self._refused),
            bytes_out=dict(self._bytes_out),
            disk_bytes_written=disk.written_bytes,
            disk_faults=disk.faults,
            lost_at_restart=dict(self.reckoning.lost),
        )

    def _send_card(self, link: Link, limits: Accepted) -> bool:
        if not self._cards.is_due():
            return False
        message = self._cards.next(self.queue(), self.totals())
        if message is not None:
            qos, retain = DELIVERY[message.cls]
            if packet_bytes(message.topic, message.body, qos) > limits.max_packet_bytes:
                self._spool.count_dropped(message.cls)  # sent all the same, it would cost the connection
            else:
                self._send(link, Parcel(message.cls, message.topic, message.body, retain, ()), qos)
        return message is not None

    def _send_row(self, link: Link, limits: Accepted) -> bool:
        parcel = self._order.next(limits.max_packet_bytes)
        if parcel is not None:
            self._send(link, parcel, qos=1)
        return parcel is not None

    def _send(self, link: Link, parcel: Parcel, qos: int) -> None:
        mid = link.publish(parcel.topic, parcel.body, qos, parcel.retain)
        log.debug("sent %s, %d bytes", parcel.topic, len(parcel.body))
        self._published += 1
        self._bytes_out[parcel.cls] += packet_bytes(parcel.topic, parcel.body, qos)
        if qos:
            self._flights[mid] = Flight(parcel.cls, self._clock() + self._ack_deadline_s, parcel.numbers)

    def _on_ack(self, event: Acked) -> None:
        flight = self._flights.pop(event.mid, None)
        if flight is None:
            return
        rows = [self._spool.acked(number) for number in flight.numbers]
        self._stale_alarms |= {row.topic.rpartition("/")[2] for row in rows if row.cls == "a" and row.former}
        if event.refusal:
            self._on_refusal(flight.cls, event.refusal, rows)
            return
        self._acked += 1
        if flight.cls == "res" and self._on_delivered is not None:
            for row in rows:
                self._on_delivered(*row.topic.split("/")[-2:])
        if flight.cls == "state":
            self.hearing.state_acked()
        if self.refusals.pop(flight.cls, None):
            log.info("the broker takes %s again", self._where(flight.cls))

    def _right_stale_alarms(self) -> None:
        """A former start's alarms were told, as news that is late: whoever listens is to know how it is today."""
        if not self._stale_alarms or not self._spool.is_former_told:
            return
        for alarm_id in self._stale_alarms:
            if alarm_id in self._cards.alarms:
                self._cards.say_again(f"a/{alarm_id}")
            else:
                self._intake.clear_alarm(alarm_id)
        self._stale_alarms.clear()

    def _check_clock(self) -> None:
        was_synced, shift_s = self._was_synced, self._stamper.step()
        self._was_synced = self._stamper.is_synced
        if shift_s:
            self._spool.shift(shift_s)
            self._cards.restamp(shift_s)
            kind = "clock-stepped" if was_synced else "clock-synced"
            log.warning("%s: the clock was set by %.1f s", kind, shift_s)
            self._intake.take(Happening(kind, {"step_s": round(shift_s, 3)}, self._clock()))

    def _on_damage(self, moved: str) -> None:
        kind, data = ("outbox-corrupt", {"moved_to": moved}) if moved else ("outbox-gone", {})
        self._intake.take(Happening(kind, data, self._clock()))

    def _on_trouble(self, why: str) -> None:
        self._intake.take(AlarmChange("disk", why or None, self._clock()))

    def _on_refusal(self, cls: str, name: str, rows: list[Row]) -> None:
        for row in rows:
            self._refused[row.cls] += row.messages
            self._spool.outbox.tally.refused(row.cls, row.messages)
        if not rows:
            self._refused[cls] += 1
        if cls not in self.refusals:
            topic = self._where(cls)
            self.refusals[cls] = f"the broker does not let us publish to {topic} ({name}): check its access rules"
            log.error("%s", self.refusals[cls])

    def _where(self, cls: str) -> str:
        return self._home.topic if self._home and cls == HOME else self._names.topic(PATTERNS[cls])
