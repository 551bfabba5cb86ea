"""The mqtt thread's loop: dial, talk, notice that it is over, wait with jitter, dial again. I/O, and no judgement.

Whether a broker is there makes no difference to anybody but this thread: what the agent hands over is taken in all
the same, and waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from agent.publish import reasons
from agent.publish.access import Access
from agent.publish.backoff import Backoff
from agent.publish.conn import ConnCounter
from agent.publish.inbox import Inbox
from agent.publish.link import Accepted, Closed, Link, LinkEvent, Refused, Will
from agent.publish.session import Session
from agent.publish.status import PublisherStatus
from agent.publish.wake import Wake

log = logging.getLogger("agent.publish")

Version = Literal[4, 5]
Dial = Callable[[Version, Will, bool], Link]
"""Makes a link, not open yet; 4 is MQTT 3.1.1, as on the wire. True: the broker is to keep what is sent to us."""

TICK_S = 0.5
STOP_TICK_S = 0.05
UNSUPPORTED_VERSION = 0x84
HANG_UPS = 8
"""After so many in place of an answer, two attempts (one of each version) ask for no session."""

NOT_FOR_THE_SESSION = frozenset({0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x9C, 0x9D, 0x9F})
"""Refusals that say what else is wrong: who we are, that the broker is busy or elsewhere. Any other may mean that it
keeps no sessions; MQTT has no word for that."""


class Network:
    """Owned by the mqtt thread, but for ``status`` and ``is_dialling``, which any thread may read.

    Attributes:
        status: how it is, as of the last turn.
        is_dialling: blocked in a connection attempt.
    """

    def __init__(
        self,
        access: Access,
        dial: Dial,
        *,
        session: Session,
        inbox: Inbox,
        wake: Wake,
        conn: ConnCounter,
        backoff: Backoff,
        clock: Callable[[], float],
        wants_session: bool = False,
    ) -> None:
        self.is_dialling = False
        self._access = access
        self._dial = dial
        self._session = session
        self._inbox = inbox
        self._wake = wake
        self._conn = conn
        self._backoff = backoff
        self._clock = clock
        self._link: Link | None = None
        self._is_connected = False
        self._reason = f"not connected to {access.where} yet"
        self._version: Version = 5
        self._speaks_5 = True
        self._wants_session = self._asks_session = wants_session
        self._connections = 0
        self._dial_from_s = clock()
        self._answer_by_s = 0.0
        self._connected_s = 0.0
        self._told: set[str] = set()
        self._is_session_missed = self._is_session_refused = self._had_session = False
        self._hang_ups = 0
        self.status = self._look()

    def step(self) -> None:
        """One turn: takes in what was handed over, then serves the connection or waits for the next attempt."""
        self._take_in()
        if self._link is not None:
            self._serve(self._link, TICK_S)
        elif self._clock() >= self._dial_from_s:
            self._open()
        else:
            self._wake.wait(min(TICK_S, self._dial_from_s - self._clock()))
        self.status = self._look()

    def finish(self, by_s: float) -> bool:
        """Hands over what waits, then says ``offline`` and goodbye; True when all of it was acknowledged by then."""
        self._take_in()
        self._session.hurry()
        half_s = (self._clock() + by_s) / 2  # a long queue must not keep us from saying goodbye
        is_said = False
        while self._link is not None and self._clock() < by_s:
            if self._is_connected and not is_said and (self._session.is_idle() or self._clock() >= half_s):
                is_said = True
                self._session.say("offline")
            elif is_said and self._session.is_idle():
                break
            self._serve(self._link, min(STOP_TICK_S, max(0.0, by_s - self._clock())))
        return self._hang_up(is_said)

    def drop(self) -> None:
        """The thread died: cut the connection, so that everything unacknowledged waits again."""
        if self._link is not None:
            self._link.abort()
        self._over("the network thread failed and was started again")
        self._session.recover()
        self.status = self._look()

    def _take_in(self) -> None:
        self._wake.clear()
        self._session.take_in(self._inbox)

    def _open(self) -> None:
        link = self._dial(self._version, self._session.will(self._conn.next), self._asks_session)
        self.is_dialling = True
        self.status = self._look()
        log.debug("dials %s, MQTT %s", self._access.where, "5" if self._version == 5 else "3.1.1")
        try:
            link.open()
        except (OSError, ValueError) as error:
            self._failed(reasons.of_error(error, self._access))
        else:
            self._link = link
            self._answer_by_s = self._clock() + self._access.timeout_s
        finally:
            self.is_dialling = False

    def _serve(self, link: Link, timeout_s: float) -> None:
        if self._is_connected:
            self._session.pump(link)
        for event in link.poll(timeout_s):
            self._on_event(link, event)
        if self._link is None:
            return
        if not self._is_connected and self._clock() > self._answer_by_s:
            link.abort()
            self._try_other_version()
            self._failed(reasons.of_silence(self._access))
        elif self._session.is_overdue():
            link.abort()
            self._lost("it acknowledges nothing any more")

    def _on_event(self, link: Link, event: LinkEvent) -> None:
        if self._link is None:
            return  # what came after the end
        match event:
            case Accepted():
                self._on_accepted(link, event)
            case Refused():
                self._on_refused(link, event)
            case Closed():
                self._on_closed(event)
            case _:
                self._session.on_event(event)

    def _on_accepted(self, link: Link, limits: Accepted) -> None:
        conn = self._conn.next
        self._conn.used()
        self._is_connected = True
        self._reason = ""
        self._connections += 1
        self._connected_s = self._clock()
        self._told.clear()
        self._hang_ups = 0
        self._had_session = self._had_session or self._asks_session
        if self._wants_session and not self._asks_session:
            self._say_no_session()
        log.info("connected to %s (MQTT %s)", self._access.where, "5" if self._version == 5 else "3.1.1")
        self._session.begin(link, limits, conn)

    def _say_no_session(self) -> None:
        if self._is_session_missed:
            return
        self._is_session_missed = True
        log.warning("%s keeps nothing for us while we are away: commands sent then are lost", self._access.where)

    def _on_refused(self, link: Link, refusal: Refused) -> None:
        link.abort()
        if refusal.code == UNSUPPORTED_VERSION and self._version == 5:
            self._speaks_5 = False
            self._version = 4
            self._link = None  # and dial again at once
            return
        if self._asks_session and refusal.code not in NOT_FOR_THE_SESSION:
            self._asks_session, self._is_session_refused = False, True
            self._link = None
            return
        self._asks_session, self._is_session_refused = self._wants_session, False
        self._failed(reasons.of_refusal(refusal.code, refusal.name, self._access))

    def _on_closed(self, event: Closed) -> None:
        if not self._is_connected:
            self._try_other_version()
            self._failed(reasons.of_early_close(event.detail, self._access))
            return
        if event.taken_over:
            self._session.hearing.on_rival()
        self._lost(event.detail)

    def _try_other_version(self) -> None:
        """Some brokers answer a version that they don't know, or a session, by hanging up, or by nothing."""
        if self._speaks_5:
            self._version = 4 if self._version == 5 else 5
        self._hang_ups += 1
        if self._wants_session and not self._had_session:  # or a proxy before a dead broker would cost us the session
            self._asks_session = self._hang_ups % (HANG_UPS + 2) < HANG_UPS

    def _failed(self, reason: str) -> None:
        self._over(reason)
        self._dial_from_s = self._clock() + self._backoff.failed()

    def _lost(self, detail: str) -> None:
        lasted_s = self._clock() - self._connected_s
        self._over(reasons.of_close(detail, self._access))
        self._dial_from_s = self._clock() + self._backoff.lost(lasted_s)
        self._version = 5 if self._speaks_5 else 4
        self._asks_session = self._wants_session and not self._is_session_refused

    def _over(self, reason: str) -> None:
        self._link = None
        self._is_connected = False
        self._reason = reason
        self._session.end()
        if reason not in self._told:
            self._told.add(reason)
            log.warning("%s; telemetry waits, and the next attempt comes by itself", reason)

    def _hang_up(self, is_said: bool) -> bool:
        link, self._link = self._link, None
        is_done = is_said and link is not None and self._session.is_idle() and not self._session.queue().rows
        if link is not None:
            # without an acknowledged `offline` the last will has to say it, and a goodbye would forbid that
            link.close() if is_said and self._session.is_state_said() else link.abort()
        self._session.close()
        self._is_connected = False
        self._reason = "stopped"
        self.status = self._look()
        return is_done

    def _look(self) -> PublisherStatus:
        queue, totals = self._session.queue(), self._session.totals()
        return PublisherStatus(
            connected=self._is_connected,
            reason=self._reason or next(iter(self._session.refusals.values()), ""),
            version="5" if self._version == 5 else "3.1.1",
            connections=self._connections,
            rivals=self._session.hearing.rivals,
            queue_rows=queue.rows,
            queue_bytes=queue.bytes,
            oldest_s=queue.oldest_s,
            **totals,
        )
