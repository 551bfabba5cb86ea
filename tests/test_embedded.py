"""What runs when nothing is named, and for whom."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import embedded
from tests.cases import edge_agent, json_lines


def test_with_nothing_named_it_shows_itself(tmp_path: Path) -> None:
    result = edge_agent("run", "--frames", 20, "--json", HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    summary = json_lines(result.stdout)[-1]["summary"]
    assert summary["frames"] == 20
    assert summary["detections"] > 40
    for note in embedded.NOTES.values():
        assert note in result.stderr


@pytest.mark.parametrize(
    ("named", "changes"),
    [
        ((None, None, None), {"model.bundle": "demo:", "camera.uri": "demo:"}),
        (("demo:?light=0.4", None, None), {"model.bundle": "demo:"}),
        ((None, None, "demo:"), {"camera.uri": "demo:"}),
        (("/dev/video0", None, None), {}),
        (("/dev/video0", None, "demo:"), {}),
        ((None, Path("ssd.tflite"), None), {}),
        ((None, None, "own.bundle"), {}),
    ],
)
def test_it_fills_in_only_what_a_person_left_open(
    named: tuple[str | None, Path | None, str | None], changes: dict[str, str]
) -> None:
    assert embedded.defaults(*named) == changes


def test_a_service_without_a_configuration_fails_with_a_reason(tmp_path: Path) -> None:
    result = edge_agent("run", "--seconds", 1, INVOCATION_ID="0123", HOME=str(tmp_path))
    assert result.returncode == 78
    assert "no model is named" in result.stderr


def test_a_configuration_without_a_model_is_not_filled_in(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("[measure]\nwindow_s = 5\n")
    result = edge_agent("run", "--config", tmp_path / "agent.toml", HOME=str(tmp_path))
    assert result.returncode == 78
    assert "--bundle" in result.stderr


def test_in_a_terminal_of_a_desktop_a_person_is_a_person() -> None:
    leader, follower = os.openpty()
    code = "import agent.embedded as e, sys; sys.exit(e.is_under_systemd())"
    environment = {**os.environ, "INVOCATION_ID": "0123"}
    try:
        with_terminal = subprocess.run([sys.executable, "-c", code], stdin=follower, env=environment, check=False)
        without = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, env=environment, check=False)
    finally:
        os.close(leader)
        os.close(follower)
    assert (with_terminal.returncode, without.returncode) == (0, 1)


def test_without_a_home_it_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    (tmp_path / "tmp").mkdir()
    result = edge_agent("run", "--frames", 3, HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "tmp"))
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    assert result.stderr.count("state is not kept") == 1, "said once, however many ask for the folder"


def test_without_any_folder_it_says_so(tmp_path: Path) -> None:
    """A full disk and a read-only one look the same to who must unpack a bundle."""
    (tmp_path / "home").touch()
    code = (
        "import sys, tempfile; from agent.cli import main\n"
        "def refuse(**_): raise OSError(30, 'Read-only file system')\n"
        "tempfile.mkdtemp = refuse; sys.argv = ['edge-agent', 'run', '--frames', '1']; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path / "home")},
    )
    assert result.returncode == 74, result.stderr
    assert "Read-only file system" in result.stderr
