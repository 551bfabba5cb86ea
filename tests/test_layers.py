"""The import directions of the house, held by a walk over the syntax trees; there are no exceptions.

``errors, records < config < stages and model < pipeline < applications < service < cli``. No stage imports
another. Third-party packages have one room each.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

STAGES = {"camera", "preprocess", "infer", "postprocess", "measure", "drift", "sample", "publish"}
LEVELS = [
    {"errors", "files", "records", "sqlite", "wording"},
    {"config", "matching", "resampling"},
    STAGES | {"model"},
    {"pipeline"},
    {"bundle", "recalibrate", "bench", "annotate", "embedded"},
    {"board", "diary"},
    {"vitals"},
    {
        "telemetry",
        "following",
        "presence",
        "parity",
        "prometheus",
        "commands",
        "desired",
        "governor",
        "pacing",
        "local",
        "samples",
    },
    {"remote", "status", "outset"},
    {"rules", "repair"},
    {"parts"},
    {"service"},
    {"check", "console", "doctor"},
    {"cli"},
    {"__main__"},
]
ONLY_IN = {
    "ai_edge_litert": {"infer"},
    "tflite_runtime": {"infer"},
    "paho": {"publish"},
    "psutil": {"measure"},
    "ddsketch": {"measure"},
    "typer": {"cli"},
    "picamera2": {"camera"},
    "flatbuffers": {"model"},
    "cryptography": {"bundle"},
    "prometheus_client": {"prometheus"},
    "sqlite3": {"sqlite", "publish", "commands"},
    "tomli_w": {"config"},
    "tomllib": {"config"},
}


def rooms() -> list[tuple[str, Path]]:
    """Every module of the agent with the room it belongs to."""
    files = sorted((ROOT / "agent").rglob("*.py"))
    return [(path.relative_to(ROOT / "agent").parts[0].removesuffix(".py"), path) for path in files]


def imports(path: Path) -> list[str]:
    """Full dotted names of everything that a file imports, at any depth, for type checking too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def level(room: str) -> int:
    return next(number for number, names in enumerate(LEVELS) if room in names)


def inner_rooms(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports(path) if name.startswith("agent.")}
    return names - {"__version__"}


@pytest.mark.parametrize(("room", "path"), rooms(), ids=lambda value: str(value).rpartition("agent/")[2])
def test_each_room_imports_only_what_lies_left_of_it(room: str, path: Path) -> None:
    if room == "__init__":
        assert not inner_rooms(path), "the map imports nothing"
        return
    for other in inner_rooms(path) - {room}:
        assert level(other) <= level(room), f"{path}: {room} must not import {other}"
        if room in STAGES | {"model"}:
            assert other not in STAGES | {"model"}, f"{path}: stage {room} must not import {other}"


@pytest.mark.parametrize(("room", "path"), rooms(), ids=lambda value: str(value).rpartition("agent/")[2])
def test_each_package_has_one_room(room: str, path: Path) -> None:
    for name in imports(path):
        allowed = ONLY_IN.get(name.split(".", maxsplit=1)[0])
        assert allowed is None or room in allowed, f"{path}: {name} belongs to {allowed}"


def test_the_agent_never_imports_the_tools() -> None:
    for _, path in rooms():
        assert not [name for name in imports(path) if name.split(".", maxsplit=1)[0] == "tools"], path


def test_one_broad_except_in_the_whole_agent() -> None:
    broad = [
        f"{path}:{node.lineno}"
        for _, path in rooms()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None or "Exception" in {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
        )
    ]
    assert len(broad) == 1, broad
    assert "cli/entry.py" in broad[0]
