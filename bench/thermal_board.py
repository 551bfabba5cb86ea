"""A board that gets hot: a model, fitted to published curves. No board was seen.

Two masses: the die on the board, the board in the air. Watts do not enter, only what the curves show: by how many
degrees a part ends up above the air, idle and with four busy cores at full clock, which share of that lies between die
and board, and the two time constants. Ambient temperature is not in the stressberry files; 22 C is assumed there.

Where the figures come from:

========== ========== =========================================================================================
Pi 3B+     Flirc case stressberry (github.com/nschloe/stressberry) commit fad2ec9, ``rpi3b+-flirc.dat``: 0 to 340 s,
                      before the soft limit shows; rms error 0.4 C.
Pi 3B+     bare       no published curve was found. The Flirc fit, with the idle and load rises scaled by what the
                      same owner reports of another case (issue 16 there: rests at 52 C instead of 44: x 1.36), and
                      the time constants of the bare Pi 4, whose board is of the same make.
Pi 4       bare       the same, commit 8568cb7, ``rpi4b-stock.dat`` ("no case", 1.5 GHz): rms error 0.6 C.
Pi 4       Flirc case the same, commit 6d5ea7b, ``rpi4b-flirc.dat``: rms error 0.6 C; five minutes of load say
                      little of its slow part.
Pi 5       heat sink  github.com/cloudshare360/rpi5, "Thermal Analysis": 2.4 GHz, 22-24 C, passive heat sink: idles at
                      48-51 C, 67.3 C at the end of a stress test; time constants from its table of one run.
Pi 5       bare       no published curve was found. Idle 50 C (rises by 28); load from the power drawn, 7.2 W beside
                      3 W idle: x 2.4, so 89 C at 22 C: what Phoronix saw as its peak ("Raspberry Pi 5 Benchmarks",
                      p. 2: 89 C). Time constants of the bare Pi 4.
========== ========== =========================================================================================

Firmware: 80 C and above throttle progressively, 85 C is the hard limit (Raspberry Pi documentation, "Frequency
management and thermal control"); the curve between goes through 94 % of the clock at 82.9 C and 1.5 of 2.4 GHz when hot
(raspberrypi/rpi-eeprom issue 518, a Pi 5). The 3B+ runs at 1.2 instead of 1.4 GHz above 60 C (documentation).
Voltage follows the clock as measured on a Pi 5: 0.915 V at 2.4 GHz, 0.820 V at 1.5 GHz, straight between
(geerlingguy/sbc-reviews issue 21); the same slope is assumed of the others. It favours the throttled board.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Body:
    """How one board with its cooling takes heat.

    Attributes:
        idle_rise_celsius, load_rise_celsius: above the air in the end: idle, and with four busy cores at full clock.
        die_share: of that rise between die and board.
        die_s, board_s: time constants.
    """

    idle_rise_celsius: float
    load_rise_celsius: float
    die_share: float
    die_s: float
    board_s: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One model of board.

    Attributes:
        name: as in the device tree, for the governor's defaults.
        full_hz, lowest_hz: clock, and how far heat takes it down.
        soft_celsius, soft_hz: a soft limit, where there is one.
        frame_s: time of one frame at full clock, four cores busy: a figure to calculate with, not a measurement.
    """

    name: str
    full_hz: float
    lowest_hz: float
    frame_s: float
    soft_celsius: float | None = None
    soft_hz: float = 0.0


PI3 = Kind("Raspberry Pi 3 Model B Plus Rev 1.3", 1.4e9, 0.6e9, 0.120, 60.0, 1.2e9)
PI4 = Kind("Raspberry Pi 4 Model B Rev 1.4", 1.5e9, 0.6e9, 0.060)
PI5 = Kind("Raspberry Pi 5 Model B Rev 1.0", 2.4e9, 1.5e9, 0.040)

BODIES: dict[str, tuple[Kind, Body]] = {
    "Pi 3B+, bare": (PI3, Body(29.9, 59.6, 0.45, 7.5, 111.0)),
    "Pi 3B+, heat sink": (PI3, Body(22.0, 43.8, 0.38, 3.9, 256.0)),
    "Pi 4, bare": (PI4, Body(25.0, 50.4, 0.45, 7.5, 111.0)),
    "Pi 4, heat sink": (PI4, Body(15.0, 34.5, 0.36, 2.6, 440.0)),
    "Pi 5, bare": (PI5, Body(28.0, 67.0, 0.45, 7.5, 111.0)),
    "Pi 5, heat sink": (PI5, Body(26.5, 44.5, 0.60, 6.0, 90.0)),
}

