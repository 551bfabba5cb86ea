"""Puts the waiting room together as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.config import MqttConfig
from agent.publish.gather import Gather
from agent.publish.outbox import Outbox
from agent.publish.profile import Limits, profile_of
from agent.publish.spool import Spool
from agent.publish.stamp import Stamper
from agent.publish.store import FILE_NAME, Store
from agent.publish.stored import merge_rows


def make_spool(config: MqttConfig, outbox: Outbox, state_dir: Path | None, stamper: Stamper, prefix: str) -> Spool:
    """The spool that the settings ask for; on the disk where there is a state directory."""
    profile = profile_of(config)
    return Spool(
        outbox,
        Gather(merge_rows, profile.length_s, outbox.put),
        Store(state_dir / FILE_NAME) if state_dir is not None and config.disk_bytes else None,
        clock=stamper.clock,
        wall=stamper.wall,
        boot=stamper.boot,
        prefix=prefix,
        limits=Limits(config.disk_bytes, config.max_age_s, config.live_s + profile.longest_s),
    )


def spool_in_memory(outbox: Outbox, clock: Callable[[], float], prefix: str) -> Spool:
    """One that hands everything on to the outbox as it is."""
    gather = Gather(merge_rows, lambda _cls: 0.0, outbox.put)
    return Spool(outbox, gather, None, clock=clock, wall=lambda: 0.0, boot="", prefix=prefix, limits=Limits())
