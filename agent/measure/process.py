"""This process and the memory around it, from ``/proc``.

In: the folder in front of ``/proc``, a clock, and a counter of this process's CPU seconds. Out: bytes and percent, or
None where this kernel has no such file. Telemetry thread: ``smaps_rollup`` walks every mapping, about a millisecond.

``VmRSS`` may lag by some pages per thread (the kernel sums per-thread counters now and then: man 5 proc); ``Pss`` and
the private pages are exact. Memory of delegates and GPUs is in none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import TABLE_BYTES, find_field, read_text


@dataclass(frozen=True, slots=True)
class Status:
    """What ``/proc/self/status`` says of this process, in bytes."""

    rss_bytes: int
    peak_rss_bytes: int
    threads: int
    swapped_bytes: int | None


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
        swapped_bytes=_optional(text, "VmSwap", path),
    )


@dataclass(frozen=True, slots=True)
class Mappings:
    """What ``/proc/self/smaps_rollup`` says (Linux 4.14 and later), in bytes.

    Attributes:
        pss_bytes: resident memory with shared pages divided among their users.
        uss_bytes: pages that only this process has, clean and dirty; None where the kernel does not say.
    """

    pss_bytes: int
    uss_bytes: int | None


def mappings(root: Path) -> Mappings | None:
    """This process's pages, shared and private; raises as :func:`~agent.measure.files.read_text`."""
    path = root / "proc/self/smaps_rollup"
    text = read_text(path, TABLE_BYTES)
    if text is None:
        return None
    private = [_optional(text, key, path) for key in ("Private_Clean", "Private_Dirty", "Private_Hugetlb")]
    known = [size for size in private[:2] if size is not None]
    return Mappings(
        pss_bytes=1024 * int(find_field(text, "Pss", r"([0-9]{1,15}) kB", path)),
        uss_bytes=sum(known) + (private[2] or 0) if len(known) == 2 else None,
    )


@dataclass(frozen=True, slots=True)
class BoardMemory:
    """What ``/proc/meminfo`` says of the whole board, in bytes.

    Attributes:
        available_bytes: memory that could be taken without swapping.
        swap_free_bytes: swap that is left; None where there is none at all.
    """

    available_bytes: int
    swap_free_bytes: int | None


def board_memory(root: Path) -> BoardMemory | None:
    """Memory and swap that the board still has; raises as :func:`~agent.measure.files.read_text`."""
    path = root / "proc/meminfo"
    text = read_text(path, TABLE_BYTES)
    if text is None:
        return None
    available = 1024 * int(find_field(text, "MemAvailable", r"([0-9]{1,15}) kB", path))
    return BoardMemory(available, _optional(text, "SwapFree", path) if _optional(text, "SwapTotal", path) else None)


def _optional(text: str, key: str, path: Path) -> int | None:
    """A line that not every kernel writes, in bytes; one that is there and cut is a fault all the same."""
    return 1024 * int(find_field(text, key, r"([0-9]{1,15}) kB", path)) if f"{key}:" in text else None


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
