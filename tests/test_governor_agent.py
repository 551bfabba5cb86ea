"""The governor in a real agent on a recorded board whose temperature the test sets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases import edge_agent, json_lines
from tests.measure_trees import ZONE, tree
from tests.servers.mosquitto import wait_until


@pytest.mark.slow
def test_a_hot_board_takes_fewer_frames_and_a_cool_one_all_of_them(tmp_path: Path) -> None:
    root = tree(tmp_path, "pi4")
    (root / ZONE).write_text("84000\n")
    settings = tmp_path / "agent.toml"
    settings.write_text(
        f'[device]\nstate_dir = "{tmp_path / "state"}"\n'
        f'[measure]\nsys_root = "{root}"\nsensors_s = 0.5\nwindow_s = 1.0\n'
        '[governor]\nmode = "act"\nstep_s = 5.0\nlowest_share = 0.75\n'
    )

    def told() -> dict[str, Any]:
        result = edge_agent("status", "--json", "--config", settings)
        return json_lines(result.stdout)[0] if result.returncode == 0 else {}

    def pace() -> str:
        return str(told().get("pace", {}).get("state", ""))

    command = [sys.executable, "-m", "agent", "run", "--config", settings, "--bundle", "demo:", "--camera", "demo:"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert wait_until(lambda: pace() in {"paced", "slowest"}, 40.0)
        allowed = told()["pace"]
        assert allowed["acted"] is True
        assert wait_until(lambda: (now := told())["fps"] <= 1.05 * now["pace"]["fps"], 30.0)
        assert told()["stages"]["age"]["p50_s"] < 1.0, "nothing is queued"
        (root / ZONE).write_text("45000\n")
        assert wait_until(lambda: pace() == "free", 90.0)
    finally:
        child.terminate()
        _, log = child.communicate(timeout=60)
    assert log.count("WARNING agent.governor: takes at most") >= 1
    assert "INFO agent.governor: takes frames as they come" in log
