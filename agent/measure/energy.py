"""Energy that the board has used, where it says so.

Out: joules between two calls, or None. PCs say it through powercap (RAPL), in counters that only root may read since
Linux 5.10 (CVE-2020-8694): :class:`EnergyMeter`. A Raspberry Pi 5 has no counter; its power chip tells the watts of the
moment, which are looked at now and then and taken times the time: :class:`RailMeter`. Other boards tell nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from agent.measure.files import read_line, read_number

EnergySource = Literal["", "powercap", "pmic"]
"""Who tells: the processor packages, or the power chip of a Pi 5; empty: nobody."""

LOOK_S = 0.5
"""Between two looks at the power chip: one takes 23 ms of the firmware's time (a Pi 5, by ml-energy/zeus
``zeus/device/machine/rpi.py``), so this is less than a twentieth of it."""

_LATE_S = 0.25
_DOMAINS = "sys/class/powercap/intel-rapl:[0-9]*"
"""Packages, their parts (``intel-rapl:0:0``, told by their names) and the platform; AMD's driver uses the same."""


class EnergyMeter:
    """Joules of all processor packages between two calls; the counters run over, which is taken into account.

    Args:
        root: the folder in front of ``/sys``.
    """

    source: EnergySource = "powercap"

    def __init__(self, root: Path) -> None:
        self._packages = sorted(root.glob(_DOMAINS))
        self._before = self._counts()

    def begin(self) -> None:
        """Joules count from now on."""
        self._before = self._counts()

    def joules(self) -> float | None:
        """Since the last call (the first: since the meter was made); None when any package does not say."""
        before, now = self._before, self._counts()
        self._before = now
        if not now or before is None or now.keys() != before.keys():
            return None
        microjoules = sum((count - before[path][0]) % (most + 1) for path, (count, most) in now.items())
        return microjoules / 1e6

    def close(self) -> None:
        """Nothing is held open."""

    def _counts(self) -> dict[Path, tuple[int, int]] | None:
        found = {}
        for package in self._packages:
            try:
                if not (read_line(package / "name") or "").startswith("package"):
                    continue
                count, most = read_number(package / "energy_uj"), read_number(package / "max_energy_range_uj")
            except (OSError, ValueError):
                return None
            if count is None or most is None or not 0 <= count <= most:
                return None
            found[package] = (count, most)
        return found


class RailMeter:
    """Joules by watts that are looked at while work goes on, on a thread of their own (``power``).

    Args:
        watts: asks the board; may block, fail with OSError or ValueError, or say None.
        clock: monotonic seconds.
        look_s: between two looks; the first comes after half of it.
    """

    source: EnergySource = "pmic"

    def __init__(
        self, watts: Callable[[], float | None], clock: Callable[[], float] = time.monotonic, look_s: float = LOOK_S
    ) -> None:
        self._watts, self._clock, self._look_s = watts, clock, look_s
        self._begun_s = clock()
        self._looks: _Looks | None = None

    def begin(self) -> None:
        """Joules count from now on, and looking begins."""
        self.close()
        self._begun_s = self._clock()
        if self._looks is None or self._looks.has_ended(_LATE_S):  # else the firmware hangs: no second thread for it
            self._looks = _Looks(self._watts, self._look_s)

    def joules(self) -> float | None:
        """Since the begin, and looking ends: the mean of what was seen, times the time.

        None when nothing was seen, or when as many looks failed as not.
        """
        lasted_s = self._clock() - self._begun_s
        seen = self._looks.end() if self._looks is not None else []
        told = [watts for watts in seen if watts is not None]
        if 2 * len(told) <= len(seen):
            return None
        return lasted_s * sum(told) / len(told)

    def close(self) -> None:
        """Nobody looks any more."""
        if self._looks is not None:
            self._looks.end()


class _Looks:
    """One stretch of looking; what is asked when it ends is not heard any more."""

    def __init__(self, watts: Callable[[], float | None], look_s: float) -> None:
        self._watts, self._look_s = watts, look_s
        self._over = threading.Event()
        self._seen: list[float | None] = []
        self._thread = threading.Thread(target=self._run, name="power", daemon=True)
        self._thread.start()

    def end(self) -> list[float | None]:
        """What was seen until it ended first; None where a look failed."""
        if not self._over.is_set():
            self._over.set()
            return list(self._seen)
        return []

    def has_ended(self, within_s: float) -> bool:
        """The thread is gone."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause_s = self._look_s / 2
        while not self._over.wait(pause_s):
            pause_s = self._look_s
            try:
                self._seen.append(self._watts())
            except (OSError, ValueError):
                self._seen.append(None)
