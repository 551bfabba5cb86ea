"""A publisher's waiting room on a clock of the test, with a file or without."""

from __future__ import annotations

from pathlib import Path

from agent.config import MqttConfig
from agent.publish.build import make_spool
from agent.publish.network import Network
from agent.publish.outbox import Outbox
from agent.publish.profile import AS_MEASURED, profile_of
from agent.publish.session import Session
from agent.publish.stamp import Stamper
from agent.publish.stored import merge_rows
from agent.publish.tally import Tally, formers, name_of
from agent.publish.topics import Names
from tests.publish_fakes import Clock, Link, Rig

P = "edge/v1/home/cam1"


class StoredRig(Rig):
    """A rig whose session keeps what waits as the settings say; ``life`` is the start of the agent.

    With ``run`` it counts there what a kill takes along, and tells what its former lost.
    Windows are sent at once and as they are, unless ``as_measured`` is false: then as the profile says.
    """

    def __init__(
        self,
        state_dir: Path | None,
        *,
        clock: Clock | None = None,
        life: str = "b007",
        as_measured: bool = True,
        run: Path | None = None,
        **settings: object,
    ) -> None:
        super().__init__()
        config = MqttConfig(**(settings | ({"profile": "live", "resolution_s": 0.0} if as_measured else {})))  # type: ignore[arg-type]
        self.clock = clock or self.clock
        self.wake.clock = self.clock
        names = Names("home", "cam1")
        self.tally = Tally(life)
        self.outbox = Outbox(config.queue_bytes, merge_rows, self.tally)
        self.stamper = Stamper(
            device="cam1", boot=life, clock=self.clock, wall=self.clock.wall, on_stamp=self.tally.made
        )
        self.spool = make_spool(config, self.outbox, state_dir, self.stamper, names.prefix)
        self.session = Session(
            names,
            self.outbox,
            self.stamper,
            self.clock,
            spool=self.spool,
            profile=AS_MEASURED if as_measured else profile_of(config),
            backlog_bytes_s=config.backlog_bytes_s,
        )
        if run is not None:
            name = name_of(names.prefix, state_dir or run)
            self.session.reckoning.add(formers(run, name))
            self.tally.open(run, name)
        self.network = Network(
            self.network._access,
            self._dial,
            session=self.session,
            inbox=self.inbox,
            wake=self.wake,  # type: ignore[arg-type]
            conn=self.conn,
            backoff=self.network._backoff,
            clock=self.clock,
        )
        self.network._dial_from_s = 0.0

    def offline(self, attempts: int = 10_000) -> None:
        """From now on nobody listens."""
        self.links = [Link(self.clock, fault=ConnectionRefusedError()) for _ in range(attempts)]
        if self.dialled and not self.link.end:
            self.link.cut()

    def online(self) -> None:
        """Somebody listens again, and the agent knows it soon."""
        self.links.clear()
        self.run_until(lambda: self.network.status.connected)

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        by_s = self.clock.now_s + seconds
        while self.clock.now_s < by_s:
            self.network.step()

    def kill(self) -> None:
        """The agent dies without a goodbye: its files are all that is left."""
        store = self.spool._disk._store
        if store is not None and store._db is not None:
            store._db.close()
        self.tally.close()

    def stop(self) -> bool:
        """The agent ends as it should."""
        return self.network.finish(self.clock() + 3.0)
