"""A capture reads as the board does, and holds nothing that names it."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import tarfile
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import MeasureConfig
from agent.doctor import Diagnosis, Finding, write_archive
from agent.errors import StorageError
from agent.measure import Sensors
from agent.measure import capture as room
from agent.measure.capture import SHAPES, Scrub, capture
from agent.records import BoardInfo
from tests.cases import edge_agent
from tests.measure_trees import APEX, NAMES, TREES, ZONE, read, tree, values

BOARD = BoardInfo("Raspberry Pi 4", "aarch64", 4, 1, "Debian", "6.12", "3.11")
DIAGNOSIS = Diagnosis(
    "0.1.0", BOARD, (Finding("broker-unreachable", "problem", "mqtt://secret.home:1883", "w", "m", 69),)
)

PLANTED = {
    "hostname": "annas-kitchen",
    "serial": "10000000cafebabe",
    "mac": "dc:a6:32:01:02:03",
    "machine": "0123456789abcdef0123456789abcdef",
    "user": "annabel",
    "ip": "192.168.178.23",
    "ipv6": "2001:db8::8a2e:370:7334",
    "uuid": "8c2b0d5e-1f1c-4c4b-9f0e-2f6f4b6e2a11",
}


def unpack(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def plant(root: Path) -> None:
    """The places where a machine keeps its names."""
    places = {
        "etc/hostname": f"{PLANTED['hostname']}\n",
        "etc/machine-id": f"{PLANTED['machine']}\n",
        "etc/passwd": f"root:x:0:0::/root:/bin/bash\n{PLANTED['user']}:x:1000:1000::/home/x:/bin/bash\n",
        "proc/device-tree/serial-number": f"{PLANTED['serial']}\0",
        "sys/class/net/eth0/address": f"{PLANTED['mac']}\n",
        "proc/cmdline": f"smsc95xx.macaddr={PLANTED['mac']} cgroup_disable=memory root=PARTUUID={PLANTED['uuid']}\n",
    }
    unpack({name: text.encode() for name, text in places.items()}, root)


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_reads_as_the_board_does(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path, name)
    plant(root)
    again = unpack(capture(root).files, tmp_path / "again")
    assert values(read(again)) == values(read(root))
    one, other = (Sensors(MeasureConfig(sys_root=str(it))).info() for it in (again, root))
    assert asdict(one) == asdict(other)


@pytest.mark.parametrize("content", ["", "85000", "-89700\n", "garbage\n", "9" * 5000, "\xff\xfe\n"])
def test_a_sensor_that_lies_lies_in_the_capture_too(tmp_path: Path, content: str) -> None:
    root = tree(tmp_path, "pc-apex")
    (root / APEX).write_bytes(content.encode("latin-1"))
    again = unpack(capture(root).files, tmp_path / "again")
    assert values(read(again)) == values(read(root))
    assert values(read(root))["accelerator_celsius"] is None


def test_a_second_capture_of_a_capture_is_the_same(tmp_path: Path) -> None:
    first = capture(tree(tmp_path, "pi4")).files
    assert capture(unpack(first, tmp_path / "again")).files == first


@given(
    secret=st.sampled_from(sorted(PLANTED)),
    before=st.text(st.sampled_from("aZ9 -_.:=/\n\t\0"), max_size=12),
    after=st.text(st.sampled_from("aZ9 -_.:=/\n\t\0"), max_size=12),
    name=st.sampled_from(sorted(SHAPES)),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nothing_that_names_the_board_gets_through_any_file(
    tmp_path_factory: pytest.TempPathFactory, secret: str, before: str, after: str, name: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    plant(root)
    path = name.replace("*", "0").replace("[0-9]", "1")
    key = "PRETTY_NAME=" if "os-release" in name else "coherent_pool=" if "cmdline" in name else ""
    unpack({path: f"{key}{before}{PLANTED[secret]}{after}\n".encode()}, root)
    # what is glued to letters or digits is another word to a shape, and known words are cut out anywhere
    glued = (before[-1:] + after[:1]).strip(" -_=/\n\t\0")
    if secret in {"ip", "ipv6", "uuid"} and glued:
        return
    held = b"\n".join(capture(root).files.values())
    assert PLANTED[secret].encode() not in held


@given(st.text(max_size=80))
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    scrub = Scrub(["annabel", "pi", "***"])
    assert scrub(scrub(text)) == scrub(text)


def test_files_that_are_not_on_the_list_stay(tmp_path: Path) -> None:
    root = tree(tmp_path, "pi4")
    plant(root)
    unpack({"etc/NetworkManager/system-connections/home": b"ssid=annas wlan\npsk=secret\n"}, root)
    unpack({"sys/class/thermal/thermal_zone0/secret": b"1\n", "PROVENANCE.md": b"x"}, root)
    names = set(capture(root).files)
    assert not [name for name in names if "NetworkManager" in name or "secret" in name or "hostname" in name]
    assert capture(root).files["proc/cmdline"] == b"cgroup_disable=memory\n"


def test_links_pipes_giants_and_names_like_addresses(tmp_path: Path) -> None:
    root = tree(tmp_path, "pi4")
    (tmp_path / "outside").write_text("47000\n")
    zone = root / ZONE
    zone.unlink()
    zone.symlink_to(tmp_path / "outside")
    os.mkfifo(root / "sys/class/hwmon/hwmon0/temp9_input")
    loop = root / "sys/class/thermal/thermal_zone7"
    loop.symlink_to(root / "sys/class/thermal", target_is_directory=True)
    unpack({"sys/class/hwmon/dc:a6:32:01:02:03/temp1_input": b"1000\n"}, root)
    unpack({"proc/meminfo": b"MemTotal: 1 kB\n" * 40_000}, root)
    taken = capture(root)
    assert ZONE not in taken.files, "a link out of the tree is not followed"
    assert "sys/class/hwmon/hwmon0/temp9_input" not in taken.files
    assert not [name for name in taken.files if "dc:a6" in name]
    assert taken.files["proc/meminfo"] == b"<other>\n"


def test_a_file_that_blocks_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, "pc-apex")
    stuck = os.open(tmp_path / "x", os.O_CREAT)
    os.close(stuck)
    gate, whole = threading.Event(), room.read_text

    def slow(path: Path, limit: int) -> str | None:
        if path == root / APEX:
            gate.wait()
        return whole(path, limit)

    monkeypatch.setattr(room, "read_text", slow)
    taken = capture(root, Scrub([]), read_s=0.1)
    gate.set()
    assert taken.blocked == (APEX,)
    assert "proc/meminfo" in taken.files


def test_too_many_files_are_cut_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_FILES", 5)
    taken = capture(tree(tmp_path, "pi4"))
    assert (len(taken.files), taken.is_cut) == (5, True)


class TestArchive:
    def test_holds_the_tree_and_no_word_of_what_was_seen(self, tmp_path: Path) -> None:
        root = tree(tmp_path, "pi4")
        plant(root)
        target = tmp_path / "annas-kitchen.tar.gz"
        size = write_archive(target, capture(root), DIAGNOSIS, {"frames": 3})
        data = target.read_bytes()
        assert len(data) == size < 64 * 1024
        plain = gzip.decompress(data)
        assert not [word for word in (*PLANTED.values(), "secret.home") if word.encode() in plain + data]
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            entries = {entry.name: entry for entry in archive}
            assert all((it.uid, it.gid, it.uname, it.gname, it.mtime) == (0, 0, "", "", 0) for it in entries.values())
            brief = json.load(archive.extractfile(entries["doctor.json"]))  # type: ignore[arg-type]
            assert brief["findings"] == [{"id": "broker-unreachable", "severity": "problem"}]
            archive.extractall(tmp_path / "out", filter="data")
        assert values(read(tmp_path / "out/tree")) == values(read(root))
        assert [path for path in tmp_path.iterdir() if path.name.endswith(".part")] == []

    def test_is_the_same_bytes_each_time(self, tmp_path: Path) -> None:
        taken = capture(TREES / "pi5", Scrub([]))
        for name in ("a.tar.gz", "b.tar.gz"):
            write_archive(tmp_path / name, taken, DIAGNOSIS)
        assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()

    @pytest.mark.parametrize("target", ["gone/board.tar.gz", "file/board.tar.gz"])
    def test_that_cannot_be_written(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match=r"board\.tar\.gz: cannot be written"):
            write_archive(tmp_path / target, capture(TREES / "pc"), DIAGNOSIS)

    def test_on_a_full_disk_leaves_nothing(self, tmp_path: Path) -> None:
        taken = capture(TREES / "pc")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))  # a write over it fails as one on a full disk does
        try:
            with pytest.raises(StorageError, match="cannot be written"):
                write_archive(tmp_path / "board.tar.gz", taken, DIAGNOSIS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_by_the_command(self, tmp_path: Path) -> None:
        target = tmp_path / "board.tar.gz"
        ended = edge_agent("doctor", "--capture", target)
        assert ended.returncode == 0, ended.stderr
        assert "look through it before you give it away" in ended.stderr
        with tarfile.open(target) as archive:
            bench = json.load(archive.extractfile("bench.json"))  # type: ignore[arg-type]
        assert bench["frames"] == 64
        assert bench["stages"]["invoke"]["p50_s"] > 0

    def test_into_a_folder_that_is_not_there_is_refused_before_the_work(self, tmp_path: Path) -> None:
        refused = edge_agent("doctor", "--capture", tmp_path / "gone" / "board.tar.gz")
        assert (refused.returncode, refused.stderr.count("\n")) == (74, 1)