HARD_CURVE = ((80.0, 1.0), (82.9, 0.94), (85.0, 0.0))
"""Temperature, and where the clock is between its lowest (0) and full (1); 0.94 is of the full clock."""

POLL_S = 1.0
SOFT_HYSTERESIS_CELSIUS = 0.5


class Board:
    """Temperature and clock from load, in steps; ``fixed_voltage``: the voltage stays when the clock falls."""

    def __init__(self, kind: Kind, body: Body, ambient_celsius: float, *, fixed_voltage: bool = False) -> None:
        self.kind, self.body, self.ambient_celsius = kind, body, ambient_celsius
        self._fixed_voltage = fixed_voltage
        self.board_celsius = ambient_celsius + body.idle_rise_celsius * (1.0 - body.die_share)
        self.die_celsius = ambient_celsius + body.idle_rise_celsius
        self.clock_hz = kind.full_hz
        self._poll_in_s = POLL_S
        self._is_soft = False

    @property
    def is_throttled(self) -> bool:
        """The firmware holds the clock back."""
        return self.clock_hz < self.kind.full_hz

    def step(self, span_s: float, busy: float) -> None:
        """Time passes with a part of it, 0 to 1, spent on four busy cores."""
        body = self.body
        clock = self.clock_hz / self.kind.full_hz
        load = busy * clock * (1.0 if self._fixed_voltage else volts(clock) ** 2)
        rise = body.idle_rise_celsius + load * (body.load_rise_celsius - body.idle_rise_celsius)
        board_end = self.ambient_celsius + rise * (1.0 - body.die_share)
        self.board_celsius += (board_end - self.board_celsius) * -math.expm1(-span_s / body.board_s)
        die_end = self.board_celsius + rise * body.die_share
        self.die_celsius += (die_end - self.die_celsius) * -math.expm1(-span_s / body.die_s)
        self._poll_in_s -= span_s
        if self._poll_in_s <= 0.0:
            self._poll_in_s += POLL_S
            self._set_clock()

    def _set_clock(self) -> None:
        kind, celsius = self.kind, self.die_celsius
        full_hz = kind.full_hz
        if kind.soft_celsius is not None:
            back = SOFT_HYSTERESIS_CELSIUS if self._is_soft else 0.0
            self._is_soft = celsius >= kind.soft_celsius - back
            full_hz = kind.soft_hz if self._is_soft else full_hz
        # whole steps of 100 MHz above the lowest, as a Pi 5 has them
        wanted_hz = min(full_hz, kind.full_hz * hard_share(celsius, kind.lowest_hz / kind.full_hz))
        self.clock_hz = max(kind.lowest_hz, math.floor(wanted_hz / 1e8 + 1e-9) * 1e8)


def hard_share(celsius: float, lowest: float) -> float:
    """Part of the full clock that the hard limit leaves.

    >>> [round(hard_share(celsius, 0.625), 3) for celsius in (79.0, 82.9, 84.0, 90.0)]
    [1.0, 0.94, 0.775, 0.625]
    """
    (low, _), (knee, at_knee), (high, _) = HARD_CURVE
    if celsius <= low:
        return 1.0
    if celsius <= knee:
        return 1.0 - (celsius - low) / (knee - low) * (1.0 - at_knee)
    return max(lowest, at_knee - (celsius - knee) / (high - knee) * (at_knee - lowest))


def volts(clock: float) -> float:
    """Core voltage at a part of the full clock, as a part of the voltage there.

    >>> round(volts(1.5 / 2.4), 3), volts(1.0)
    (0.896, 1.0)
    """
    return 1.0 - (1.0 - clock) * (0.915 - 0.820) / 0.915 / (1.0 - 1.5 / 2.4)


def sensor(celsius: float, rng: random.Random) -> float:
    """What the board's sensor says: half-degree steps, and a degree of noise either way as in the curves."""
    return round((celsius + rng.uniform(-1.0, 1.0)) * 2.0) / 2.0
