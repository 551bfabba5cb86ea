"""All slow sensors of a board, each failing alone.

In: the settings and a clock. Out: a :class:`BoardReading` with what could be read, and how each collector did.
Telemetry thread: a sensor may block for seconds, and its own duration says so.

Not there is None. There and broken is None too, counted, with the sentence in its :class:`SensorStatus`; the log has
one line when a sensor breaks and one when it works again. What was there and is gone counts as broken.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from agent.config import MeasureConfig
from agent.errors import ConfigError
from agent.measure import board, process, thermal
from agent.records import BoardInfo, BoardReading, ProcessReading, SensorStatus, ThermalReading

T = TypeVar("T")

log = logging.getLogger(__name__)


class Sensors:
    """Reads the board.

    Args:
        config: where ``/sys`` and ``/proc`` are.
        clock: monotonic seconds.
        cpu_clock: CPU seconds that this process has used.
        board_cpu: percent of all cores that were busy since it was last asked.

    Raises:
        ConfigError: ``measure.sys_root`` is no folder.
    """

    def __init__(
        self,
        config: MeasureConfig,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
        board_cpu: Callable[[], float] = psutil.cpu_percent,
    ) -> None:
        self._root = Path(config.sys_root)
        if not self._root.is_dir():
            raise ConfigError(f"measure.sys_root = {config.sys_root!r} is no folder; on a board it is /")
        self._clock = clock
        self._cpu = process.CpuMeter(clock, cpu_clock)
        self._board_cpu = board_cpu
        self._board_cpu()  # the first answer is of no span of time
        self._histories: dict[str, _History] = {}

    def read(self) -> BoardReading:
        """Everything once; never raises for a sensor's sake."""
        taken_s = self._clock()
        ask = _Round(self._root, self._clock, self._histories)
        return BoardReading(taken_s, self._process(ask), _thermal(ask), tuple(ask.statuses))

    def info(self) -> BoardInfo:
        """What this machine is; to be asked once."""
        ask = _Round(self._root, self._clock, self._histories)
        return BoardInfo(
            model=ask("model", board.model) or "unknown",
            machine=platform.machine(),
            cores=ask("cores", board.cores) or os.cpu_count() or 1,
            memory_bytes=ask("memory_size", board.memory_bytes),
            os=ask("os", board.os_name) or platform.system(),
            kernel=ask("kernel", board.kernel) or platform.release(),
            python=platform.python_version(),
        )

    @property
    def failures_total(self) -> dict[str, int]:
        """How often each sensor was broken when read; sensors that never were are absent."""
        return {name: history.failures_total for name, history in self._histories.items() if history.failures_total}

    def _process(self, ask: _Round) -> ProcessReading:
        status = ask("process", process.status)
        return ProcessReading(
            rss_bytes=status.rss_bytes if status else None,
            pss_bytes=ask("pss", process.pss_bytes),
            peak_rss_bytes=status.peak_rss_bytes if status else None,
            available_bytes=ask("available_memory", process.available_bytes),
            cpu_percent=self._cpu.percent(),
            board_cpu_percent=self._board_cpu(),
            threads=status.threads if status else None,
        )


def _thermal(ask: _Round) -> ThermalReading:
    bits = ask("throttle", thermal.throttle_bits)
    alarm = ask("voltage", thermal.voltage_alarm)
    return ThermalReading(
        soc_celsius=ask("soc", thermal.soc_celsius),
        accelerator_celsius=ask("accelerator", thermal.accelerator_celsius),
        frequency_hz=ask("frequency", thermal.frequency_hz),
        frequency_max_hz=ask("frequency_limit", thermal.frequency_max_hz),
        throttle_bits=bits,
        under_voltage=thermal.is_under_voltage(alarm, bits),
        throttled=thermal.is_throttled(bits),
    )


class _Round:
    """One reading of all sensors: asks each, times it, and turns a fault into a status."""

    def __init__(self, root: Path, clock: Callable[[], float], histories: dict[str, _History]) -> None:
        self._root = root
        self._clock = clock
        self._histories = histories
        self.statuses: list[SensorStatus] = []

    def __call__(self, name: str, collect: Callable[[Path], T | None]) -> T | None:
        begun_s = self._clock()
        value, fault = _attempt(partial(collect, self._root))
        fault = self._histories.setdefault(name, _History(name)).note(value is not None, fault)
        self.statuses.append(SensorStatus(name, not fault, max(self._clock() - begun_s, 0.0), fault))
        return value


def _attempt(collect: Callable[[], T | None]) -> tuple[T | None, str]:
    try:
        return collect(), ""
    except OSError as error:
        return None, f"{error.filename} cannot be read: {error.strerror}"
    except ValueError as error:
        return None, str(error)


class _History:
    """What is remembered of one sensor, so that its log speaks of changes only."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen = False
        self._fault = ""
        self.failures_total = 0

    def note(self, present: bool, fault: str) -> str:
        """Take in one attempt; returns the fault, also that of a sensor that went away."""
        if self._seen and not present and not fault:
            fault = "was there and is gone: is the device still attached, its driver loaded?"
        self._seen = self._seen or present
        self.failures_total += bool(fault)
        if fault and not self._fault:
            log.warning("sensor %s: %s", self._name, fault)
        elif self._fault and not fault:
            log.info("sensor %s works again", self._name)
        self._fault = fault
        return fault
