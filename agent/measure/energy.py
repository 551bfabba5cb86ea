"""Energy that the processor has used, where the board says so.

In: the folder in front of ``/sys``. Out: joules between two calls, or None. PCs say it through powercap (RAPL), which
only root may read since Linux 5.10 (CVE-2020-8694). A Raspberry Pi 5 tells the currents of its power chip through the
firmware's mailbox only and no board before it tells anything: None there.
"""

from __future__ import annotations

from pathlib import Path

from agent.measure.files import read_line, read_number

_DOMAINS = "sys/class/powercap/intel-rapl:[0-9]*"
"""Packages, their parts (``intel-rapl:0:0``, told by their names) and the platform; AMD's driver uses the same."""


class EnergyMeter:
    """Joules of all processor packages between two calls; the counters run over, which is taken into account.

    Args:
        root: the folder in front of ``/sys``.
    """

    def __init__(self, root: Path) -> None:
        self._packages = sorted(root.glob(_DOMAINS))
        self._before = self._counts()

    def joules(self) -> float | None:
        """Since the last call (the first: since the meter was made); None when any package does not say."""
        before, now = self._before, self._counts()
        self._before = now
        if not now or before is None or now.keys() != before.keys():
            return None
        microjoules = sum((count - before[path][0]) % (most + 1) for path, (count, most) in now.items())
        return microjoules / 1e6

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
