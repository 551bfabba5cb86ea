"""All checks in turn, each failing alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from agent import __version__
from agent.doctor import accelerator, network, power, software, storage, system
from agent.doctor.record import Check, Diagnosis, Finding
from agent.doctor.scene import Scene
from agent.errors import AgentError
from agent.measure import Sensors

CHECKS: tuple[Check, ...] = (
    *(*software.CHECKS, *power.CHECKS, *storage.CHECKS, *network.CHECKS),
    *(*system.CHECKS, *accelerator.CHECKS),
)

PATIENCE_S = 60.0
"""How long one check may take on top of the deadlines that it has of its own; a sensor's bus can hang in the kernel."""


def examine(scene: Scene, checks: Sequence[Check] = CHECKS, *, patience_s: float | None = None) -> Diagnosis:
    """Look at everything; a check that fails or hangs becomes a note and keeps no other from looking.

    Raises:
        ConfigError: ``measure.sys_root`` is no folder.
    """
    own_s = scene.config.runtime.prove_timeout_s + scene.config.mqtt.connect_timeout_s
    limit_s = PATIENCE_S + own_s if patience_s is None else patience_s
    findings = [finding for check in checks for finding in _findings(check, scene, limit_s)]
    return Diagnosis(__version__, Sensors(scene.config.measure).info(), tuple(findings))


def _findings(check: Check, scene: Scene, limit_s: float) -> Iterator[Finding]:
    found: list[Finding] = []
    reader = threading.Thread(target=_look, args=(check, scene, found), name=f"check-{check.id}", daemon=True)
    reader.start()
    reader.join(limit_s)
    yield from list(found)
    if reader.is_alive():
        yield Finding(check.id, "note", f"could not be looked at: no answer within {limit_s:g} s")


def _look(check: Check, scene: Scene, found: list[Finding]) -> None:
    try:
        found.extend(check.look(scene))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        found.append(Finding(check.id, "note", f"could not be looked at: {where}{error.strerror or error}"))
    except (ValueError, AgentError) as error:
        found.append(Finding(check.id, "note", f"could not be looked at: {error}"))
