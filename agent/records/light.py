"""What is told of the correction of the light: one change of it, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.records.correction import Correction

ChangeCause = Literal["followed", "released", "resumed", "noise", "relearn", "dropped", "off"]
LightState = Literal["off", "learning", "blocked", "known"]


@dataclass(frozen=True, slots=True)
class LightChange:
    """One change of the correction, for the log and for whoever listens.

    Attributes:
        at_s: monotonic time.
        why: ``followed`` the light; ``released``: it made the picture worse; ``resumed``: it makes it
            better again; ``noise``: it lifted too much of it; ``relearn``: the light is learned anew; ``dropped``: it
            belonged to another reference, or to another correction of the model; ``off``: the settings allow it no
            more.
        previous: what was in force.
        correction: what is to be.
        target: what the newest frames ask for; the same, unless that is more than a step away.
        noise: the sensor's noise, grey levels.
        is_acted: it is done; else it would be.
    """

    at_s: float
    why: ChangeCause
    previous: Correction
    correction: Correction
    target: Correction
    noise: float
    is_acted: bool = True


@dataclass(frozen=True, slots=True)
class LightStatus:
    """How the correction stands.

    Attributes:
        state: ``off``: nobody follows the light; ``learning``: the reference is not known yet; ``blocked``: nor can it
            be learned, for a correction lies over the model; ``known``: the light is followed.
        is_acted: ``correction`` is in force; else it is advice.
        learned: frames of the reference so far, while it is learned.
        wanted: frames that it takes.
        correction: what is in force, or advised; None: nothing.
        why: the newest change's reason, in words; empty when there was none since the start.
        held: the correction that lies over the model, while it is held back; None: it is not, or there is none.
    """

    state: LightState = "off"
    is_acted: bool = False
    learned: int = 0
    wanted: int = 0
    correction: Correction | None = None
    why: str = ""
    held: Correction | None = None
