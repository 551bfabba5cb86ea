"""All slow sensors of a board, each failing alone.

In: the settings and a clock. Out: a :class:`BoardReading` with what could be read, and how each collector did.
Telemetry thread: a sensor may block, for a second and a half at most (:mod:`agent.measure.aside`), and its own duration
says so.

Not there is None. There and broken is None too, counted, with the sentence in its :class:`SensorStatus`; the log has
one line when a sensor breaks and one when it works again. What was there and is gone counts as broken. Where a figure
has several sources the best that answers is taken, and named in the reading.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from agent.config import MeasureConfig
from agent.errors import ConfigError
from agent.measure import board, cgroup, cooling, process, thermal
from agent.measure.aside import DEADLINE_S, Aside
from agent.measure.mailbox import Transact
from agent.measure.pi import Firmware
from agent.records import BoardInfo, BoardReading, ProcessReading, SensorStatus, ThermalReading

T = TypeVar("T")

log = logging.getLogger(__name__)

MAILBOX = "mailbox"
"""The firmware's questions are of one source: when one blocks, none of the others is asked."""


class Sensors:
    """Reads the board.

    Args:
        config: where ``/sys``, ``/proc`` and ``/dev`` are.
        clock: monotonic seconds.
        cpu_clock: CPU seconds that this process has used.
        board_cpu: percent of all cores that were busy since it was last asked.
        mailbox: the way to a Raspberry Pi's firmware; ``dev/vcio`` when not given.
        deadline_s: how long one sensor may block.

    Attributes:
        seen_bits: throttle bits 0 to 3 that were ever seen set; may be set to what was seen before, in this boot.

    Raises:
        ConfigError: ``measure.sys_root`` is no folder.
    """

    def __init__(
        self,
        config: MeasureConfig,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
        board_cpu: Callable[[], float] = psutil.cpu_percent,
        *,
        mailbox: Transact | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._root = Path(config.sys_root)
        if not self._root.is_dir():
            raise ConfigError(f"measure.sys_root = {config.sys_root!r} is no folder; on a board it is /")
        self._clock = clock
        self._cpu = process.CpuMeter(clock, cpu_clock)
        self._board_cpu = board_cpu
        self._board_cpu()  # the first answer is of no span of time
        self._firmware = Firmware(self._root, mailbox)
        self._aside = Aside(deadline_s)
        self._histories: dict[str, _History] = {}
        self._lock = threading.Lock()
        self._info: BoardInfo | None = None
        self._has_pmic = self._has_rails = False
        self.seen_bits = 0

    def read(self) -> BoardReading:
        """Everything once; never raises for a sensor's sake."""
        with self._lock:
            self._identified()
            taken_s = self._clock()
            ask = self._round()
            reading = BoardReading(taken_s, self._process(ask), self._thermal(ask), tuple(ask.statuses))
            self._aside.rest()
            return reading

    def info(self) -> BoardInfo:
        """What this machine is; read when it is first asked."""
        with self._lock:
            return self._identified()

    def watts(self) -> Callable[[], float | None] | None:
        """Asks the power chip what its outputs give, for a thread of its own: it may block for a second.

        It raises OSError or ValueError when the firmware fails. None: this board has nothing of the kind to ask.
        """
        with self._lock:
            self._identified()
        return self._firmware.watts if self._has_rails else None

    @property
    def failures_total(self) -> dict[str, int]:
        """How often each sensor was broken when read; sensors that never were are absent."""
        return {name: history.failures_total for name, history in self._histories.items() if history.failures_total}

    def _identified(self) -> BoardInfo:
        if self._info is None:
            self._info = self._identify(self._round())
            self._aside.rest()
        return self._info

    def _round(self) -> _Round:
        return _Round(self._root, self._clock, self._histories, self._aside)

    def _identify(self, ask: _Round) -> BoardInfo:
        revision, group = ask("revision", board.revision), ask("cgroup", cgroup.group)
        has_firmware = bool(ask("mailbox", self._firmware.reach))
        if revision is None and has_firmware:
            code = ask("firmware_revision", self._firmware.revision, MAILBOX)
            revision = board.decode_revision(code) if code else None
        self._has_pmic = revision is not None and revision.chip in board.WITH_PMIC
        self._has_rails = has_firmware and revision is not None and revision.chip in board.WITH_RAILS
        return BoardInfo(
            model=ask("model", board.model) or "unknown",
            machine=platform.machine(),
            cores=ask("cores", board.cores) or os.cpu_count() or 1,
            memory_bytes=ask("memory_size", board.memory_bytes),
            os=ask("os", board.os_name) or platform.system(),
            kernel=ask("kernel", board.kernel) or platform.release(),
            python=platform.python_version(),
            revision=revision.text if revision else None,
            revision_model=revision.model if revision else None,
            soldered_bytes=revision.memory_bytes if revision else None,
            governor=ask("governor", board.governor),
            accelerators=ask("accelerators", board.accelerators) or (),
            boot_id=ask("boot_id", board.boot_id),
            frequency_min_hz=ask("frequency_least", thermal.frequency_min_hz),
            frequency_max_hz=ask("frequency_hardware", thermal.frequency_hardware_max_hz),
            soc_limit_celsius=ask("firmware_soc_limit", self._firmware.soc_limit_celsius, MAILBOX)
            if has_firmware
            else None,
            cgroup_high_bytes=group.high_bytes if group else None,
            cgroup_max_bytes=group.max_bytes if group else None,
        )

    def _process(self, ask: _Round) -> ProcessReading:
        status, pages = ask("process", process.status), ask("pss", process.mappings)
        memory, group = ask("available_memory", process.board_memory), ask("cgroup", cgroup.group)
        return ProcessReading(
            rss_bytes=status.rss_bytes if status else None,
            pss_bytes=pages.pss_bytes if pages else None,
            peak_rss_bytes=status.peak_rss_bytes if status else None,
            available_bytes=memory.available_bytes if memory else None,
            cpu_percent=self._cpu.percent(),
            board_cpu_percent=self._board_cpu(),
            threads=status.threads if status else None,
            uss_bytes=pages.uss_bytes if pages else None,
            swapped_bytes=status.swapped_bytes if status else None,
            cgroup_bytes=group.used_bytes if group else None,
            cgroup_high_bytes=group.high_bytes if group else None,
            cgroup_max_bytes=group.max_bytes if group else None,
            swap_free_bytes=memory.swap_free_bytes if memory else None,
        )

    def _thermal(self, ask: _Round) -> ThermalReading:
        firmware = self._firmware if ask("mailbox", self._firmware.reach) else None
        best = _Best(ask, firmware)
        bits = best("throttle", Firmware.word, thermal.throttle_bits)
        alarm = ask("voltage", thermal.voltage_alarm)
        self.seen_bits |= thermal.seen_bits(bits) | (thermal.UNDER_VOLTAGE if alarm else 0)
        return ThermalReading(
            soc_celsius=best("soc", Firmware.soc_celsius, thermal.soc_celsius, is_firmware_first=False),
            accelerator_celsius=ask("accelerator", thermal.accelerator_celsius),
            frequency_hz=best("frequency", Firmware.arm_hz, thermal.frequency_hz),
            frequency_max_hz=ask("frequency_limit", thermal.frequency_max_hz),
            throttle_bits=bits,
            under_voltage=thermal.is_under_voltage(alarm, bits),
            throttled=thermal.is_throttled(bits),
            throttle_seen_bits=None if bits is None and alarm is None else self.seen_bits,
            pmic_celsius=best.only("pmic", Firmware.pmic_celsius) if self._has_pmic else None,
            rp1_celsius=ask("rp1", cooling.rp1_celsius),
            nvme_celsius=ask("nvme", cooling.nvme_celsius),
            frequency_hardware_max_hz=ask("frequency_hardware", thermal.frequency_hardware_max_hz),
            frequency_min_hz=ask("frequency_least", thermal.frequency_min_hz),
            core_volts=best.only("core", Firmware.core_volts),
            soc_limit_celsius=best.only("soc_limit", Firmware.soc_limit_celsius),
            fan_rpm=ask("fan", cooling.fan_rpm),
            fan_share=ask("fan_drive", cooling.fan_share),
            cooling=ask("cooling", cooling.devices) or (),
            sources=best.sources,
        )


class _Best:
    """Asks the sources of one figure, best first, and remembers which one answered."""

    def __init__(self, ask: _Round, firmware: Firmware | None) -> None:
        self._ask, self._firmware = ask, firmware
        self.sources: dict[str, str] = {}

    def __call__(
        self,
        name: str,
        question: Callable[[Firmware, Path], T | None],
        collect: Callable[[Path], T | None],
        *,
        is_firmware_first: bool = True,
    ) -> T | None:
        value = self._note(name, MAILBOX, self.only(name, question)) if is_firmware_first else None
        if value is None:
            # not asked where the mailbox answers: reading get_throttled makes the kernel warn
            value = self._note(name, "sysfs", self._ask(name, collect))
        if value is None and not is_firmware_first:
            value = self._note(name, MAILBOX, self.only(name, question))
        return value

    def only(self, name: str, question: Callable[[Firmware, Path], T | None]) -> T | None:
        """The firmware's answer; None without a firmware, and once it hangs."""
        if self._firmware is None or self._ask.is_stuck(MAILBOX):
            return None
        return self._ask(f"firmware_{name}", partial(question, self._firmware), MAILBOX)

    def _note(self, name: str, source: str, value: T | None) -> T | None:
        if value is not None:
            self.sources[name] = source
        return value


class _Round:
    """One reading of all sensors: asks each, times it, and turns a fault into a status."""

    def __init__(self, root: Path, clock: Callable[[], float], histories: dict[str, _History], aside: Aside) -> None:
        self._root, self._clock, self._aside = root, clock, aside
        self._histories = histories
        self.statuses: list[SensorStatus] = []

    def is_stuck(self, source: str) -> bool:
        """A source has not answered an earlier question yet."""
        return self._aside.is_stuck(source)

    def __call__(self, name: str, collect: Callable[[Path], T | None], source: str = "") -> T | None:
        """What a sensor says; sensors of one source wait for each other, and are stuck together."""
        begun_s = self._clock()
        value, fault = _attempt(partial(self._aside.ask, source or name, partial(collect, self._root)))
        history = self._histories.setdefault(name, _History(name))
        fault = history.note(value is not None, fault)
        lasted_s = max(self._clock() - begun_s, 0.0)
        self.statuses.append(SensorStatus(name, not fault, lasted_s, fault, history.failures_total))
        return value


def _attempt(collect: Callable[[], T | None]) -> tuple[T | None, str]:
    try:
        return collect(), ""
    except PermissionError as error:
        mend = "; add the user to the group video" if str(error.filename).endswith("vcio") else ""
        return None, f"{error.filename} cannot be read: {error.strerror}{mend}"
    except OSError as error:
        return None, f"{error.filename or MAILBOX} cannot be read: {error.strerror}"
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
