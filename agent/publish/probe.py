"""Tries the broker as ``edge-agent check`` does: connect, log in, publish one probe, read back what is sent to us."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.config import MqttConfig
from agent.errors import BrokerError
from agent.publish import reasons, translate
from agent.publish.access import Access, read_access
from agent.publish.link import Accepted, Acked, Closed, Link, LinkEvent, Received, Refused, Subscribed
from agent.publish.network import UNSUPPORTED_VERSION, Version
from agent.publish.paho_link import PahoLink
from agent.publish.stamp import Stamper, new_boot, wall_clock
from agent.publish.topics import Names
from agent.publish.wake import Wake

PROBE = "e/check"

READ_BACK = ("a/check", "cmd/check/probe")
"""Sent empty and not retained, and to come back: the end of an alarm that is not, a request that asks for nothing."""

READ_BACK_S = 3.0
"""A broker passes on at once; whoever may not read is not told so."""


class OtherVersionError(BrokerError):
    """Perhaps the broker speaks another version of MQTT."""


def check(
    config: MqttConfig,
    *,
    site: str,
    device: str,
    credentials_dir: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """One sentence about a broker that takes our messages.

    Connects under a client id of its own, so that a running agent is not thrown out.

    Raises:
        ConfigError: a certificate, key or password file is unreadable or invalid.
        BrokerError: why the broker cannot be reached, refuses us, refuses the probe, or lets us not read.
    """
    if not config.host:
        return "no broker is set (mqtt.host): telemetry stays on the board"
    names = Names(site, device)
    access = read_access(config, credentials_dir)
    try:
        _try(access, names, 5, clock)
    except OtherVersionError as error:
        return _check_old(access, names, clock, error)
    return f"{access.where} takes our messages (MQTT 5; a probe to {names.topic(PROBE)} was acknowledged)"


def _check_old(access: Access, names: Names, clock: Callable[[], float], first: BrokerError) -> str:
    try:
        _try(access, names, 4, clock)
    except OtherVersionError:
        raise BrokerError(str(first)) from None
    doubt = "this version does not tell whether its access rules let the probe through"
    return f"{access.where} takes our messages (MQTT 3.1.1: {doubt})"


def _try(access: Access, names: Names, version: Version, clock: Callable[[], float]) -> None:
    with visit(access, f"{names.client_id}.check", version, clock) as link:
        _publish(link, access, names, clock)
        _read_back(link, access, names, version, clock)


@contextmanager
def visit(access: Access, client_id: str, version: Version, clock: Callable[[], float]) -> Iterator[Link]:
    """A connection for a short errand, beside the agent's own: open and let in, closed at the end of the block.

    Raises:
        OtherVersionError: the broker may speak another version of MQTT.
        BrokerError: it cannot be reached, or refuses us.
    """
    link = PahoLink(access, client_id=client_id, version=version, wake=Wake(), will=None)
    try:
        link.open()
    except (OSError, ValueError) as error:
        raise BrokerError(reasons.of_error(error, access)) from None
    try:
        _log_in(link, access, clock)
        yield link
    finally:
        link.close()


def _log_in(link: Link, access: Access, clock: Callable[[], float]) -> None:
    event = wait_for((Accepted, Refused), link, access, clock)
    match event:
        case Refused() if event.code == UNSUPPORTED_VERSION:
            raise OtherVersionError(reasons.of_refusal(event.code, event.name, access))
        case Refused():
            raise BrokerError(reasons.of_refusal(event.code, event.name, access))
        case Closed():
            raise OtherVersionError(reasons.of_early_close(event.detail, access))
        case None:
            raise OtherVersionError(reasons.of_silence(access))


def _publish(link: Link, access: Access, names: Names, clock: Callable[[], float]) -> None:
    stamper = Stamper(device=names.device, boot=new_boot(), clock=clock, wall=wall_clock)
    body = msgspec.json.encode(translate.event(stamper.stamp("e"), "check", {}))
    link.publish(names.topic(PROBE), body, qos=1, retain=False)
    event = wait_for((Acked,), link, access, clock)
    match event:
        case Acked() if event.refusal:
            who = f"user {access.username!r}" if access.username else "a connection without user name"
            topic = names.topic("#")
            raise BrokerError(f"{access.where} does not let {who} publish to {topic} ({event.refusal}): check its ACL")
        case Closed():
            raise BrokerError(reasons.of_close(event.detail, access))
        case None:
            raise BrokerError(f"{access.where} acknowledges nothing within {access.timeout_s:g} s: does it hang?")


def _read_back(link: Link, access: Access, names: Names, version: Version, clock: Callable[[], float]) -> None:
    """What the broker takes below ``a/`` and ``cmd/`` is to come back; nothing is learnt where we may not write."""
    link.subscribe([names.topic("a/+"), names.topic("cmd/+/+")], qos=0)
    granted = wait_for((Subscribed,), link, access, clock)
    if isinstance(granted, Subscribed) and granted.refusal:
        raise BrokerError(_unread(access, names.topic("cmd/+/+"), f" ({granted.refusal})"))
    # 3.1.1 does not tell that we may not write there, and a board need not ask itself for anything
    probes = [names.topic(below) for below in (READ_BACK if version == 5 else READ_BACK[:1])]
    waiting = {link.publish(topic, b"", qos=1, retain=False): topic for topic in probes}
    by_s = clock() + min(READ_BACK_S, access.timeout_s)
    while waiting and clock() < by_s:
        for event in link.poll(by_s - clock()):
            match event:
                case Acked(mid=mid) if event.refusal:
                    waiting.pop(mid, None)
                case Received(topic=topic):
                    waiting = {mid: asked for mid, asked in waiting.items() if asked != topic}
                case Closed():
                    raise BrokerError(reasons.of_close(event.detail, access))
                case _:
                    pass
    if waiting:
        raise BrokerError(_unread(access, names.topic(f"{next(iter(waiting.values())).split('/')[4]}/#"), ""))


def _unread(access: Access, topic: str, how: str) -> str:
    who = f"user {access.username!r}" if access.username else "a connection without user name"
    return (
        f"{access.where} takes our messages but does not let {who} read {topic}{how}: "
        "commands and what is desired would never arrive; check its ACL"
    )


def wait_for(kinds: tuple[type, ...], link: Link, access: Access, clock: Callable[[], float]) -> LinkEvent | None:
    """The first event of these kinds, or the end of the connection; None when neither comes in time."""
    by_s = clock() + access.timeout_s
    while clock() < by_s:
        for event in link.poll(by_s - clock()):
            if isinstance(event, (*kinds, Closed)):
                return event
    return None
