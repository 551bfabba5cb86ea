"""Each board, with and without a Coral: what it says it is, and what its fans, drives and groups say."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from agent.measure.board import decode_revision
from agent.records import CoolingDevice
from tests.measure_trees import CGROUP2, CORALS, FAN, NVME, RP1, pi, read, sensors, status, tree, write

PIS = {
    "pi3": ("a020d3", "3B+ 1.3", 1),
    "pi4": ("c03114", "4B 1.4", 4),
    "pi5": ("d04170", "5 1.0", 8),
    "zero2w": ("902120", "Zero 2 W 1.0", 0.5),
}
WORDS = {"": (), "pcie": ("pcie",), "usb, new": ("usb",), "usb, in use": ("usb",)}


@pytest.mark.parametrize(("name", "coral"), list(product(PIS, CORALS)))
def test_each_pi_with_and_without_a_coral(tmp_path: Path, name: str, coral: str) -> None:
    board = sensors(pi(tmp_path, name, coral))
    info, reading = board.info(), board.read()
    revision, model, gibibytes = PIS[name]
    assert (info.revision, info.revision_model) == (revision, model)
    assert info.soldered_bytes == gibibytes * 2**30
    assert info.accelerators == WORDS[coral]
    assert reading.thermal.accelerator_celsius == (46.8 if coral == "pcie" else None)
    assert [s.error for s in reading.sensors if not s.ok] == []


@pytest.mark.parametrize("coral", CORALS)
def test_a_pc_with_and_without_a_coral(tmp_path: Path, coral: str) -> None:
    info = sensors(write(tree(tmp_path, "pc"), CORALS[coral])).info()
    assert (info.revision, info.revision_model, info.soldered_bytes) == (None, None, None)
    assert info.accelerators == WORDS[coral]


def test_a_coral_whose_class_alone_is_seen_is_one(tmp_path: Path) -> None:
    assert sensors(tree(tmp_path, "pc-apex")).info().accelerators == ("pcie",)


def test_the_revision_is_in_cpuinfo_where_the_device_tree_has_none(tmp_path: Path) -> None:
    cpuinfo = "processor\t: 0\n\nHardware\t: BCM2835\nRevision\t: a02082\nSerial\t\t: 00000000765fc593\n"
    info = sensors(write(tree(tmp_path, "pi3"), {"proc/cpuinfo": cpuinfo})).info()
    assert (info.revision, info.revision_model) == ("a02082", "3B 1.2")
    assert "765fc593" not in repr(info), "a serial number is nobody's business"


@pytest.mark.parametrize(
    ("code", "model", "chip", "mebibytes"),
    [
        (0xE04171, "5 1.1", "BCM2712", 16384),
        (0x2A02082, "3B 1.2", "BCM2837", 1024),  # the warranty bit
        (0xF04171, "5 1.1", "BCM2712", None),  # "other"
        (0xC0FFF1, "type 0xff 1.1", None, 4096),
        (0x000E, None, None, None),
    ],
)
def test_revision_codes(code: int, model: str | None, chip: str | None, mebibytes: int | None) -> None:
    found = decode_revision(code)
    assert (found.model, found.chip) == (model, chip)
    assert found.memory_bytes == (mebibytes * 2**20 if mebibytes else None)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 5000])
def test_a_revision_of_another_length_is_a_fault(tmp_path: Path, content: bytes) -> None:
    board = sensors(write(tree(tmp_path, "pi4"), {"proc/device-tree/system/linux,revision": content}))
    assert board.info().revision is None
    assert board.failures_total == {"revision": 1}


def test_the_governor_and_the_boot_are_told(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "ondemand\n",
        "proc/sys/kernel/random/boot_id": "1c6fd6b0-f6a7-4f21-9f6d-1f8f1b6b7f10\n",
    }
    info = sensors(write(tree(tmp_path, "pi4"), files)).info()
    assert (info.governor, info.boot_id) == ("ondemand", "1c6fd6b0-f6a7-4f21-9f6d-1f8f1b6b7f10")


def test_a_pi_5_s_fan_and_its_other_chips(tmp_path: Path) -> None:
    heat = read(write(pi(tmp_path, "pi5"), FAN | RP1 | NVME)).thermal
    assert (heat.fan_rpm, heat.fan_share) == (2914, pytest.approx(125 / 255))
    assert (heat.rp1_celsius, heat.nvme_celsius) == (51.023, 41.85)
    assert heat.cooling == (CoolingDevice("pwm-fan", 2, 4),)


@pytest.mark.parametrize(
    ("file", "content", "name", "sentence"),
    [
        ("sys/class/hwmon/hwmon3/fan1_input", "4294967295\n", "fan", "no fan turns at"),
        ("sys/class/hwmon/hwmon3/pwm1", "256\n", "fan_drive", "0 to 255"),
        ("sys/class/thermal/cooling_device0/cur_state", "5\n", "cooling", "0 to 4"),
        ("sys/class/thermal/cooling_device0/cur_state", "-1\n", "cooling", "0 to 4"),
        ("sys/class/hwmon/hwmon2/temp1_input", "437000\n", "rp1", "no working chip"),
        ("sys/class/hwmon/hwmon4/temp1_input", "-273150\n", "nvme", "no working chip"),
    ],
)
def test_what_a_fan_or_drive_cannot_say_is_a_fault(
    tmp_path: Path, file: str, content: str, name: str, sentence: str
) -> None:
    root = write(pi(tmp_path, "pi5"), FAN | RP1 | NVME)
    (root / file).write_text(content)
    reading = read(root)
    assert sentence in status(reading, name).error
    assert [s.name for s in reading.sensors if not s.ok] == [name]


def test_the_hottest_of_several_corals_counts(tmp_path: Path) -> None:
    root = write(tree(tmp_path, "pc-apex"), {"sys/class/apex/apex_1/temp": "71300\n"})
    assert read(root).thermal.accelerator_celsius == 71.3


def test_a_coral_that_fails_is_counted_and_never_a_temperature(tmp_path: Path) -> None:
    root = write(tree(tmp_path, "pc"), CORALS["pcie"])
    board = sensors(root)
    board.read()
    for millidegrees in (-87950, -89700):
        (root / "sys/class/apex/apex_0/temp").write_text(f"{millidegrees}\n")
        assert board.read().thermal.accelerator_celsius is None
    assert status(board.read(), "accelerator").failures_total == 3


def test_memory_s_private_pages_and_the_service_s_group(tmp_path: Path) -> None:
    process = read(write(pi(tmp_path, "pi4"), CGROUP2)).process
    assert process.uss_bytes == (52106 + 52106) * 1024
    assert (process.cgroup_bytes, process.cgroup_high_bytes, process.cgroup_max_bytes) == (141557760, None, 402653184)


def test_a_container_that_is_shown_a_path_of_the_host_has_its_own_group(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "proc/self/cgroup": "0::/../../system.slice/docker-1f.scope\n",
        "sys/fs/cgroup/memory.current": "1048576\n",
        "sys/fs/cgroup/memory.max": "max\n",
    }
    process = read(write(tree(tmp_path, "pi4"), files)).process
    assert (process.cgroup_bytes, process.cgroup_max_bytes) == (1048576, None)


def test_version_1_of_control_groups(tmp_path: Path) -> None:
    own = "sys/fs/cgroup/memory/system.slice/edge-agent.service"
    files: dict[str, str | bytes] = {
        "proc/self/cgroup": "9:cpu,cpuacct:/\n4:memory:/system.slice/edge-agent.service\n0::/init.scope\n",
        f"{own}/memory.usage_in_bytes": "2097152\n",
        f"{own}/memory.limit_in_bytes": "9223372036854771712\n",
        f"{own}/memory.soft_limit_in_bytes": "4194304\n",
    }
    process = read(write(tree(tmp_path, "pi4"), files)).process
    assert (process.cgroup_bytes, process.cgroup_high_bytes, process.cgroup_max_bytes) == (2097152, 4194304, None)


@pytest.mark.parametrize("content", ["garbage", "-1\n", "\0\0\0\0", "12", "9" * 10_000_000 + "\n"])
def test_a_group_that_says_nonsense_is_a_fault(tmp_path: Path, content: str) -> None:
    root = write(pi(tmp_path, "pi4"), CGROUP2)
    (root / "sys/fs/cgroup/system.slice/edge-agent.service/memory.current").write_text(content)
    reading = read(root)
    assert reading.process.cgroup_bytes is None
    assert not status(reading, "cgroup").ok


def test_swap_is_told_where_there_is_some(tmp_path: Path) -> None:
    root = tree(tmp_path, "pi4")
    assert read(root).process.swap_free_bytes is None
    meminfo = root / "proc/meminfo"
    meminfo.write_text(meminfo.read_text() + "SwapTotal:         524284 kB\nSwapFree:          520000 kB\n")
    assert read(root).process.swap_free_bytes == 520000 * 1024
    own = root / "proc/self/status"
    own.write_text(own.read_text() + "VmSwap:\t     128 kB\n")
    assert read(root).process.swapped_bytes == 128 * 1024
