"""Every board's tree is known for what it is, and says where it is from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.measure_trees import NAMES, TREES, sensors, tree


@pytest.mark.parametrize(
    ("name", "model", "cores", "memory", "kernel"),
    [
        ("pi3", "Raspberry Pi 3 Model B Plus Rev 1.3", 4, 945364, "6.12.25+rpt-rpi-v8"),
        ("pi4", "Raspberry Pi 4 Model B Rev 1.4", 4, 3881112, "6.12.25+rpt-rpi-v8"),
        ("pi5", "Raspberry Pi 5 Model B Rev 1.0", 4, 8255168, "6.12.25+rpt-rpi-2712"),
        ("zero2w", "Raspberry Pi Zero 2 W Rev 1.0", 4, 426272, "6.12.25+rpt-rpi-v8"),
        ("pc", "Intel(R) Client Systems NUC11PAHi5", 8, 16291044, "6.12.48+deb13-amd64"),
        ("pc-apex", "ASRock B450M Pro4", 12, 7592332, "6.1.0-37-amd64"),
    ],
)
def test_each_boards_name(name: str, model: str, cores: int, memory: int, kernel: str) -> None:
    info = sensors(TREES / name).info()
    assert (info.model, info.cores, info.memory_bytes, info.kernel) == (model, cores, memory * 1024, kernel)
    assert info.os.startswith("Debian GNU/Linux 1")


@pytest.mark.parametrize("name", NAMES)
def test_each_tree_says_where_it_is_from(name: str) -> None:
    provenance = (TREES / name / "PROVENANCE.md").read_text()
    for file in (TREES / name).rglob("*"):
        if file.is_file() and file.name != "PROVENANCE.md":
            place = file.relative_to(TREES / name).as_posix()
            folders = [p.as_posix() + "/" for p in file.relative_to(TREES / name).parents]
            assert any(f"`{p}`" in provenance for p in (place, *folders)), f"{name}: {place} has no source"


@pytest.mark.parametrize(("line", "count"), [("0\n", 1), ("0-3\n", 4), ("0,2-3\n", 3), ("0-1,4-7\n", 6)])
def test_cores_are_counted_from_their_list(tmp_path: Path, line: str, count: int) -> None:
    root = tree(tmp_path, "pi4")
    (root / "sys/devices/system/cpu/online").write_text(line)
    assert sensors(root).info().cores == count


def test_a_board_that_does_not_tell_its_name_is_unknown(tmp_path: Path) -> None:
    root = tree(tmp_path, "pc-apex")
    (root / "sys/class/dmi/id/board_name").write_text("\n")
    assert sensors(root).info().model == "unknown"


def test_a_maker_without_a_name_leaves_the_products(tmp_path: Path) -> None:
    root = tree(tmp_path, "pc")
    (root / "sys/class/dmi/id/sys_vendor").write_text("\n")
    pc = sensors(root)
    assert pc.info().model == "NUC11PAHi5"
    assert pc.failures_total == {}
