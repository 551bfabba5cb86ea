"""The main job, shown: a broker on loopback, the agent on a clip, and its messages as they arrive.

Everything that is started here is ended here, also on Ctrl-C. Without mosquitto the agent runs all the same, and the
demo says what is missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import typer

from agent.errors import CameraError, ModelError, UnavailableError

_CLIP = "video/one-by-one-person-detection.mp4"
_MODEL = "models/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite"
_START_S = 5.0


def run(camera: str, model: Path | None, seconds: float) -> None:
    """Start everything, and end it after ``seconds``.

    Raises:
        CameraError: no camera was named, and there is no clip.
        ModelError: no model was named, and there is none.
        UnavailableError: the broker does not start.
    """
    assets = Path(os.environ.get("EDGE_ASSETS", "../shared/assets"))
    camera, model = camera or str(assets / _CLIP), model or assets / _MODEL
    if not model.exists():
        raise ModelError(f"{model}: no such file; give --model, or set EDGE_ASSETS to the folder of models and clips")
    if "/" in camera and ":" not in camera and not Path(camera).exists():
        raise CameraError(
            f"{camera}: no such file; give --camera, or set EDGE_ASSETS to the folder of models and clips"
        )
    with contextlib.ExitStack() as started:
        folder = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="edge-demo-")))
        port = started.enter_context(_broker(folder)) if shutil.which("mosquitto") else None
        if port is None:
            typer.echo("mosquitto is not installed: the agent runs without a broker (apt install mosquitto)", err=True)
        elif shutil.which("mosquitto_sub"):
            started.enter_context(_process(["mosquitto_sub", "-p", str(port), "-t", "edge/v1/#", "-F", "%t  %.120p"]))
        settings = folder / "agent.toml"
        settings.write_text(_settings(folder, port), encoding="utf-8")
        command = [sys.executable, "-m", "agent", "run", "--config", str(settings), "--camera", camera, "--loop"]
        subprocess.run([*command, "--model", str(model), "--seconds", str(seconds)], check=False)


def _settings(folder: Path, port: int | None) -> str:
    broker = f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nhealth_s = 10\n' if port else ""
    return f'[device]\nsite = "demo"\nid = "board"\nstate_dir = "{folder}/state"\n[measure]\nwindow_s = 5\n{broker}'


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type error\n", encoding="utf-8")
    with _process(["mosquitto", "-c", str(config)]):
        deadline_s = time.monotonic() + _START_S
        while not _listens(port):
            if time.monotonic() > deadline_s:
                raise UnavailableError(f"mosquitto did not start within {_START_S:.0f} s on port {port}")
            time.sleep(0.05)
        yield port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[None]:
    child = subprocess.Popen(command)
    try:
        yield
    finally:
        child.terminate()
        child.wait()
