"""The Raspberry Pi's firmware mailbox: what it says, what it does not know, how it lies, and how it hangs."""

from __future__ import annotations

import errno
import os
import re
import struct
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.measure import mailbox
from agent.measure.mailbox import Mailbox, open_vcio
from tests.conftest import NewThreads
from tests.measure_trees import FakeFirmware, firmware, pi, read, sensors, status, tree, write
from tests.servers.mosquitto import wait_until
from tests.test_measure_thermal import unprivileged


def test_the_firmware_s_word_and_clock_are_taken_before_the_kernel_s(tmp_path: Path) -> None:
    reading = read(pi(tmp_path, "pi4"), firmware(throttled=0x40006))
    heat = reading.thermal
    assert (heat.frequency_hz, heat.throttle_bits, heat.throttled) == (1_200_457_344.0, 0x40006, True)
    assert heat.sources == {"throttle": "mailbox", "frequency": "mailbox", "soc": "sysfs"}
    assert (heat.pmic_celsius, heat.soc_limit_celsius, heat.core_volts) == (44.9, 85.0, 0.86875)
    assert "throttle" not in {s.name for s in reading.sensors}, "reading get_throttled would make the kernel warn"
    assert [s.error for s in reading.sensors if not s.ok] == []


def test_without_a_mailbox_nothing_is_said_of_what_only_it_knows(tmp_path: Path) -> None:
    heat = read(pi(tmp_path, "pi4")).thermal
    assert (heat.pmic_celsius, heat.soc_limit_celsius, heat.core_volts) == (None, None, None)
    assert set(heat.sources.values()) == {"sysfs"}


def test_the_firmware_stands_in_for_a_missing_zone_and_revision(tmp_path: Path) -> None:
    board = sensors(tree(tmp_path, "pc"), firmware())
    for zone in (tmp_path / "pc/sys/class/thermal").iterdir():
        (zone / "type").write_text("acpitz\n")
    (tmp_path / "pc/sys/class/hwmon/hwmon1/name").write_text("acpitz\n")
    heat = board.read().thermal
    assert (heat.soc_celsius, heat.sources["soc"]) == (61.835, "mailbox")
    assert (board.info().revision, board.info().revision_model) == ("c03114", "4B 1.4")


@pytest.mark.parametrize("name", ["pi3", "zero2w"])
def test_a_pi_without_a_power_chip_s_thermometer_is_not_asked_for_it(tmp_path: Path, name: str) -> None:
    way = firmware()
    assert read(pi(tmp_path, name), way).thermal.pmic_celsius is None
    assert mailbox.GET_GENCMD_RESULT not in way.asked


@pytest.mark.parametrize("refuses", [False, True])
def test_what_the_firmware_does_not_know_is_asked_once(tmp_path: Path, refuses: bool) -> None:
    way = FakeFirmware({(mailbox.GET_THROTTLED, 0): 0})
    way.refuses = refuses
    board = sensors(pi(tmp_path, "pi4"), way)
    readings = [board.read() for _ in range(3)]
    assert way.asked.count(mailbox.GET_CLOCK_MEASURED) == 1, "each refusal costs a line in the kernel's log"
    assert way.asked.count(mailbox.GET_THROTTLED) == 3
    assert readings[-1].thermal.frequency_hz == 1.5e9
    assert readings[-1].thermal.sources["frequency"] == "sysfs"
    assert all(s.ok for s in readings[-1].sensors)


def test_sticky_bits_that_somebody_clears_are_kept(tmp_path: Path) -> None:
    way = firmware(throttled=0x10000)
    board = sensors(pi(tmp_path, "pi4"), way)
    assert board.read().thermal.throttle_seen_bits == 1
    way.words[mailbox.GET_THROTTLED, 0] = 0x4
    assert board.read().thermal.throttle_seen_bits == 5
    way.words[mailbox.GET_THROTTLED, 0] = 0
    heat = board.read().thermal
    assert (heat.throttle_bits, heat.throttled, heat.throttle_seen_bits) == (0, False, 5)


@pytest.mark.parametrize("answer", [(2, 868_750), (1, 0)])
def test_an_answer_of_another_voltage_or_of_none_is_no_answer(tmp_path: Path, answer: tuple[int, int]) -> None:
    way = firmware()

    def other(message: bytes) -> bytes:
        tag = struct.unpack_from("<5I", message)[2]
        return message[:20] + struct.pack("<2I", *answer) + bytes(4) if tag == mailbox.GET_VOLTAGE else message

    way.lies = other
    reading = read(pi(tmp_path, "pi4"), way)
    assert reading.thermal.core_volts is None
    assert status(reading, "firmware_core").ok


