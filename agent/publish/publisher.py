"""The stage's front: takes records from any thread, never blocks, and owns the network thread ``mqtt``."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

from agent.config import MqttConfig
from agent.publish import translate_light
from agent.publish.access import Access, read_access
from agent.publish.backoff import Backoff
from agent.publish.build import make_spool
from agent.publish.conn import ConnCounter
from agent.publish.contract import Scalar, StateName
from agent.publish.home_assistant import Announcer, HomePlan
from agent.publish.inbox import AlarmChange, Happening, Inbox, Notice, Pace, Picture, StateChange, Window
from agent.publish.link import Link, Will
from agent.publish.network import Network, Version
from agent.publish.outbox import Outbox
from agent.publish.paho_link import PahoLink
from agent.publish.profile import profile_of
from agent.publish.session import ACK_DEADLINE_S, Session
from agent.publish.stamp import Stamper, new_boot, wall_clock
from agent.publish.status import PublisherStatus
from agent.publish.store import FILE_NAME
from agent.publish.stored import merge_rows
from agent.publish.tally import Former, Tally, folder_in, formers, name_of
from agent.publish.topics import Names, is_ident
from agent.publish.wake import Wake
from agent.records import (
    Answer,
    BoardReading,
    Command,
    Desired,
    Health,
    Identity,
    LightChange,
    PerfReport,
    Sighting,
    Standing,
)

log = logging.getLogger("agent.publish")

DIALLING_GRACE_S = 1.0
"""How long a stop waits for a connection attempt: nobody has to sit out a dead broker's time-out."""


