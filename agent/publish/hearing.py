"""What the broker says to us, and who is told: requests, wishes, Home Assistant's start, what it shows of us.

Its picture of us is repaired where it is wrong: after a restart of the broker, or when somebody took us off it. Owned
by the mqtt thread, without I/O.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from agent.publish import translate
from agent.publish.cards import Cards
from agent.publish.home_assistant import Announcer
from agent.publish.inbox import Happening
from agent.publish.intake import Intake
from agent.publish.link import Received
from agent.publish.selfwatch import SelfWatch
from agent.publish.topics import Names, is_ident, is_request
from agent.records import Command, Desired

log = logging.getLogger("agent.publish")

REPAIR_PAUSE_S = 5.0
"""Between two repairs of our state: who else writes there must not make us write for ever."""

GONE_PAUSE_S = 2.0
"""Whoever takes us off the broker empties one topic after the other, and may not be through with it."""

RIVAL_PAUSE_S = 3600.0
"""Between two events that tell of another client under our name: the two may throw each other out for days."""


class Hearing:
    """Fed with every message that the broker sends us.

    Attributes:
        rivals: signs of another client under our name.
    """

    def __init__(
        self,
        names: Names,
        boot: str,
        cards: Cards,
        intake: Intake,
        clock: Callable[[], float],
        *,
        is_state_said: Callable[[], bool],
        on_command: Callable[[Command], None] | None = None,
        on_desired: Callable[[Desired], None] | None = None,
        home: Announcer | None = None,
    ) -> None:
        self.rivals = 0
        self._names, self._boot, self._clock = names, boot, clock
        self._cards, self._intake, self._home = cards, intake, home
        self._is_state_said = is_state_said
        self._on_command, self._on_desired = on_command, on_desired
        self._watch = SelfWatch(boot)
        self._repair_from_s: float | None = None
        self._repaired_s = -REPAIR_PAUSE_S
        self._is_gone = False
        self._is_retained_said = False
        self._rival, self._rival_from_s = "", -math.inf

    def take(self, event: Received) -> None:
        """One message."""
        if self._home is not None and event.topic == self._home.status_topic:
            if not event.retained:  # we have just said everything
                self._home.heard(event.body)
        elif event.topic == self._names.topic("state"):
            self._on_state(event.body)
        elif event.topic == self._names.topic("desired"):
            if self._on_desired is not None:
                self._on_desired(translate.desired(event.body))
        elif is_request(self._names, event.topic):
            self._take_command(event)
        else:
            self._on_alarm(event)

    def state_acked(self) -> None:
        """The broker has our state: from now on it should show that."""
        self._watch.shown()

    def ended(self) -> None:
        """The connection is gone: a new one says everything anyway."""
        self._repair_from_s = None
        self._is_gone = False

    def turn(self) -> None:
        """Says again what the broker shows wrongly, when that is due."""
        if self._repair_from_s is None or self._clock() < self._repair_from_s:
            return
        self._repair_from_s = None
        self._repaired_s = self._clock()
        if self._is_gone:
            self._is_gone = False
            self._cards.all_due()
        else:
            self._cards.say_again("state")

    def on_rival(self, other: str = "") -> None:
        """Somebody else connects as this device; ``other`` is that start of an agent, where it is known."""
        self.rivals += 1
        if self._clock() >= self._rival_from_s or (other and not self._rival):
            self._rival, self._rival_from_s = other or self._rival, self._clock() + RIVAL_PAUSE_S
            data = {"boot": self._boot} | ({"other": other} if other else {})
            self._intake.take(Happening("rival", data, self._clock()))
        if self.rivals == 1:
            log.error(
                "another client connects as %s: do two boards share device.site and device.id?", self._names.client_id
            )

    def _on_state(self, body: bytes) -> None:
        finding = self._watch.look(body, self._cards.state_name)
        if finding == "rival":
            self.on_rival(self._watch.rival)
        self._is_gone |= finding == "gone"
        if finding != "fine" and self._is_state_said():
            wait_s = GONE_PAUSE_S if self._is_gone else 0.0
            self._repair_from_s = max(self._clock() + wait_s, self._repaired_s + REPAIR_PAUSE_S)

    def _take_command(self, event: Received) -> None:
        # Retained, it would be carried out again at every connection; without an id, nobody could be answered.
        command = translate.command(event.topic, event.body)
        if command is not None and event.retained:
            self._say_retained(event.topic)
        elif command is not None and self._on_command is not None:
            self._on_command(command)

    def _say_retained(self, topic: str) -> None:
        if not self._is_retained_said:
            self._is_retained_said = True
            log.warning("%s: a retained request is not carried out: send it without the retain flag", topic)

    def _on_alarm(self, event: Received) -> None:
        head, _, alarm_id = event.topic.rpartition("/")
        is_alarm = head == self._names.topic("a") and is_ident(alarm_id)
        if is_alarm and event.retained and event.body and alarm_id not in self._cards.alarms:  # from a former life
            self._intake.clear_alarm(alarm_id)
