"""Who else uses the processor: what a benchmark must know before it believes itself.

In: the folder in front of ``/proc``. Out: CPU seconds, or None where this kernel has no such file. Any thread.

``/proc/stat`` counts in ticks of 10 ms: differences over less than a second are coarse. Run-queue wait is what the
kernel says of each thread of this process (``/proc/self/task/*/schedstat``, second field, nanoseconds: Documentation/
scheduler/sched-stats.rst); a thread that has ended takes its share with it, so a difference may be too small.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.measure.files import TABLE_BYTES, read_text

_CPU_LINE = re.compile(r"^cpu +((?:[0-9]{1,19} ){7,9}[0-9]{1,19})\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Load:
    """CPU seconds, all counted from some fixed begin: only differences mean anything.

    Attributes:
        busy_s: of all cores together, whoever used them.
        stolen_s: that a virtual machine was ready to use and did not get from its host.
        own_s: used by this process, all its threads.
        waited_s: that threads of this process stood ready in the queue while others ran.
    """

    busy_s: float | None
    stolen_s: float | None
    own_s: float
    waited_s: float | None


def read_load(root: Path, cpu_clock: Callable[[], float] = time.process_time) -> Load:
    """The counters now; what cannot be read is None: whether others ran is then not known, and is said so.

    Args:
        root: the folder in front of ``/proc``.
        cpu_clock: CPU seconds that this process has used.
    """
    busy = _board(root)
    return Load(busy[0] if busy else None, busy[1] if busy else None, cpu_clock(), _waited_s(root))


def _board(root: Path) -> tuple[float, float] | None:
    try:
        text = read_text(root / "proc/stat", TABLE_BYTES)
    except (OSError, ValueError):
        return None
    found = _CPU_LINE.search(text or "")
    if found is None:
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user and nice (man 5 proc).
    user, nice, system, _, _, irq, softirq, steal = (int(word) for word in found[1].split()[:8])
    tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) * tick_s, steal * tick_s


def _waited_s(root: Path) -> float | None:
    waited_ns, seen = 0, False
    for path in (root / "proc/self/task").glob("*/schedstat"):
        try:
            words = (read_text(path) or "").split()
        except (OSError, ValueError):  # the thread has just ended
            continue
        if len(words) == 3 and words[1].isdecimal():
            waited_ns, seen = waited_ns + int(words[1]), True
    return waited_ns / 1e9 if seen else None
