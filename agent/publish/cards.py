"""Last values: presence, birth, health and the active alarms; made anew, and sent, on every connection.

A card that was not acknowledged is simply due again with the next connection, so it needs no queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from agent.publish import translate
from agent.publish.contract import Envelope, QueueCard, StateName, Totals
from agent.publish.home_assistant import CLS as HOME
from agent.publish.home_assistant import Announcer, HomePlan
from agent.publish.inbox import Picture, StateChange
from agent.publish.link import Will
from agent.publish.restamp import restamp
from agent.publish.stamp import Stamper
from agent.publish.topics import IMAGE, Names
from agent.records import Health, Identity, Sighting, Standing

_ORDER = ("birth", "state", "reported", "d", "health", HOME)
"""Who I am comes before how I am: a reader judges a ``lost`` by the ``conn`` of the birth."""


@dataclass(frozen=True, slots=True)
class Message:
    """A payload on its way."""

    cls: str
    topic: str
    body: bytes


class Cards:
    """Owned by the mqtt thread."""

    def __init__(self, names: Names, stamper: Stamper, home: Announcer | None = None) -> None:
        self._names = names
        self._stamper = stamper
        self._home = home
        self._identity: Identity | None = None
        self._health: Health | None = None
        self._standing: Standing | None = None
        self._sighting: Sighting | None = None
        self._picture: Picture | None = None
        self._state = StateChange("online")
        self._alarms: dict[str, Message] = {}
        self._due: set[str] = set()

    @property
    def state_name(self) -> StateName:
        """What we claim to be."""
        return self._state.name

    @property
    def alarms(self) -> Mapping[str, Message]:
        """The active alarms, by id."""
        return self._alarms

    def take(self, item: Health | HomePlan | Identity | Picture | Sighting | Standing | StateChange) -> None:
        """Whatever of it is a last value."""
        match item:
            case Health():
                self.set_health(item)
            case HomePlan():
                self.set_plan(item)
            case Identity():
                self.set_identity(item)
            case Sighting():
                self.set_sighting(item)
            case Picture():
                self.set_picture(item)
            case Standing():
                self.set_standing(item)
            case StateChange():
                self.set_state(item)

    def set_identity(self, identity: Identity) -> None:
        """Who this agent is, from now on."""
        self._identity = identity
        self._due |= {"birth", HOME}

    def set_health(self, health: Health) -> None:
        """How the agent is."""
        self._health = health
        self._due.add("health")
        if self._home is not None and self._home.learn(health):
            self._due.add(HOME)

    def set_plan(self, plan: HomePlan) -> None:
        """What is announced from now on."""
        if self._home is not None:
            self._home.replan(plan)
            self._due.add(HOME)

    def set_sighting(self, sighting: Sighting) -> None:
        """What is there; one that was not sent yet is no news any more."""
        self._sighting = sighting
        self._due.add("d")

    def set_picture(self, picture: Picture) -> None:
        """What the camera shows; it carries no time of its own, so it is never said late: not even when all is due."""
        self._picture = picture
        self._due.add(IMAGE.cls)

    def set_standing(self, standing: Standing) -> None:
        """How far the agent has got with what is desired."""
        self._standing = standing
        self._due.add("reported")

    def set_state(self, change: StateChange) -> None:
        """What the agent does; said only when it changes."""
        if change != self._state:
            self._state = change
            self._due.add("state")

    def set_alarm(self, alarm_id: str, message: Message | None) -> None:
        """An alarm raised or cleared; the change itself travels as a row."""
        if message is None:
            self._alarms.pop(alarm_id, None)
        else:
            self._alarms[alarm_id] = message

    def restamp(self, shift_s: float) -> None:
        """The clock was set by so much: the active alarms get the time that is right now."""
        self._alarms = {
            alarm_id: replace(message, body=restamp(message.cls, message.body, shift_s))
            for alarm_id, message in self._alarms.items()
        }

    def all_due(self) -> None:
        """A new connection: the broker may have forgotten everything."""
        known = {
            "birth": self._identity,
            "health": self._health,
            "state": self._state,
            "reported": self._standing,
            "d": self._sighting,
            HOME: self._home,
        }
        self._due = {key for key, value in known.items() if value is not None} | {f"a/{id_}" for id_ in self._alarms}

    def say_again(self, key: str) -> None:
        """The broker shows something else: send the card once more."""
        self._due.add(key)

    def is_due(self, key: str | None = None) -> bool:
        """Whether a card, or any of them, is yet to be sent."""
        return key in self._due if key else bool(self._due)

    def next(self, queue: QueueCard, totals: Totals) -> Message | None:
        """The next card that is due, as a payload of this connection; it is due no longer."""
        for key in (*_ORDER, *sorted(self._due)):
            if key in self._due:
                self._due.discard(key)
                message = self._make(key, queue, totals)
                if message is not None:
                    return message
        return None

    def will(self, conn: int) -> Will:
        """What the broker shall say when the connection ``conn`` dies without a goodbye."""
        stamp = self._stamper.stamp("state")
        stamp["conn"] = conn
        return Will(self._names.topic("state"), msgspec.json.encode(translate.state(stamp, "lost", "")))

    def _announcement(self) -> Message | None:
        if self._home is None or self._identity is None or self._health is None:
            return None
        return Message(HOME, self._home.topic, self._home.body(self._identity, self._health))

    def _make(self, key: str, queue: QueueCard, totals: Totals) -> Message | None:
        if key == HOME:
            return self._announcement()
        if key == IMAGE.cls:
            return Message(key, self._names.topic(key), self._picture.jpeg) if self._picture else None
        payload: Envelope | None = None
        if key == "state":
            payload = translate.state(self._stamper.stamp(key), self._state.name, self._state.reason)
        elif key == "birth" and self._identity:
            payload = translate.birth(self._stamper.stamp(key), self._identity)
        elif key == "health" and self._health:
            payload = translate.health(self._stamper.stamp(key), self._health, queue, totals)
        elif key == "reported" and self._standing:
            payload = translate.reported(self._stamper.stamp(key), self._standing)
        elif key == "d" and self._sighting:
            payload = translate.detections(self._stamper.stamp(key, self._sighting.at_s), self._sighting)
        if payload is None:
            return self._alarms.get(key.removeprefix("a/"))
        return Message(key, self._names.topic(key), msgspec.json.encode(payload))
