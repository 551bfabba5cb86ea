"""Takes a board off the broker: everything that the broker keeps of it is emptied, so that no ghost of it remains."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.config import MqttConfig
from agent.errors import BrokerError, ConfigError
from agent.publish import reasons
from agent.publish.access import Access, read_access
from agent.publish.contract import State
from agent.publish.home_assistant import discovery_topic
from agent.publish.link import Acked, Closed, Link, Received, Subscribed
from agent.publish.network import Version
from agent.publish.probe import OtherVersionError, visit, wait_for
from agent.publish.topics import Names

LAST_VALUES = ("state", "birth", "health", "reported")
QUIET_S = 1.0
"""What the broker keeps comes at once after the subscription; after so long a silence it was all."""


def purge(
    config: MqttConfig,
    prefix: str,
    *,
    site: str,
    device: str,
    credentials_dir: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Empties a board's discovery, birth, state, health, alarms and reported; says in a sentence what was done.

    What people put there for the board (``desired``) is left alone.

    Args:
        config: the ``[mqtt]`` table.
        prefix: Home Assistant's discovery prefix.
        site: the board's site.
        device: the board.
        credentials_dir: where bare file names are looked for.
        clock: monotonic seconds.

    Raises:
        ConfigError: no broker is set, or one of its files cannot be read.
        BrokerError: the broker cannot be reached, refuses us, or does not let us write there.
    """
    if not config.host:
        raise ConfigError("mqtt.host: no broker is set, so there is nothing to empty")
    names = Names(site, device)
    access = read_access(config, credentials_dir)
    try:
        return _purge(access, names, prefix, 5, clock)
    except OtherVersionError:
        return _purge(access, names, prefix, 4, clock)


def _purge(access: Access, names: Names, prefix: str, version: Version, clock: Callable[[], float]) -> str:
    with visit(access, f"{names.client_id}.purge", version, clock) as link:
        kept = _kept(link, access, names, clock)
        known = [discovery_topic(prefix, names), *(names.topic(below) for below in LAST_VALUES)]
        for topic in sorted({*known, *kept}):
            _empty(link, access, topic, clock)
    return f"{access.where} keeps nothing of {names.prefix} any more{_still_there(kept, names)}"


def _kept(link: Link, access: Access, names: Names, clock: Callable[[], float]) -> dict[str, bytes]:
    """The alarms and the state that the broker keeps; the names of alarms are known to it alone."""
    link.subscribe([names.topic(below) for below in ("a/+", "state")])
    found: dict[str, bytes] = {}
    by_s = end_s = clock() + access.timeout_s
    while clock() < by_s:
        for got in link.poll(by_s - clock()):
            match got:
                case Closed():
                    raise BrokerError(reasons.of_close(got.detail, access))
                case Subscribed(refusal=refusal) if refusal:
                    where = names.topic("a/+")
                    raise BrokerError(f"{access.where} does not let us read {where} ({refusal}): check its ACL")
                case Received(retained=True):
                    found[got.topic] = got.body
                case _:
                    pass
            by_s = min(end_s, clock() + QUIET_S)
    return found


def _empty(link: Link, access: Access, topic: str, clock: Callable[[], float]) -> None:
    link.publish(topic, b"", qos=1, retain=True)
    event = wait_for((Acked,), link, access, clock)
    match event:
        case Acked(refusal=refusal) if refusal:
            raise BrokerError(f"{access.where} does not let us empty {topic} ({refusal}): check its ACL")
        case Closed():
            raise BrokerError(reasons.of_close(event.detail, access))
        case None:
            raise BrokerError(f"{access.where} acknowledges nothing within {access.timeout_s:g} s: does it hang?")


def _still_there(kept: dict[str, bytes], names: Names) -> str:
    try:
        state = msgspec.json.decode(kept.get(names.topic("state"), b"{}"), type=State).state
    except msgspec.MsgspecError:
        return ""
    return "" if state in {"offline", "lost"} else f"; it was {state}: an agent that still runs says it all again"
