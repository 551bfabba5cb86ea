"""The knobs of the rendered camera, each with its range; read from an address, turned while the camera runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import unquote

from agent.errors import CameraError

RANGES: dict[str, tuple[float, float]] = {
    "light": (0.0, 2.5),
    "kelvin": (2000.0, 12000.0),
    "cycle_s": (0.0, 86400.0),
    "blur": (0.0, 12.0),
    "noise": (0.0, 60.0),
    "gain": (0.0, 1.0),
    "haze": (0.0, 0.95),
    "shift_x": (-200.0, 200.0),
    "shift_y": (-150.0, 150.0),
    "turn": (-30.0, 30.0),
    "occlusion": (0.0, 0.6),
    "new_class": (0.0, 1.0),
    "parts": (0.0, 1.0),
    "belt": (0.0, 1.0),
    "shadow": (0.0, 1.0),
    "torn": (0.0, 1.0),
    "jpeg": (0.0, 100.0),
    "frozen": (0.0, 1.0),
    "black": (0.0, 1.0),
}
"""Lowest and highest value of each knob."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """How the scene, the lens and the sensor are at one moment; the defaults are a clear day.

    Attributes:
        light: of the scene, 1.0 is day, 0.5 dusk, 0.15 night.
        kelvin: colour of the light; 5500 is neutral.
        cycle_s: length of a day in which ``light`` falls to a tenth and comes back; 0: the sun stands still.
        blur: a dirty or unfocused lens, standard deviation in pixels.
        noise: of the sensor, standard deviation in steps of 255.
        gain: how far the camera amplifies darkness into noise: at 1, half the light doubles the noise.
        haze: share of the picture that is white veil: steam, dust, a fogged lens.
        shift_x: the camera was knocked, pixels to the right.
        shift_y: the same, downwards.
        turn: the same, degrees.
        occlusion: share of the picture that something near the lens covers.
        new_class: share of parts that are of a kind which no model was trained on.
        parts: share of the usual parts that lie on the belt; at 0 the line stands still and the belt is empty.
        belt: colour of the belt, from dark rubber (0) to pale blue (1).
        shadow: depth of the shadows that people cast in passing.
        torn: share of frames whose lower part is of another moment.
        jpeg: quality of a real JPEG round trip; 0: none (the noise has a JPEG's blocks all the same).
        frozen: from 0.5 on the camera gives the same picture for ever.
        black: from 0.5 on it gives black ones.
    """

    light: float = 1.0
    kelvin: float = 5500.0
    cycle_s: float = 0.0
    blur: float = 0.0
    noise: float = 2.5
    gain: float = 0.0
    haze: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    turn: float = 0.0
    occlusion: float = 0.0
    new_class: float = 0.0
    parts: float = 1.0
    belt: float = 0.0
    shadow: float = 0.3
    torn: float = 0.0
    jpeg: float = 0.0
    frozen: float = 0.0
    black: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = RANGES[field.name]
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise ValueError(f"{field.name} is {value:g}; it goes from {low:g} to {high:g}")

    def turned(self, name: str, value: float) -> Knobs:
        """A copy with one knob turned, as far as it goes."""
        low, high = RANGES[name]
        change: dict[str, Any] = {name: min(max(value, low), high)}
        return replace(self, **change)


DAY = Knobs()

CONDITIONS: dict[str, Knobs] = {
    "day": DAY,
    "dusk": Knobs(light=0.5, kelvin=3800.0, noise=4.0),
    "night": Knobs(light=0.17, kelvin=3000.0, noise=6.0),
    "blur": Knobs(blur=3.0),
    "noise": Knobs(noise=26.0),
    "haze": Knobs(haze=0.6),
}
"""The drifts that models are measured under."""

Query = dict[str, str]


def read_query(text: str) -> Query:
    """The ``name=value`` pairs after the question mark.

    Raises:
        CameraError: a name stands alone, or twice.
    """
    pairs = [part.partition("=") for part in text.split("&")] if text else []
    if not all(name and equals for name, equals, _ in pairs):
        raise CameraError(f"demo camera: {text!r} is no list of knobs; write it as light=0.4&blur=2")
    # Not by parse_qsl: that reads a plus as a blank, and a script's step has one.
    query = {unquote(name): unquote(value) for name, _, value in pairs}
    if len(query) < len(pairs):
        raise CameraError(f"demo camera: a knob stands twice in {text!r}; give each once")
    return query


def number(name: str, text: str, low: float, high: float) -> float:
    """A value in its range.

    Raises:
        CameraError: it is no number, or out of range.
    """
    try:
        value = float(text)
    except ValueError:
        raise CameraError(f"demo camera: {name}={text}: is no number; it goes from {low:g} to {high:g}") from None
    if not low <= value <= high:
        raise CameraError(f"demo camera: {name}={text}: it goes from {low:g} to {high:g}")
    return value


def read_knobs(query: Query, base: Knobs | None = None) -> Knobs:
    """The knobs that a query names, the others as in ``base``.

    Raises:
        CameraError: no such knob, no number, or out of range.

    >>> read_knobs({"light": "0.4"}).light
    0.4
    """
    changes: dict[str, Any] = {}
    for name, text in query.items():
        if name not in RANGES:
            raise CameraError(f"demo camera: {name!r} is no knob; there are {', '.join(RANGES)}")
        changes[name] = number(name, text, *RANGES[name])
    return replace(base or Knobs(), **changes)
