"""Asks the Raspberry Pi's firmware itself, through its property mailbox.

In: a function that carries one message to the firmware and back; :func:`open_vcio` makes the one that uses
``/dev/vcio``. Out: numbers in base units, or None where this firmware does not know the question. Messages are those of
raspberrypi/linux ``include/soc/bcm2835/raspberrypi-firmware.h``: little-endian words - size, status, then tag, room for
the value, bytes of the value, the value - and a zero at the end.

A question can block for a second (the kernel's own deadline, ``drivers/firmware/raspberrypi.c``), and one that the
firmware refuses costs an error line in the kernel's log: it is not asked twice. Only questions are asked here, nothing
is set; ``GET_THROTTLED`` is asked with 0, because a mask in its place clears the sticky bits for everybody.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

from agent.measure.rails import Rail, parse

Transact = Callable[[bytes], bytes]
"""Carries one whole message to the firmware and gives it back, answered; OSError when that fails."""

IOCTL_MBOX_PROPERTY = 3 << 30 | struct.calcsize("P") << 16 | 100 << 8 | 0
"""``_IOWR(100, 0, char *)`` of ``drivers/char/broadcom/vcio.c``: the size is that of a pointer."""

ANSWERED = 0x80000000
"""Status of a message that was taken, and the flag in a tag's length that it was answered."""

GET_BOARD_REVISION = 0x00010002
GET_VOLTAGE = 0x00030003
GET_TEMPERATURE = 0x00030006
GET_MAX_TEMPERATURE = 0x0003000A
GET_THROTTLED = 0x00030046
GET_CLOCK_MEASURED = 0x00030047
GET_GENCMD_RESULT = 0x00030080

ARM_CLOCK = 3
CORE_VOLTAGE = 1
GENCMD_BYTES = 996
"""Room for a command and its answer. ``vcgencmd`` takes 1024 (raspberrypi/utils ``vcgencmd/vcgencmd.c``); with these
the whole message has 1024, as ml-energy/zeus sends it to a Pi 5. Python before 3.14 lets go of its lock during an ioctl
only up to that length (CPython ``Modules/fcntlmodule.c``, ``IOCTL_BUFSZ``), and an answer may take 23 ms. The longest,
26 channels of the power chip, has 912."""

_HEADER = struct.Struct("<5I")


class Mailbox:
    """Questions to the firmware.

    Args:
        transact: carries a message.
    """

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._unknown: set[int | str] = set()

    def throttled(self) -> int | None:
        """The throttle word: bits 0 to 3 now, 16 to 19 since somebody cleared them."""
        words = self._words(GET_THROTTLED, 0)
        return words[0] if words else None

    def arm_hz(self) -> float | None:
        """The processor's clock, measured: it shows the firmware's own throttling."""
        return self._of_id(GET_CLOCK_MEASURED, ARM_CLOCK, 1.0)

    def soc_celsius(self) -> float | None:
        """The processor's temperature."""
        return self._of_id(GET_TEMPERATURE, 0, 1e3)

    def soc_limit_celsius(self) -> float | None:
        """Where the firmware begins to throttle."""
        return self._of_id(GET_MAX_TEMPERATURE, 0, 1e3)

    def core_volts(self) -> float | None:
        """The core's voltage."""
        return self._of_id(GET_VOLTAGE, CORE_VOLTAGE, 1e6)

    def board_revision(self) -> int | None:
        """The revision code, see :func:`agent.measure.board.decode_revision`."""
        words = self._words(GET_BOARD_REVISION, 0)
        return words[0] if words else None

    def pmic_celsius(self) -> float | None:
        """The power chip's temperature, by ``measure_temp pmic``; to be asked of a Pi 4 or 5 only."""
        text = self._command("measure_temp pmic")
        found = re.fullmatch(r"temp=(-?[0-9]{1,3}(?:\.[0-9]{1,3})?)'C", text) if text else None
        return float(found[1]) if found else None

    def rails(self) -> tuple[Rail, ...] | None:
        """Volts and amps of the power chip, by ``pmic_read_adc``; to be asked of a Pi 5 only. It takes 23 ms.

        Raises:
            OSError, ValueError: as :meth:`_ask` and :func:`agent.measure.rails.parse`.
        """
        text = self._command("pmic_read_adc")
        return parse(text) if text else None

    def _of_id(self, tag: int, number: int, per_unit: float) -> float | None:
        """A value of one clock, voltage or sensor; 0 is the firmware's word for "no such"."""
        words = self._words(tag, number, 0)
        if words is None or words[0] != number or not words[1]:
            return None
        return words[1] / per_unit

    def _words(self, tag: int, *value: int) -> tuple[int, ...] | None:
        answer = self._ask(tag, struct.pack(f"<{len(value)}I", *value), tag)
        return None if answer is None else struct.unpack(f"<{len(value)}I", answer)

    def _command(self, text: str) -> str | None:
        value = struct.pack("<I", 0) + text.encode().ljust(GENCMD_BYTES, b"\0")
        answer = self._ask(GET_GENCMD_RESULT, value, text)
        if answer is None or struct.unpack_from("<I", answer)[0]:
            return None
        said = answer[4:].partition(b"\0")[0].decode("ascii", "replace").strip()
        if said.startswith("error="):  # of a command that it does not have
            self._unknown.add(text)
            return None
        return said

    def _ask(self, tag: int, value: bytes, key: int | str) -> bytes | None:
        """The value as the firmware answers it; None for a question that it does not know.

        Raises:
            OSError: the mailbox cannot be reached.
            ValueError: what came back is no answer.
        """
        if key in self._unknown:
            return None
        size = _HEADER.size + len(value) + 4
        message = _HEADER.pack(size, 0, tag, len(value), 0) + value + bytes(4)
        try:
            answer = self._transact(message)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._unknown.add(key)
            return None
        return self._open(answer, size, tag, key)

    def _open(self, answer: bytes, size: int, tag: int, key: int | str) -> bytes | None:
        if len(answer) != size:
            raise ValueError(f"the mailbox answered {len(answer)} bytes to a message of {size}: the driver fails")
        _, status, echoed, _, length = _HEADER.unpack_from(answer)
        if status != ANSWERED or echoed != tag:
            raise ValueError(f"the mailbox answered tag {echoed:#x}, status {status:#x} to {tag:#x}: the driver fails")
        if not length & ANSWERED:
            self._unknown.add(key)
            return None
        return answer[_HEADER.size : -4]


def open_vcio(path: Path) -> Transact | None:
    """The real way to the firmware; None where there is no such device (a PC, a kernel of another house).

    Raises:
        OSError: it is there and may not be opened; on Raspberry Pi OS it is the group ``video``'s.
    """
    try:
        device = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None

    def transact(message: bytes) -> bytes:
        buffer = bytearray(message)
        try:
            fcntl.ioctl(device, IOCTL_MBOX_PROPERTY, buffer, True)  # answered in place
        except OSError as error:
            error.filename = str(path)
            raise
        return bytes(buffer)

    return transact
