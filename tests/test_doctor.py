"""Each trap is found on a machine that is in it, and on no other; a check that fails keeps no other from looking."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from agent.config import convert
from agent.doctor import CHECKS, Check, Diagnosis, Finding, Scene, Tried, examine, schema, text
from agent.doctor.accelerator import packaged
from agent.doctor.scene import may_write
from agent.errors import ModelError, UnavailableError
from agent.measure import disk, host
from tests.cases import edge_agent
from tests.delegates import Delegates
from tests.measure_trees import NAMES, POLICY, TREES, WORD, ZONE, tree

GOOD = {"ai-edge-litert": "2.3.0", "numpy": "2.4.6", "opencv-python-headless": "5.0.0.93"}
USB = "sys/bus/usb/devices/2-1"
PCI = "sys/bus/pci/devices/0000:01:00.0"


def put(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def scene(root: Path, raw: dict[str, Any] | None = None, **changes: Any) -> Scene:
    """A board on which all is well, but for what is changed."""
    config = convert({"measure": {"sys_root": str(root)}, **(raw or {})})
    made = Scene(config=config, root=root, state=root, packages=GOOD, kernel_synced=lambda: True)
    return replace(made, **changes)


def findings(it: Scene, check: str = "") -> dict[str, Finding]:
    found = examine(it, [item for item in CHECKS if check in {"", item.id}]).findings
    return {finding.id: finding for finding in found}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    return put(folder, {"sys/class/watchdog/watchdog0/identity": "Broadcom BCM2835 Watchdog timer\n"})


class TestSoftware:
    @pytest.mark.parametrize(
        ("packages", "change", "trap"),
        [
            ({"tflite-runtime": "2.14.0", "numpy": "2.1.0"}, {}, "numpy-2-tflite-runtime"),
            ({"tflite-runtime": "2.14.0", "numpy": "1.26.4"}, {}, None),
            ({"numpy": "2.1.0"}, {}, "runtime-missing"),
            ({}, {"pointer_bits": 32, "python": (3, 11)}, "runtime-missing"),
            ({}, {"pointer_bits": 32, "python": (3, 13)}, "runtime-no-wheel"),
            ({}, {"python": (3, 15)}, "runtime-no-wheel"),
            ({**GOOD, "tflite-runtime": "2.14.0"}, {}, None),
        ],
    )
    def test_runtime(self, root: Path, packages: dict[str, str], change: dict[str, Any], trap: str | None) -> None:
        assert next(iter(findings(scene(root, packages=packages, **change), "runtime"))) == (trap or "runtime")

    def test_tflite_runtime_that_is_asked_for_beside_litert_and_numpy_2(self, root: Path) -> None:
        raw = {"runtime": {"backend": "tflite-runtime"}}
        it = scene(root, raw, packages={**GOOD, "tflite-runtime": "2.14.0"})
        assert "numpy-2-tflite-runtime" in findings(it, "runtime")
        assert "runtime-no-wheel" in findings(scene(root, raw, python=(3, 13)), "runtime")

    @pytest.mark.parametrize(
        ("version", "numpy", "trap"),
        [("4.12.0.88", "1.26.4", True), ("4.11.0.86", "1.26.4", False), ("5.0.0.93", "2.4.6", False)],
    )
    def test_opencv(self, root: Path, version: str, numpy: str, trap: bool) -> None:
        it = scene(root, packages={"opencv-python-headless": version, "numpy": numpy})
        assert ("opencv-numpy" in findings(it, "opencv")) is trap

    def test_two_opencvs(self, root: Path) -> None:
        it = scene(root, packages={**GOOD, "opencv-python": "5.0.0.93"})
        assert list(findings(it, "opencv")) == ["opencv-twice"]

    def test_picamera2_that_a_closed_environment_does_not_see(self, root: Path) -> None:
        (root / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
        it = scene(root, {"camera": {"uri": "picamera:"}}, sees_system=False)
        found = findings(it, "picamera2")["picamera2-hidden"]
        assert "is installed for the system's Python, and this environment is closed" in found.seen
        assert "--system-site-packages" in found.mend
        assert findings(replace(it, has_picamera2=True), "picamera2")["picamera2"].severity == "ok"
        assert not findings(scene(root), "picamera2"), "nobody asked for it"

    def test_a_32_bit_system_on_a_64_bit_kernel(self, root: Path) -> None:
        found = findings(scene(root, pointer_bits=32, machine="aarch64"), "bits")
        assert "on a 64-bit kernel" in found["userland-32-bit"].seen


class TestPower:
    def test_of_a_pi_that_is_under_volted_and_throttled(self, tmp_path: Path) -> None:
        board = tree(tmp_path, "pi4")
        found = findings(scene(board), "power")
        assert set(found) == {"under-voltage-now", "throttled-now"}
        assert found["under-voltage-now"].exit_code == 75

    def test_that_was_too_weak_before(self, tmp_path: Path) -> None:
        board = put(tree(tmp_path, "pi4"), {WORD: "10000\n", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n"})
        assert set(findings(scene(board), "power")) == {"under-voltage-before"}

    def test_that_nobody_tells(self, tmp_path: Path) -> None:
        assert findings(scene(tree(tmp_path, "pc")), "power")["power"].severity == "note"

    def test_governor(self, root: Path) -> None:
        put(root, {f"{POLICY}/scaling_governor": "powersave\n"})
        assert "governor-powersave" in findings(scene(root), "governor")
        put(root, {f"{POLICY}/scaling_driver": "intel_pstate\n"})
        assert findings(scene(root), "governor")["governor"].severity == "ok"

    @pytest.mark.parametrize(("temperature", "trap"), [("74900\n", "heat"), ("75000\n", "hot")])
    def test_heat(self, tmp_path: Path, temperature: str, trap: str) -> None:
        board = put(tree(tmp_path, "pi4"), {ZONE: temperature})
        assert list(findings(scene(board), "heat")) == [trap]

    def test_mailbox(self, tmp_path: Path) -> None:
        board = put(tree(tmp_path, "pi4"), {host.MAILBOX: ""})
        assert findings(scene(board), "mailbox")["mailbox"].severity == "ok"
        closed = findings(scene(board, can_open=lambda _: False), "mailbox")["mailbox-closed"]
        assert "closed to this user" in closed.seen


class TestStorage:
    MOUNTS = "/dev/mmcblk0p2 / ext4 {} 0 0\n/dev/sda1 /media/my\\040disk ext4 rw 0 0\n"

    def test_no_state_folder(self, root: Path) -> None:
        assert findings(scene(root, state=None), "state")["state-unwritable"].exit_code == 74

    @pytest.mark.parametrize(
        ("room", "trap"),
        [
            (disk.Space(100 << 20, 0.5, 0.5), "disk-full"),
            (disk.Space(8 << 30, 0.01, 0.5), "disk-full"),
            (disk.Space(8 << 30, 0.5, 0.01), "inodes-full"),
            (disk.Space(8 << 30, 0.5, None), "state"),
        ],
    )
    def test_room(self, root: Path, room: disk.Space, trap: str) -> None:
        assert list(findings(scene(root, space=lambda _: room), "state")) == [trap]

    def test_a_card_that_is_well_worn_or_broken(self, root: Path) -> None:
        put(root, {"proc/self/mounts": self.MOUNTS.format("rw,noatime")})
        assert "SD card" in findings(scene(root), "card")["card"].seen
        put(root, {"sys/fs/ext4/mmcblk0p2/errors_count": "3\n", "sys/fs/ext4/sda1/errors_count": "0\n"})
        put(root, {"sys/block/mmcblk0/device/life_time": "0x01 0x09\n"})
        put(root, {"sys/block/mmcblk0/device/pre_eol_info": "0x01\n"})
        put(root, {"proc/self/mounts": self.MOUNTS.format("ro,noatime")})
        found = findings(scene(root), "card")
        assert set(found) == {"root-read-only", "file-system-errors", "flash-worn"}
        assert found["file-system-errors"].seen == "mmcblk0p2: 3 errors since its last repair"
        assert "90 %" in found["flash-worn"].seen

    @pytest.mark.parametrize(
        ("place", "trap"),
        [("/var/swap", True), ("/dev/mmcblk0p3", True), ("/dev/zram0", False), ("/media/my\\040disk/swap", False)],
    )
    def test_swap(self, root: Path, place: str, trap: bool) -> None:
        rows = f"Filename\tType\tSize\tUsed\tPriority\n{place}\tfile\t102396\t0\t-2\n"
        put(root, {"proc/self/mounts": self.MOUNTS.format("rw"), "proc/swaps": rows})
        assert ("swap-on-card" in findings(scene(root), "swap")) is trap


class TestSystem:
    def test_memory_limit(self, root: Path) -> None:
        put(root, {"proc/cmdline": "coherent_pool=1M cgroup_disable=memory root=/dev/mmcblk0p2\n"})
        put(root, {"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n"})
        assert "cgroup_disable=memory" in findings(scene(root), "memory-limit")["memory-cgroup-off"].seen
        put(root, {"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n"})
        assert list(findings(scene(root), "memory-limit")) == ["memory-limit"]

    def test_the_older_table_of_groups(self, root: Path) -> None:
        put(root, {"proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t70\t0\n"})
        assert host.memory_cgroup(root) is False
        put(root, {"proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t70\t1\n"})
        assert host.memory_cgroup(root) is True

    @pytest.mark.parametrize(("exposure", "trap"), [("9.6 UNSAFE", "unit-exposed"), ("1.4 OK", "exposure")])
    def test_the_unit(self, root: Path, exposure: str, trap: str) -> None:
        told = f"→ Overall exposure level for edge-agent.service: {exposure} 😨\n"
        assert list(findings(scene(root, run=lambda _: told), "exposure")) == [trap]

    def test_no_systemd(self, root: Path) -> None:
        assert findings(scene(root), "exposure")["exposure"].severity == "note"

    def test_cameras_that_are_closed_to_us(self, root: Path) -> None:
        put(root, {"dev/video0": "", "dev/video10": ""})
        it = scene(root, can_open=lambda path: path.name == "video10", groups=frozenset({"pi"}))
        assert findings(it, "devices")["group-video"].seen == "may not open video0; groups: pi"

    def test_the_clock(self, root: Path) -> None:
        put(root, {"run/systemd/timesync/x": "", "sys/class/rtc/rtc0/name": "rtc\n"})
        it = scene(root, kernel_synced=lambda: None)
        assert list(findings(it, "clock")) == ["clock-unsynced"]
        put(root, {"run/systemd/timesync/synchronized": ""})
        assert findings(it, "clock")["clock"].seen == "set by a time server"


class TestCoral:
    def test_on_usb_2(self, root: Path) -> None:
        put(root, {f"{USB}/idVendor": "18d1\n", f"{USB}/idProduct": "9302\n", f"{USB}/speed": "480\n"})
        assert "480 Mbit/s" in findings(scene(root), "coral")["coral-usb-2"].seen
        put(root, {f"{USB}/speed": "5000\n"})
        assert list(findings(scene(root), "coral")) == ["coral"]

    def test_not_initialised_and_closed(self, root: Path) -> None:
        put(root, {f"{USB}/idVendor": "1a6e\n", f"{USB}/idProduct": "089a\n", f"{USB}/speed": "480\n"})
        put(root, {f"{USB}/busnum": "2\n", f"{USB}/devnum": "5\n", "dev/bus/usb/002/005": ""})
        assert list(findings(scene(root), "coral")) == ["coral-not-initialised"]
        assert "coral-closed" in findings(scene(root, can_open=lambda _: False), "coral")

    def test_on_pcie_without_and_with_a_driver(self, root: Path) -> None:
        put(root, {f"{PCI}/vendor": "0x1ac1\n", f"{PCI}/device": "0x089a\n"})
        assert list(findings(scene(root), "coral")) == ["coral-no-driver"]
        put(root, {"sys/class/apex/apex_0/temp": "50000\n", "dev/apex_0": ""})
        assert list(findings(scene(root), "coral")) == ["coral"]

    def test_asked_for_and_not_there(self, root: Path) -> None:
        it = scene(root, {"runtime": {"delegate": "edgetpu"}})
        assert list(findings(it, "coral")) == ["coral-no-device"]
        assert list(findings(it, "coral-library")) == ["coral-no-library"]
        assert not findings(scene(root), "coral"), "nobody asked for one"

    @pytest.mark.parametrize(("version", "trap"), [("16.0", "coral-old-library"), ("16.0tf2.19.1-1", "coral-library")])
    def test_the_library_is_of_the_runtimes_age(self, root: Path, version: str, trap: str) -> None:
        status = f"Package: zlib1g\nStatus: install ok installed\nVersion: 1.2\n\nPackage: libedgetpu1-std\n\
Status: install ok installed\nDescription: x\n more: text\nVersion: {version}\n\n"
        put(root, {"var/lib/dpkg/status": status})
        assert packaged(root) == version
        assert list(findings(scene(root, library=lambda _: "libedgetpu.so.1"), "coral-library")) == [trap]

    @pytest.mark.parametrize(
        ("fault", "delegate", "trap"),
        [
            (ModelError("m: crashes the runtime (SIGSEGV); the file"), "edgetpu", "delegate-crashes"),
            (ModelError("m: crashes the runtime (SIGSEGV); the file"), "", "model-refused"),
            (ModelError("m: did not load and run once within 60 s; it"), "edgetpu", "delegate-hangs"),
            (UnavailableError("x.so: no such file; install the delegate"), "x.so", "delegate-absent"),
            (UnavailableError("delegate 'edgetpu': libedgetpu.so.1 is not there"), "edgetpu", "delegate"),
        ],
    )
    def test_a_try_that_fails(self, root: Path, fault: Exception, delegate: str, trap: str) -> None:
        def prove() -> Tried:
            raise fault

        found = findings(scene(root, {"runtime": {"delegate": delegate}}, prove=prove), "delegate")
        assert found[trap].seen == str(fault) + (" (counted above)" if trap == "delegate" else "")
        assert (found[trap].severity == "note") == (trap == "delegate"), "the library's own check counts it"

    def test_threads_that_lose_a_class(self, tmp_path: Path) -> None:
        ended = edge_agent("doctor", "--bundle", "demo:", "--threads", 2, "--strict", "--json")
        found = {item["id"]: item for item in json.loads(ended.stdout)["findings"]}
        assert found["threads-lose-class"]["seen"] == (
            "runtime.num_threads = 2 would lose washer; the agent runs it on one thread"
        )
        assert found["delegate"]["severity"] == "ok"


class TestExamination:
    @pytest.mark.parametrize("name", NAMES)
    def test_of_every_recorded_board_tells_and_breaks_nothing(self, name: str) -> None:
        board = TREES / name
        diagnosis = examine(scene(board, state=None))
        assert diagnosis.findings
        assert "could not be looked at" not in text(diagnosis)

    def test_goes_on_after_a_check_that_fails_or_hangs(self, root: Path) -> None:
        gate = threading.Event()

        def broken(_: Scene) -> Iterator[Finding]:
            yield Finding("early", "ok", "seen before")
            raise PermissionError(13, "Permission denied", "/sys/x")

        def hanging(_: Scene) -> Iterator[Finding]:
            gate.wait()
            yield Finding("late", "ok", "seen too late")

        def well(_: Scene) -> Iterator[Finding]:
            yield Finding("well", "ok", "fine")

        checks = [Check(name, name, look) for name, look in (("a", broken), ("b", hanging), ("c", well))]
        told = [(item.id, item.seen) for item in examine(scene(root), checks, patience_s=0.2).findings]
        gate.set()
        assert ("a", "could not be looked at: /sys/x: Permission denied") in told
        assert ("b", "could not be looked at: no answer within 0.2 s") in told
        assert told[-1] == ("well", "fine")

    def test_a_sensor_that_prints_garbage_is_a_note(self, root: Path) -> None:
        put(root, {f"{POLICY}/scaling_governor": "\xff\x00"})
        assert findings(scene(root), "governor")["governor"].severity == "note"

    def test_every_trap_has_its_reason_and_mend_and_one_id(self) -> None:
        traps = {trap.id: trap for check in CHECKS for trap in check.traps}
        assert all(trap.why.endswith(".") and trap.mend for trap in traps.values())
        assert {trap.exit_code for trap in traps.values()} <= {65, 66, 69, 74, 75, 78}
        assert not set(traps) & {check.id for check in CHECKS}

    def test_the_exit_code_is_the_first_problems(self, root: Path) -> None:
        it = scene(root, state=None, packages={})
        assert next(item.id for item in examine(it).findings if item.severity == "problem") == "runtime-missing"
        assert examine(it).exit_code == 75
        assert examine(replace(it, packages=GOOD)).exit_code == 74
        assert examine(scene(root)).exit_code == 0

    def test_the_json_is_of_its_schema(self, root: Path) -> None:
        told = json.loads(msgspec.json.encode(examine(scene(root))))
        jsonschema.validate(told, schema())
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**told, "findings": [{"id": "x", "severity": "dire"}]}, schema())

    def test_the_text_says_why_and_how_to_mend(self, root: Path) -> None:
        shown = text(examine(scene(root, packages={})))
        assert "PROBLEM runtime-missing" in shown
        assert "-> pip install ai-edge-litert" in shown
        assert shown.endswith(" notes")
        assert max(map(len, shown.splitlines())) <= 120


class TestFolder:
    def test_is_not_made_by_looking(self, tmp_path: Path) -> None:
        assert may_write(tmp_path / "state" / "edge-agent")
        assert list(tmp_path.iterdir()) == []

    def test_below_a_file_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert not may_write(tmp_path / "file" / "edge-agent")


class TestCommand:
    def test_prints_json_and_keeps_exit_code_0(self, tmp_path: Path) -> None:
        ended = edge_agent("doctor", "--json", XDG_STATE_HOME=str(tmp_path))
        assert ended.returncode == 0, ended.stderr
        told = msgspec.json.decode(ended.stdout, type=Diagnosis)
        assert told.format == "edge-agent.doctor/1"
        assert {item.id for item in told.findings} >= {"runtime", "bits", "state"}

    def test_a_delegate_that_dies_in_invoke_is_a_finding(self, delegates: Delegates, tmp_path: Path) -> None:
        path = tmp_path / "agent.toml"
        path.write_text(f'[runtime]\ndelegate = "{delegates.whole}"\ndelegate_options = {{ do = "crash-invoke" }}\n')
        ended = edge_agent("doctor", "--strict", "--json", "--config", path)
        found = {item["id"]: item for item in json.loads(ended.stdout)["findings"]}
        assert "SIGSEGV" in found["delegate-crashes"]["seen"]
        assert "docs/coral.md" in found["delegate-crashes"]["mend"]
        assert found["delegate-crashes"]["exit_code"] == 65

    @pytest.mark.slow
    def test_a_delegate_that_hangs_in_invoke_is_a_finding(self, delegates: Delegates, tmp_path: Path) -> None:
        path = tmp_path / "agent.toml"
        runtime = f'delegate = "{delegates.whole}"\ndelegate_options = {{ do = "hang-invoke" }}\nprove_timeout_s = 1.5'
        path.write_text(f"[runtime]\n{runtime}\n")
        ended = edge_agent("doctor", "--config", path)
        assert "PROBLEM delegate-hangs" in ended.stdout, ended.stdout
