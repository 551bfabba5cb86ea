"""The clock, the broker and its certificates."""

from __future__ import annotations

from collections.abc import Iterator

from agent import publish
from agent.doctor.record import Check, Finding, Trap, fine
from agent.doctor.scene import Scene
from agent.errors import BrokerError, ConfigError
from agent.measure import host
from agent.publish import certificate

SOON_S = 30 * 86_400.0
"""Certificates that end sooner are told."""

UNSYNCED = Trap(
    "clock-unsynced",
    "warning",
    "What is measured before the time is known cannot be dated, and TLS refuses certificates that seem not yet valid.",
    "timedatectl set-ntp true; behind a firewall name your own server in /etc/systemd/timesyncd.conf",
)
UNREACHABLE = Trap(
    "broker-unreachable",
    "problem",
    "Telemetry waits on the board, and what is too old is dropped.",
    "Follow the sentence; `edge-agent check` tries again.",
    69,
)
BAD_ACCESS = Trap(
    "broker-settings",
    "problem",
    "A certificate, key or password file of [mqtt] cannot be used: the agent does not start with it.",
    "Correct the setting that is named.",
    78,
)
ENDS = Trap(
    "certificate-ends",
    "warning",
    "When a certificate ends the broker is out of reach for this board, from one second to the next.",
    "Renew it; a certificate of the board's own is read anew at the next start.",
)
ENDED = Trap(
    "certificate-ended",
    "problem",
    "TLS refuses a certificate outside its dates. When the board's clock is wrong, a good one looks so too.",
    "Renew it, or set the clock (timedatectl).",
    69,
)


def clock(scene: Scene) -> Iterator[Finding]:
    """Whether the time is known, and kept over a power cut."""
    kernel = scene.kernel_synced()
    synced = host.clock_synced(scene.root) if kernel is None else kernel
    if synced is False:
        yield UNSYNCED.found("no time server has set the clock since boot")
    else:
        yield fine("clock", "set by a time server" if synced else "cannot tell who sets it")
    if not host.has_battery_clock(scene.root):
        seen = "no battery clock: after a power cut the time is wrong until a time server answers"
        yield Finding("clock", "note", seen)


def broker(scene: Scene) -> Iterator[Finding]:
    """Whether the broker takes a message of ours."""
    config = scene.config.mqtt
    if not config.host:
        yield Finding("broker", "note", "none is configured (mqtt.host): telemetry stays on the board")
        return
    try:
        yield fine("broker", publish.check(config, site=scene.config.device.site, device=scene.device))
    except BrokerError as error:
        yield UNREACHABLE.found(str(error))
    except ConfigError as error:
        yield BAD_ACCESS.found(str(error))


def certificates(scene: Scene) -> Iterator[Finding]:
    """How long our certificate and the broker's are good for."""
    for whose, ask in (("ours", certificate.own), ("the broker's", certificate.theirs)):
        try:
            found = ask(scene.config.mqtt)
        except BrokerError as error:
            yield Finding("certificates", "note", f"{whose}: {error}")
            continue
        except ConfigError as error:
            yield BAD_ACCESS.found(str(error))
            continue
        if found is not None:
            yield _dated(scene.now_s, whose, found)


def _dated(now_s: float, whose: str, found: certificate.Validity) -> Finding:
    days = (found.ends_s - now_s) / 86_400.0
    if now_s < found.begins_s:
        return ENDED.found(f"{whose}: valid only in {(found.begins_s - now_s) / 86_400.0:.1f} days from now")
    if days < 0:
        return ENDED.found(f"{whose}: ended {-days:.0f} days ago")
    seen = f"{whose}: {days:.0f} days left"
    return ENDS.found(seen) if days * 86_400.0 < SOON_S else fine("certificates", seen)


CHECKS = (
    Check("clock", "The clock", clock, (UNSYNCED,)),
    Check("broker", "The broker", broker, (UNREACHABLE, BAD_ACCESS)),
    Check("certificates", "TLS certificates", certificates, (ENDS, ENDED, BAD_ACCESS)),
)
