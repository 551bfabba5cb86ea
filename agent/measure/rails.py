"""Volts and amps of a Raspberry Pi 5's power chip, as its firmware prints them, and the watts that they make. Pure.

In: what ``pmic_read_adc`` answers, a line for each channel: ``VDD_CORE_A current(7)=0.81262990A``, further down
``VDD_CORE_V volt(15)=0.86065850V`` (a Pi 5's own answer: ``tests/fixtures/mailbox``). The numbers in brackets are
those of the channels, so volts and amps are paired by the rail's name. Out: twelve rails on a Pi 5. The 5 V input and
the clock's battery have volts only and make no watts.

What the sum is not: all that runs on the 5 V of the plug has no channel (USB ports, the pins of a HAT, the fan), and
what the chip itself loses is in none. Held against a meter at the plug, one board took 1.13 times the sum and 0.64 W
(jfikar/RPi5-power; not applied here). It is told as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST_VOLTS = 6.0
MOST_AMPS = 40.0
"""Over 10 A were seen on the core of an overclocked board."""

_CHANNEL = re.compile(r"([A-Z0-9_]{1,24})_(?:(A) current|(V) volt)\([0-9]{1,3}\)=([0-9]{1,3}\.[0-9]{1,9})([AV])")


@dataclass(frozen=True, slots=True)
class Rail:
    """One output of the power chip."""

    name: str
    volts: float
    amps: float


def parse(text: str) -> tuple[Rail, ...]:
    r"""The rails that have both volts and amps, by name.

    Args:
        text: the firmware's answer.

    Raises:
        ValueError: it is cut, of another form, or tells of what no such chip bears.

    >>> parse("HDMI_A current(22)=0.50000000A\n HDMI_V volt(23)=5.00000000V\n EXT5V_V volt(24)=5.1V")
    (Rail(name='HDMI', volts=5.0, amps=0.5),)
    """
    volts: dict[str, float] = {}
    amps: dict[str, float] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _CHANNEL.fullmatch(line)
        if found is None or (found[2] or found[3]) != found[5]:
            raise ValueError(f"the power chip's channels hold {line[:48]!r}: cut, or of another firmware")
        (amps if found[2] else volts)[found[1]] = float(found[4])
    alone = sorted(amps.keys() - volts.keys())
    if alone or not amps:
        raise ValueError(f"the power chip's channels have no volts for {', '.join(alone) or 'any current'}: cut")
    return tuple(_plausible(Rail(name, volts[name], amps[name])) for name in sorted(amps))


def watts(rails: Iterable[Rail]) -> float:
    """Their sum."""
    return sum(rail.volts * rail.amps for rail in rails)


def _plausible(rail: Rail) -> Rail:
    if rail.volts > MOST_VOLTS or rail.amps > MOST_AMPS:
        raise ValueError(f"the power chip says {rail.volts} V and {rail.amps} A of {rail.name}, which it cannot bear")
    return rail