class Publisher:
    """Hands telemetry to the broker; without one it costs nothing and says so.

    Every method returns at once (tens of microseconds) and may be called from any thread; what is handed over is
    translated and sent on the mqtt thread. That thread is watched: should it die, the next call starts it again.
    Nothing is read or dialled before :meth:`start`.

    Args:
        config: the ``[mqtt]`` table; an empty host means no broker.
        site: place in the fleet, the third word of every topic.
        device: name of this board, the fourth word.
        clock: monotonic seconds.
        wall: unix time in seconds, for labels.
        boot: this start of the agent; a new random word when not given.
        state_dir: where the connection number, and what waits for the broker, is kept over restarts; nowhere
            when not given.
        runtime_dir: in memory (tmpfs), where it is counted what a kill takes along; systemd's runtime directory,
            the user's or /dev/shm when not given. Of use only with a state directory.
        last_conn: the connection number to go on from.
        rng: jitter.
        credentials_dir: where bare file names are looked for; ``$CREDENTIALS_DIRECTORY`` when not given.
        ack_deadline_s: an acknowledgement missing for longer cuts the connection.
        on_command: told of each command on the mqtt thread; must return at once.
        on_desired: told of what the fleet wants; must return at once.
        on_delivered: told of the operation and id of each reply that the broker acknowledged; must return at once.
        home: what to announce to Home Assistant; nothing when not given.

    Raises:
        ConfigError: ``site`` or ``device`` cannot stand in a topic.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        site: str,
        device: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = wall_clock,
        boot: str | None = None,
        state_dir: Path | None = None,
        runtime_dir: Path | None = None,
        last_conn: int = 0,
        rng: Random | None = None,
        credentials_dir: Path | None = None,
        ack_deadline_s: float = ACK_DEADLINE_S,
        on_command: Callable[[Command], None] | None = None,
        on_delivered: Callable[[str, str], None] | None = None,
        on_desired: Callable[[Desired], None] | None = None,
        home: HomePlan | None = None,
    ) -> None:
        self._config = config
        self._profile = profile_of(config)
        self._names = Names(site, device)
        self._clock = clock
        self._credentials_dir = credentials_dir
        self._wake = Wake()
        self._inbox = Inbox(self._wake)
        self._state_dir, self._runtime_dir = state_dir, runtime_dir
        boot = boot or new_boot()
        self._tally = Tally(boot)
        self._outbox = Outbox(config.queue_bytes, merge_rows, self._tally)
        self._stamper = Stamper(device=device, boot=boot, clock=clock, wall=wall, on_stamp=self._tally.made)
        rng = rng or Random()  # noqa: S311  # jitter, no secret
        self._session = Session(
            self._names,
            self._outbox,
            self._stamper,
            clock,
            spool=make_spool(config, self._outbox, state_dir, self._stamper, self._names.prefix),
            profile=self._profile,
            backlog_bytes_s=config.backlog_bytes_s,
            ack_deadline_s=ack_deadline_s,
            on_command=on_command,
            on_delivered=on_delivered,
            on_desired=on_desired,
            home=Announcer(self._names, home, clock, rng) if home else None,
        )
        self._conn = ConnCounter(state_dir, last_conn)
        self._backoff = Backoff(config.reconnect_max_s, rng)
        self._access: Access | None = None
        self._network: Network | None = None
        self._thread: threading.Thread | None = None
        self._restart_lock = threading.Lock()
        self._restarts = 0
        self._death = ""
        self._stop_by_s: float | None = None
        self._handed_over = False

    def start(self) -> None:
        """Reads password and certificates, and starts the mqtt thread; an absent broker is no error.

        Raises:
            ConfigError: a certificate, key or password file is unreadable or invalid.
        """
        if not self._config.host:
            log.info("no broker is set (mqtt.host): telemetry stays on the board")
            return
        self._access = access = read_access(self._config, self._credentials_dir)
        self._look_back()
        self._network = Network(
            access,
            lambda version, will, keeps: self._link(
                self._access or access, version, will, self._config.session_s if keeps else 0
            ),
            session=self._session,
            inbox=self._inbox,
            wake=self._wake,
            conn=self._conn,
            backoff=self._backoff,
            clock=self._clock,
            wants_session=self._config.session_s > 0,
        )
        self._thread = self._start_thread(self._network)

    def birth(self, identity: Identity) -> None:
        """Who this agent is; said on every connection."""
        self._notice(identity)

    def state(self, state: StateName, reason: str = "") -> None:
        """What the agent does; retained by the broker."""
        self._notice(StateChange(state, reason))

    def perf(self, report: PerfReport) -> None:
        """One window of the pipeline, to ``m/perf``."""
        self._window(report)

    def board(self, reading: BoardReading) -> None:
        """The slow sensors, to ``m/sys`` and ``m/therm``."""
        self._window(reading)

    def health(self, health: Health) -> None:
        """The last-value card; what the publisher knows of itself is added."""
        self._window(health)

    def detections(self, sighting: Sighting) -> None:
        """What is there, to ``d``; only the newest is kept for a broker that is away."""
        self._notice(sighting)

    def reconfigure(self, config: MqttConfig) -> None:
        """Another profile from now on; its keep-alive holds from the next connection on."""
        profile = profile_of(config)
        if profile == self._profile:
            return  # windows that were begun go on
        self._profile = profile
        self._notice(Pace(profile, config.live_s + profile.longest_s))
        if self._access is not None:
            self._access = replace(self._access, keepalive_s=profile.keepalive_s)

    def home(self, plan: HomePlan) -> None:
        """What is announced to Home Assistant from now on; nothing where nothing was announced before."""
        self._notice(plan)

    def picture(self, jpeg: bytes) -> None:
        """A picture for Home Assistant, to ``image``; one that cannot be sent now is not sent later."""
        self._notice(Picture(jpeg))

    def alarm(self, alarm_id: str, message: str | None) -> None:
        """Raises an alarm, or clears it when there is no message.

        Raises:
            ValueError: the id cannot stand in a topic.
        """
        _check_ident(alarm_id)
        self._notice(AlarmChange(alarm_id, message, self._clock()))

    def event(self, kind: str, data: Mapping[str, Scalar] | None = None) -> None:
        """Something that happened, to ``e/{kind}``.

        Raises:
            ValueError: the kind cannot stand in a topic.
        """
        _check_ident(kind)
        self._notice(Happening(kind, dict(data or {}), self._clock()))

    def corrected(self, change: LightChange) -> None:
        """The correction of the light has changed, to ``e/corrected``."""
        self.event("corrected", translate_light.corrected(change))

    def answer(self, answer: Answer) -> None:
        """How a command went, to ``res/{op}/{id}``."""
        self._notice(answer)

    def reported(self, standing: Standing) -> None:
        """How far the board has got with what is desired; retained by the broker."""
        self._notice(standing)

    def status(self) -> PublisherStatus:
        """How it goes, as of the mqtt thread's last turn."""
        if self._network is None:
            return PublisherStatus(reason="no broker is set (mqtt.host)" if not self._config.host else "not started")
        self._watch_thread(self._network)
        status = replace(self._network.status, thread_restarts=self._restarts)
        return replace(status, reason=self._death) if self._death and not status.connected else status

    def stop(self, deadline_s: float) -> bool:
        """Hands over what waits, says ``offline`` and goodbye; True when the broker acknowledged all of it.

        Returns after ``deadline_s`` at the latest, and at once where no broker is connected.
        """
        started_s = self._clock()
        self._stop_by_s = started_s + deadline_s
        self._wake.set()
        while self._thread is not None and self._thread.is_alive():
            waited_s = self._clock() - started_s
            is_dialling = self._network is not None and self._network.is_dialling
            if waited_s >= deadline_s or (is_dialling and waited_s >= DIALLING_GRACE_S):
                break
            self._thread.join(min(0.05, deadline_s - waited_s))
        return self._report_stop()

    def _look_back(self) -> None:
        """What the former starts left is to be told, and this one counts for the next."""
        folder = self._runtime_dir or folder_in(os.environ, os.geteuid())
        if self._state_dir is None or folder is None:
            return
        name = name_of(self._names.prefix, self._state_dir)
        found = formers(folder, name)
        has_lived = not self._conn.is_first or (self._state_dir / FILE_NAME).exists()
        self._session.reckoning.add(found or [Former()] * has_lived)
        self._tally.open(folder, name)

    def _report_stop(self) -> bool:
        is_over = self._thread is None or not self._thread.is_alive()
        waiting = self._network.status.queue_rows if self._network else 0
        if waiting:
            kept = "; they are kept on the disk" if self._network and self._session.queue().disk_bytes else ""
            log.warning("%d messages were not delivered to the broker before the stop%s", waiting, kept)
        return is_over and (self._handed_over or self._network is None)

    def _notice(self, notice: Notice | Pace) -> None:
        if self._config.host:
            self._inbox.put_notice(notice)
            self._watch_thread(self._network)

    def _window(self, window: Window) -> None:
        if self._config.host:
            self._inbox.put_window(window)
            self._watch_thread(self._network)

    def _link(self, access: Access, version: Version, will: Will, session_s: int) -> Link:
        return PahoLink(
            access,
            client_id=self._names.client_id,
            version=version,
            wake=self._wake,
            will=will,
            session_s=session_s,
        )

    def _start_thread(self, network: Network) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(network,), name="mqtt", daemon=True)
        thread.start()
        return thread

    def _run(self, network: Network) -> None:
        try:
            while self._stop_by_s is None:
                network.step()
            self._handed_over = network.finish(self._stop_by_s)
        finally:
            error = sys.exception()
            if error is not None:  # the traceback itself goes through threading.excepthook
                self._death = f"the network thread failed: {type(error).__name__}: {error}"
                log.error("%s; it is started again", self._death)

    def _watch_thread(self, network: Network | None) -> None:
        """Starts a dead thread again; what it had in hand is counted as lost, what was unacknowledged waits again."""
        if network is None or self._thread is None or self._thread.is_alive() or self._stop_by_s is not None:
            return
        if self._restart_lock.acquire(blocking=False):
            try:
                if not self._thread.is_alive():
                    network.drop()
                    self._restarts += 1
                    self._thread = self._start_thread(network)
            finally:
                self._restart_lock.release()


def _check_ident(word: str) -> None:
    if not is_ident(word):
        raise ValueError(f"{word!r} cannot be part of a topic: use 1 to 64 of a-z, 0-9 and -")
