"""The Raspberry Pi's mailbox as a sensor: opened once, broken once, and never in the way of the others.

In: a way to the firmware, or the folder in front of ``/dev``. Out: what :class:`~agent.measure.mailbox.Mailbox` tells,
None where there is none. Each answer is judged: a firmware lies as well as a bus does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.measure.mailbox import Mailbox, Transact, open_vcio
from agent.measure.rails import watts
from agent.measure.thermal import plausible_celsius, plausible_hertz

T = TypeVar("T")

MOST_VOLTS = 5.0


class Firmware:
    """What the firmware says.

    Args:
        root: folder in front of ``/dev``.
        transact: the way to it; ``/dev/vcio`` when not given.
    """

    def __init__(self, root: Path, transact: Transact | None = None) -> None:
        self._path = root / "dev/vcio"
        self._mailbox = Mailbox(transact) if transact is not None else None

    def reach(self, _: Path) -> bool | None:
        """True once there is a way to the firmware; None where this machine has none.

        Raises:
            OSError: there is one and it may not be used.
        """
        if self._mailbox is None:
            transact = open_vcio(self._path)
            self._mailbox = Mailbox(transact) if transact is not None else None
        return True if self._mailbox is not None else None

    def word(self, _: Path) -> int | None:
        """The throttle word."""
        return self._ask(Mailbox.throttled)

    def arm_hz(self, _: Path) -> float | None:
        """The processor's measured clock."""
        hertz = self._ask(Mailbox.arm_hz)
        return None if hertz is None else plausible_hertz(hertz, "the firmware")

    def soc_celsius(self, _: Path) -> float | None:
        """The processor's temperature."""
        return self._celsius(Mailbox.soc_celsius)

    def soc_limit_celsius(self, _: Path) -> float | None:
        """Where the firmware begins to throttle."""
        return self._celsius(Mailbox.soc_limit_celsius)

    def pmic_celsius(self, _: Path) -> float | None:
        """The power chip's temperature."""
        return self._celsius(Mailbox.pmic_celsius)

    def core_volts(self, _: Path) -> float | None:
        """The core's voltage."""
        volts = self._ask(Mailbox.core_volts)
        if volts is not None and not 0.0 < volts < MOST_VOLTS:
            raise ValueError(f"the firmware says {volts} V, which no core bears")
        return volts

    def watts(self) -> float | None:
        """What the power chip's outputs give at this moment; see :mod:`agent.measure.rails` for what is not in it."""
        rails = self._ask(Mailbox.rails)
        return None if rails is None else watts(rails)

    def revision(self, _: Path) -> int | None:
        """The board's revision code."""
        return self._ask(Mailbox.board_revision)

    def _ask(self, question: Callable[[Mailbox], T | None]) -> T | None:
        return None if self._mailbox is None else question(self._mailbox)

    def _celsius(self, question: Callable[[Mailbox], float | None]) -> float | None:
        celsius = self._ask(question)
        return None if celsius is None else plausible_celsius(celsius, "the firmware")
