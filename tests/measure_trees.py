"""Recorded boards for the tests of agent.measure: copies to break, and clocks that move when asked."""

from __future__ import annotations

import errno
import shutil
import struct
from dataclasses import asdict
from pathlib import Path

from agent.config import MeasureConfig
from agent.measure import Sensors, mailbox
from agent.records import BoardReading, SensorStatus

TREES = Path(__file__).parent / "fixtures" / "sysfs"
NAMES = ("pi3", "pi4", "pi5", "zero2w", "pc", "pc-apex")
ZONE = "sys/class/thermal/thermal_zone0/temp"
APEX = "sys/class/apex/apex_0/temp"
POLICY = "sys/devices/system/cpu/cpufreq/policy0"
WORD = "sys/devices/platform/soc/soc:firmware/get_throttled"
ALARM = "sys/class/hwmon/hwmon1/in0_lcrit_alarm"


class Ticking:
    """A clock that moves by a fixed step each time it is asked."""

    def __init__(self, step_s: float = 0.25) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def tree(folder: Path, name: str) -> Path:
    """A copy of one board's tree, to be broken."""
    return Path(shutil.copytree(TREES / name, folder / name))


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Files put into a tree."""
    for place, content in files.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


# A board is composed: its own tree, and what is plugged into it. Sources: tests/fixtures/sysfs/PROVENANCE.md.
CORALS: dict[str, dict[str, str | bytes]] = {
    "": {},
    "pcie": {
        "sys/bus/pci/devices/0000:01:00.0/vendor": "0x1ac1\n",
        "sys/bus/pci/devices/0000:01:00.0/device": "0x089a\n",
        "sys/class/apex/apex_0/temp": "46800\n",
    },
    "usb, new": {
        "sys/bus/usb/devices/2-1/idVendor": "1a6e\n",
        "sys/bus/usb/devices/2-1/idProduct": "089a\n",
    },
    "usb, in use": {
        "sys/bus/usb/devices/2-1/idVendor": "18d1\n",
        "sys/bus/usb/devices/2-1/idProduct": "9302\n",
    },
}
REVISIONS = {"pi3": 0xA020D3, "pi4": 0xC03114, "pi5": 0xD04170, "zero2w": 0x902120}
FAN: dict[str, str | bytes] = {
    "sys/class/hwmon/hwmon3/name": "pwmfan\n",
    "sys/class/hwmon/hwmon3/fan1_input": "2914\n",
    "sys/class/hwmon/hwmon3/pwm1": "125\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device0/max_state": "4\n",
}
RP1: dict[str, str | bytes] = {
    "sys/class/hwmon/hwmon2/name": "rp1_adc\n",
    "sys/class/hwmon/hwmon2/temp1_input": "51023\n",
}
NVME: dict[str, str | bytes] = {
    "sys/class/hwmon/hwmon4/name": "nvme\n",
    "sys/class/hwmon/hwmon4/temp1_input": "41850\n",
}
CGROUP2: dict[str, str | bytes] = {
    "proc/self/cgroup": "0::/system.slice/edge-agent.service\n",
    "sys/fs/cgroup/system.slice/edge-agent.service/memory.current": "141557760\n",
    "sys/fs/cgroup/system.slice/edge-agent.service/memory.high": "max\n",
    "sys/fs/cgroup/system.slice/edge-agent.service/memory.max": "402653184\n",
}


def pi(folder: Path, name: str, coral: str = "") -> Path:
    """A Pi's tree with its revision as the firmware writes it into the device tree, and perhaps a Coral."""
    root = write(tree(folder, name), CORALS[coral])
    return write(root, {"proc/device-tree/system/linux,revision": REVISIONS[name].to_bytes(4, "big")})


class FakeFirmware:
    """Answers the property mailbox as the firmware does: words by (tag, id), sentences by command.

    What it does not know it leaves unanswered, or refuses the whole message (``refuses``), as the kernel's driver shows
    it; ``lies`` changes the whole answer; ``hang`` is waited for.
    """

    def __init__(self, words: dict[tuple[int, int], int], commands: dict[str, str] | None = None) -> None:
        self.words, self.commands = words, commands or {}
        self.refuses = False
        self.asked: list[int] = []
        self.lies = lambda answer: answer
        self.hang = lambda: None

    def __call__(self, message: bytes) -> bytes:
        self.hang()
        size, status, tag, room, _ = struct.unpack_from("<5I", message)
        self.asked.append(tag)
        assert (size, status, message[-4:]) == (len(message), 0, bytes(4)), "as rpi_firmware_property_list wants it"
        assert size % 4 == 0
        value = self._value(tag, message[20:-4])
        if value is None:
            if self.refuses:
                raise OSError(errno.EINVAL, "Invalid argument")
            return self.lies(struct.pack("<5I", size, mailbox.ANSWERED, tag, room, 0) + message[20:])
        head = struct.pack("<5I", size, mailbox.ANSWERED, tag, room, mailbox.ANSWERED | len(value))
        return self.lies(head + value + bytes(4))

    def _value(self, tag: int, asked: bytes) -> bytes | None:
        if tag == mailbox.GET_GENCMD_RESULT:
            answer = self.commands.get(asked[4:].partition(b"\0")[0].decode())
            text = (answer if answer is not None else 'error=1 error_msg="Command not registered"').encode()
            return bytes(4) + text.ljust(mailbox.GENCMD_BYTES, b"\0")
        number = struct.unpack_from("<I", asked)[0]
        if (tag, number) not in self.words:
            return None
        word = struct.pack("<I", self.words[tag, number])
        return word if len(asked) == 4 else asked[:4] + word


def firmware(throttled: int = 0, **changes: int) -> FakeFirmware:
    """A healthy Pi 4's firmware at 1.2 GHz, where the kernel believes in 1.5."""
    return FakeFirmware(
        {
            (mailbox.GET_THROTTLED, 0): throttled,
            (mailbox.GET_CLOCK_MEASURED, 3): changes.get("hertz", 1_200_457_344),
            (mailbox.GET_TEMPERATURE, 0): 61_835,
            (mailbox.GET_MAX_TEMPERATURE, 0): 85_000,
            (mailbox.GET_VOLTAGE, 1): changes.get("microvolts", 868_750),
            (mailbox.GET_BOARD_REVISION, 0): 0xC03114,
        },
        {"measure_temp pmic": "temp=44.9'C"},
    )


def sensors(root: Path, way: mailbox.Transact | None = None, deadline_s: float = 5.0) -> Sensors:
    config = MeasureConfig(sys_root=str(root))
    return Sensors(config, Ticking(), Ticking(), lambda: 12.5, mailbox=way, deadline_s=deadline_s)


def read(root: Path, way: mailbox.Transact | None = None) -> BoardReading:
    return sensors(root, way).read()


def status(reading: BoardReading, name: str) -> SensorStatus:
    return next(s for s in reading.sensors if s.name == name)


def values(reading: BoardReading) -> dict[str, object]:
    return asdict(reading.process) | asdict(reading.thermal)
