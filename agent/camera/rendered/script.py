"""What is to happen to the rendered camera, and when: ``drift=dim@30s,haze@90s+20s``. Pure.

Each step is ``NAME@START`` or ``NAME@START+DURATION``: a name from :data:`PRESETS`, or ``KNOB:VALUE``. From ``START``
on, the knob goes evenly from where it stands to its goal, and stays there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.camera.rendered.knobs import RANGES, Knobs, number
from agent.errors import CameraError

PRESETS: dict[str, tuple[tuple[tuple[str, float], ...], float]] = {
    "dim": ((("light", 0.15), ("noise", 6.0), ("kelvin", 3200.0)), 60.0),
    "glare": ((("light", 2.0),), 60.0),
    "dirt": ((("blur", 3.0),), 60.0),
    "noise": ((("noise", 26.0),), 60.0),
    "haze": ((("haze", 0.6),), 60.0),
    "knock": ((("shift_x", 60.0), ("shift_y", -35.0), ("turn", 6.0)), 0.0),
    "cover": ((("occlusion", 0.35),), 5.0),
    "strangers": ((("new_class", 0.3),), 0.0),
    "pause": ((("parts", 0.0),), 0.0),
    "belt": ((("belt", 1.0),), 0.0),
    "freeze": ((("frozen", 1.0),), 0.0),
    "black": ((("black", 1.0),), 0.0),
    "tear": ((("torn", 0.3),), 0.0),
}
"""Name -> goals of knobs, and how long it takes to get there, seconds."""

_STEP = re.compile(r"([a-z_]+)(?::(-?[0-9.]+))?@([0-9.]+)s?(?:\+([0-9.]+)s?)?")


@dataclass(frozen=True, slots=True)
class Step:
    """One knob's way to its goal."""

    knob: str
    goal: float
    start_s: float
    duration_s: float

    def between(self, before: float, time_s: float) -> float:
        """Where the knob stands at a time after the start, coming from ``before``."""
        passed_s = time_s - self.start_s
        if passed_s >= self.duration_s:
            return self.goal
        return before + passed_s / self.duration_s * (self.goal - before)


@dataclass(frozen=True, slots=True)
class Script:
    """All steps, in the order in which they begin."""

    steps: tuple[Step, ...] = ()

    def at(self, base: Knobs, time_s: float) -> Knobs:
        """The knobs at a time since the camera was opened.

        >>> read_script("light:0.2@10s+10s").at(Knobs(), 15.0).light
        0.6
        """
        knobs = base
        for step in self.steps:
            if time_s >= step.start_s:
                knobs = knobs.turned(step.knob, step.between(getattr(knobs, step.knob), time_s))
        return knobs


NOTHING = Script()


def read_script(text: str) -> Script:
    """The steps in a ``drift=`` of the address.

    Raises:
        CameraError: a step cannot be read; the sentence shows how it is written.
    """
    steps = [step for part in text.split(",") if part for step in _read_step(part)]
    return Script(tuple(sorted(steps, key=lambda step: step.start_s)))


def _read_step(text: str) -> list[Step]:
    found = _STEP.fullmatch(text)
    if not found:
        raise CameraError(f"demo camera: drift={text}: is no step; write it as dim@30s, or light:0.2@30s+10s")
    name, goal, start, duration = found.groups()
    start_s = number("drift", start, 0.0, 1e6)
    if goal is not None and name in RANGES:
        goals: tuple[tuple[str, float], ...] = ((name, number(name, goal, *RANGES[name])),)
        usual_s = 0.0
    elif goal is None and name in PRESETS:
        goals, usual_s = PRESETS[name]
    else:
        raise CameraError(f"demo camera: drift={text}: say one of {', '.join(PRESETS)}, or KNOB:VALUE@START")
    duration_s = number("drift", duration, 0.0, 1e6) if duration else usual_s
    return [Step(knob, value, start_s, duration_s) for knob, value in goals]
