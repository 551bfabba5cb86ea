"""What the agent hands over becomes what waits for the broker: records into rows, last values into cards."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from agent.publish import translate
from agent.publish.cards import Cards, Message
from agent.publish.contract import Envelope
from agent.publish.inbox import AlarmChange, Happening, Notice, Window, class_of
from agent.publish.outbox import Row
from agent.publish.spool import Spool
from agent.publish.stamp import Stamper
from agent.publish.topics import MAX_PACKET_BYTES, Names, packet_bytes
from agent.records import Answer, BoardReading, PerfReport

log = logging.getLogger("agent.publish")


class Intake:
    """Owned by the mqtt thread."""

    def __init__(self, names: Names, stamper: Stamper, cards: Cards, outbox: Spool, clock: Callable[[], float]) -> None:
        self._names = names
        self._stamper = stamper
        self._cards = cards
        self._outbox = outbox
        self._clock = clock
        self._in_hand: Window | Notice | None = None

    def take(self, item: Window | Notice) -> None:
        """Takes in one thing that was handed over."""
        self._in_hand = item
        self._take(item)
        self._in_hand = None

    def recover(self) -> None:
        """The thread died: what it had in hand is lost, and counted."""
        if self._in_hand is not None:
            self._outbox.count_dropped(class_of(self._in_hand))
            self._in_hand = None

    def clear_alarm(self, alarm_id: str) -> None:
        """Empties the alarm's topic at the broker."""
        self._cards.set_alarm(alarm_id, None)
        self._outbox.put(Row("a", self._names.topic(f"a/{alarm_id}"), b"", self._clock()))

    def _take(self, item: Window | Notice) -> None:
        match item:
            case PerfReport():
                stamp = self._stamper.stamp("m/perf", item.started_s + item.duration_s)
                self._window("m/perf", translate.perf(stamp, item))
            case BoardReading():
                self._take_board(item)
            case AlarmChange():
                self._take_alarm(item)
            case Happening():
                stamp = self._stamper.stamp("e", item.at_s)
                self._notice("e", f"e/{item.kind}", translate.event(stamp, item.kind, item.data))
            case Answer(command=command):
                stamp = self._stamper.stamp("res", self._clock())
                self._notice("res", f"res/{command.op}/{command.id}", translate.reply(stamp, item))
            case _:
                self._cards.take(item)

    def _take_board(self, reading: BoardReading) -> None:
        self._window("m/sys", translate.sys(self._stamper.stamp("m/sys", reading.taken_s), reading))
        if translate.has_heat(reading):
            self._window("m/therm", translate.therm(self._stamper.stamp("m/therm", reading.taken_s), reading))

    def _take_alarm(self, change: AlarmChange) -> None:
        if change.message is None:
            if change.alarm_id in self._cards.alarms:
                self.clear_alarm(change.alarm_id)
            return
        stamp = self._stamper.stamp("a", change.at_s)
        payload = translate.alarm(stamp, change.alarm_id, change.message)
        message = self._notice("a", f"a/{change.alarm_id}", payload)
        self._cards.set_alarm(change.alarm_id, message)

    def _window(self, cls: str, payload: Envelope) -> None:
        body = msgspec.json.encode(payload)
        self._put(Row(cls, self._names.topic(cls), body, self._clock(), payload.seq, payload.seq, mergeable=True))

    def _notice(self, cls: str, below: str, payload: Envelope) -> Message:
        message = Message(cls, self._names.topic(below), msgspec.json.encode(payload))
        self._put(Row(cls, message.topic, message.body, self._clock(), payload.seq, payload.seq))
        return message

    def _put(self, row: Row) -> None:
        size = packet_bytes(row.topic, row.body, qos=1)
        if size <= MAX_PACKET_BYTES:
            self._outbox.put(row)
            return
        self._outbox.outbox.lose(row)
        log.error(
            "%s: %d bytes are more than an MQTT message may have here (%d): dropped", row.topic, size, MAX_PACKET_BYTES
        )
