"""Carries the governor's word to the camera, the health card, the broker and the log.

``take`` is called on the telemetry thread with each health card; the camera reads one number.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from agent.camera import Camera
from agent.config import GovernorConfig
from agent.governor import Governor, is_news, limits_of
from agent.publish import Publisher
from agent.records import Health, Heat, Pace

log = logging.getLogger("agent.governor")


class Pacing:
    """The governor at work.

    Args:
        config: the ``[governor]`` table.
        model: the board's name, for where it throttles.
        camera: takes the pace, where the mode is ``act``.
        publisher: told of changes; None without a broker.
    """

    def __init__(self, config: GovernorConfig, model: str, camera: Camera, publisher: Publisher | None) -> None:
        self._governor = Governor(config, limits_of(model))
        self._camera, self._publisher = camera, publisher
        self._told = self._governor.pace
        self._fresh: deque[GovernorConfig] = deque(maxlen=1)

    def reconfigure(self, config: GovernorConfig) -> None:
        """Other settings with the next reading; on any thread."""
        self._fresh.append(config)

    @property
    def pace(self) -> Pace:
        """The newest word."""
        return self._governor.pace

    def take(self, health: Health) -> None:
        """A new reading."""
        if self._fresh:
            self._governor.reconfigure(self._fresh.pop())
        pace = self._governor.look(heat_of(health))
        self._camera.interval_s = pace.interval_s if pace.is_acted else 0.0
        if is_news(self._told, pace):
            self._told = pace
            self._tell(pace)

    def _tell(self, pace: Pace) -> None:
        _level(pace)("%s", sentence(pace))
        if self._publisher is not None:
            data = {"state": pace.state, "fps": _rounded(pace.fps), "share": round(pace.share, 3)}
            self._publisher.event("paced", {**data, "acted": pace.is_acted, "why": pace.why})


def _level(pace: Pace) -> Callable[..., None]:
    return log.warning if pace.state in {"paced", "slowest"} else log.info


def _rounded(fps: float | None) -> float | None:
    return None if fps is None else round(fps, 2)


def heat_of(health: Health) -> Heat:
    """What the governor goes by."""
    thermal, invoke = health.board.thermal, health.stages.get("invoke")
    return Heat(
        at_s=health.board.taken_s,
        soc_celsius=thermal.soc_celsius,
        accelerator_celsius=thermal.accelerator_celsius,
        throttled=thermal.throttled,
        fps=health.fps,
        invoke_p50_s=invoke.p50_s if invoke else None,
    )


def sentence(pace: Pace) -> str:
    """The pace for a person.

    >>> sentence(Pace("paced", 0.1, 0.8, False, "81 C; 79 C is the target"))
    'would take at most 10.0 frames a second (80 % of the free rate): 81 C; 79 C is the target'
    """
    if pace.fps is None:
        return f"takes frames as they come: {pace.why}" if pace.why else "takes frames as they come"
    verb = "takes" if pace.is_acted else "would take"
    return f"{verb} at most {pace.fps:.1f} frames a second ({100 * pace.share:.0f} % of the free rate): {pace.why}"
