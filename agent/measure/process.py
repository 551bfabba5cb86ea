"""This process and the memory around it, from ``/proc``.

In: the folder in front of ``/proc``, a clock, and a counter of this process's CPU seconds. Out: bytes and percent, or
None where this kernel has no such file. Telemetry thread: ``smaps_rollup`` walks every mapping, about a millisecond.

``VmRSS`` may lag by some pages per thread (the kernel sums per-thread counters now and then: man 5 proc); ``Pss`` is
exact. Memory of delegates and GPUs is in neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import TABLE_BYTES, find_field, read_kilobytes, read_text


@dataclass(frozen=True, slots=True)
class Status:
    """What ``/proc/self/status`` says of this process, in bytes."""

    rss_bytes: int
    peak_rss_bytes: int
    threads: int


def status(root: Path) -> Status | None:
    """Resident memory now and at its peak, and threads; raises as :func:`~agent.measure.files.read_text`."""
    path = root / "proc/self/status"
    text = read_text(path, TABLE_BYTES)
    if text is None:
        return None
    kilobytes = r"([1-9][0-9]{0,14}) kB"
    return Status(
        rss_bytes=1024 * int(find_field(text, "VmRSS", kilobytes, path)),
        peak_rss_bytes=1024 * int(find_field(text, "VmHWM", kilobytes, path)),
        threads=int(find_field(text, "Threads", r"([1-9][0-9]{0,6})", path)),
    )


def pss_bytes(root: Path) -> int | None:
    """Resident memory with shared pages divided among their users (Linux 4.14 and later)."""
    return read_kilobytes(root / "proc/self/smaps_rollup", "Pss")


def available_bytes(root: Path) -> int | None:
    """Memory that could be taken without swapping, of the whole board."""
    return read_kilobytes(root / "proc/meminfo", "MemAvailable")


class CpuMeter:
    """CPU percent of this process between two readings, all threads: 100 is one core, busy all the time.

    Args:
        clock: monotonic seconds.
        cpu_clock: CPU seconds that this process has used.
    """

    def __init__(self, clock: Callable[[], float], cpu_clock: Callable[[], float]) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._at_s = clock()
        self._used_s = cpu_clock()

    def percent(self) -> float | None:
        """Since the last call (the first: since the start); None when no time has passed."""
        now_s, used_s = self._clock(), self._cpu_clock()
        passed_s, work_s = now_s - self._at_s, used_s - self._used_s
        self._at_s, self._used_s = now_s, used_s
        return 100.0 * work_s / passed_s if passed_s > 0.0 and work_s >= 0.0 else None