LIES = {
    "cut": lambda answer: answer[:-4],
    "empty": lambda _: b"",
    "megabytes": lambda answer: answer * 100_000,
    "another tag": lambda answer: answer[:8] + struct.pack("<I", 1) + answer[12:],
    "no success": lambda answer: answer[:4] + struct.pack("<I", 0x80000001) + answer[8:],
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_is_none_is_a_fault_and_the_kernel_s_files_stand_in(tmp_path: Path, lie: str) -> None:
    way = firmware()
    way.lies = LIES[lie]
    reading = read(pi(tmp_path, "pi4"), way)
    assert "mailbox answered" in status(reading, "firmware_throttle").error
    assert (reading.thermal.throttle_bits, reading.thermal.sources["throttle"]) == (0x50005, "sysfs")


@pytest.mark.parametrize(
    ("hertz", "microvolts", "name", "sentence"),
    [
        (700_000, 868_750, "firmware_frequency", "no processor runs at"),
        (4_294_967_295, 4_294_967_295, "firmware_core", "no core bears"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, hertz: int, microvolts: int, name: str, sentence: str) -> None:
    reading = read(pi(tmp_path, "pi4"), firmware(hertz=hertz, microvolts=microvolts))
    assert sentence in status(reading, name).error


@given(st.binary(max_size=64), st.integers(0, 40))
def test_no_bytes_from_the_firmware_do_more_than_a_fault(junk: bytes, place: int) -> None:
    way = firmware()
    way.lies = lambda answer: answer[:place] + junk + answer[place + len(junk) :]
    for ask in (Mailbox.throttled, Mailbox.arm_hz, Mailbox.pmic_celsius, Mailbox.core_volts):
        with suppress(ValueError):  # anything else would end the telemetry thread
            ask(Mailbox(way))


def test_a_mailbox_that_hangs_holds_nobody_and_is_not_asked_again(tmp_path: Path, new_threads: NewThreads) -> None:
    way, lets_go = firmware(throttled=0x4), threading.Event()
    board = sensors(pi(tmp_path, "pi4"), way, deadline_s=1.0)
    assert board.read().thermal.throttle_bits == 0x4
    way.hang = lets_go.wait
    assert [s.name for s in board.read().sensors if not s.ok] == ["firmware_throttle"], "the others are not asked"
    for _ in range(3):
        reading = board.read()
        assert (reading.thermal.throttle_bits, reading.thermal.soc_celsius) == (0x50005, 48.686)
    assert "blocks for" in status(reading, "mailbox").error
    assert wait_until(lambda: len(new_threads("sensors")) == 1), "one thread is stuck, however often it is read"
    lets_go.set()
    assert wait_until(lambda: board.read().thermal.sources["throttle"] == "mailbox")
    assert wait_until(lambda: not new_threads("sensors"))


def test_a_time_out_of_the_kernel_is_a_fault(tmp_path: Path) -> None:
    way = firmware()

    def time_out(_: bytes) -> bytes:
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    way.lies = time_out  # type: ignore[assignment]
    reading = read(pi(tmp_path, "pi4"), way)
    assert status(reading, "firmware_throttle").error == "mailbox cannot be read: Connection timed out"


def test_no_device_is_no_mailbox(tmp_path: Path) -> None:
    assert open_vcio(tmp_path / "dev/vcio") is None


def test_a_device_that_may_not_be_opened_is_a_fault_with_its_mend() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = pi(Path(name), "pi4")
        write(root, {"dev/vcio": ""})
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)
        (root / "dev/vcio").chmod(0)
        board = sensors(root)
        with unprivileged():
            reading = board.read()
    sentence = f"{root / 'dev/vcio'} cannot be read: Permission denied; add the user to the group video"
    assert status(reading, "mailbox").error == sentence
    assert reading.thermal.throttle_bits == 0x50005


def test_a_device_of_another_kind_is_a_fault(tmp_path: Path) -> None:
    reading = read(write(pi(tmp_path, "pi4"), {"dev/vcio": "no mailbox\n"}))
    assert re.search("vcio cannot be read: .*ioctl", status(reading, "firmware_throttle").error)


def test_the_request_is_the_driver_s() -> None:
    # _IOWR(100, 0, char *): direction 3 in bits 30-31, 8 bytes of a pointer in bits 16-29, 100 in bits 8-15
    assert (0xC0086400 if struct.calcsize("P") == 8 else 0xC0046400) == mailbox.IOCTL_MBOX_PROPERTY
    assert os.name == "posix"
