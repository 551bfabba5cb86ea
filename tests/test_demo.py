"""`edge-tools demo`: everything it starts, it ends; what is missing it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from tools.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment or None)


@pytest.mark.broker
def test_the_demo_shows_frames_and_messages_and_ends(assets: Path) -> None:
    result = demo("--seconds", "4", EDGE_ASSETS=str(assets), PATH="/usr/sbin:/usr/bin:/bin")
    assert result.returncode == 0, result.stderr
    assert "frames in" in result.stdout
    for topic in ("birth", "state", "m/perf"):
        assert f"edge/v1/demo/board/{topic}" in result.stdout
    left = subprocess.run(["pgrep", "-f", "edge-demo-"], capture_output=True, text=True, check=False).stdout
    assert not left.split()


def test_without_assets_it_says_what_to_give(tmp_path: Path) -> None:
    result = demo("--seconds", "1", EDGE_ASSETS=str(tmp_path))
    assert result.returncode == 65
    assert "--model" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_mosquitto_the_agent_runs_all_the_same(assets: Path, tmp_path: Path) -> None:
    result = demo("--seconds", "2", EDGE_ASSETS=str(assets), PATH=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "apt install mosquitto" in result.stderr
    assert "frames in" in result.stdout
