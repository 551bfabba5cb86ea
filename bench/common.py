"""What the benchmarks share: where the real files are, a broker for a while, and statistics that respect noise."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
ASSETS = Path(os.environ.get("EDGE_ASSETS", ROOT.parent / "shared" / "assets"))
MODEL = ASSETS / "models" / "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite"
CLIP = ASSETS / "video" / "one-by-one-person-detection.mp4"


def need(*paths: Path) -> None:
    """End with a sentence when a file that is measured on is not there."""
    for path in paths:
        if not path.exists():
            sys.exit(f"bench: {path} is not there; set EDGE_ASSETS to the folder of models and clips")


def machine() -> str:
    """One line on the machine, for every table."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}"


def median_interval(values: npt.ArrayLike, *, resamples: int = 10_000, seed: int = 1) -> tuple[float, float, float]:
    """Median and its 95 % bootstrap interval (percentile method, Efron 1979)."""
    data = np.asarray(values, float)
    picks = np.random.default_rng(seed).integers(0, len(data), (resamples, len(data)))
    low, high = np.percentile(np.median(data[picks], axis=1), [2.5, 97.5])
    return float(np.median(data)), float(low), float(high)


@contextmanager
def broker() -> Iterator[int | None]:
    """A mosquitto on loopback, and its port; None where it is not installed."""
    if shutil.which("mosquitto") is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "mosquitto.conf"
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        server = subprocess.Popen(["mosquitto", "-c", str(settings)], stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("bench: mosquitto did not start")
