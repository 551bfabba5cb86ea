"""What the board was like over a window: read between windows, so that it costs the measurement nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.measure import EnergyMeter, EnergySource, Load, RailMeter, Sensors, read_load
from agent.records import BoardReading


@dataclass(frozen=True, slots=True)
class Conditions:
    """The board over one stretch.

    Attributes:
        reading: the slow sensors at its end.
        others_cores, own_cores: cores kept busy, on average.
        waited_share, stolen_share: by the stretch's length.
        energy_joules: used over it, by what ``energy_source`` names; None: the board does not tell.
    """

    reading: BoardReading
    others_cores: float | None = None
    own_cores: float | None = None
    waited_share: float | None = None
    stolen_share: float | None = None
    energy_joules: float | None = None
    energy_source: EnergySource = ""


class Observer:
    """Reads the board; owned by the thread that measures.

    Args:
        sensors: temperatures, clock, power, memory.
        root: the folder in front of ``/sys`` and ``/proc``.
        clock: monotonic seconds.
        load: the processor's counters.
    """

    def __init__(
        self,
        sensors: Sensors,
        root: Path,
        clock: Callable[[], float],
        load: Callable[[Path], Load] = read_load,
    ) -> None:
        self._sensors, self._root, self._clock, self._load = sensors, root, clock, load
        watts = sensors.watts()
        self._energy = EnergyMeter(root) if watts is None else RailMeter(watts, clock)
        self.begin()

    def begin(self) -> None:
        """A stretch begins."""
        self._energy.begin()
        self._before = self._load(self._root)
        self._begun_s = self._clock()

    def end(self) -> Conditions:
        """It has ended; what is read now takes its time, and none of the next stretch's."""
        ended_s = self._clock()
        now, joules = self._load(self._root), self._energy.joules()
        lasted_s = ended_s - self._begun_s
        reading = self._sensors.read()
        if not lasted_s > 0.0:
            return Conditions(reading)
        before = self._before
        own = max(0.0, now.own_s - before.own_s) / lasted_s
        busy = _difference(now.busy_s, before.busy_s)
        return Conditions(
            reading,
            others_cores=None if busy is None else max(0.0, busy / lasted_s - own),
            own_cores=own,
            waited_share=_share(now.waited_s, before.waited_s, lasted_s),
            stolen_share=_share(now.stolen_s, before.stolen_s, lasted_s),
            energy_joules=joules,
            energy_source="" if joules is None else self._energy.source,
        )

    def close(self) -> None:
        """No stretch follows."""
        self._energy.close()


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else max(0.0, now - before)


def _share(now: float | None, before: float | None, lasted_s: float) -> float | None:
    grown = _difference(now, before)
    return None if grown is None else grown / lasted_s
