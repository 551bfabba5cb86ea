"""A real kernel camera: the checks of ``vivid/guest.py``, run in a small virtual machine (``vivid/run.sh``).

Once with the OpenCV of this environment, and once with that of the tflite-runtime environment where there is one: their
V4L2 codes differ, and one of them has died here of what the other did not mind.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "vivid"
NAMES = re.findall(r"^@checked\ndef (\w+)", (HERE / "guest.py").read_text(), re.MULTILINE)
PYTHONS = [Path(sys.executable), HERE.parents[2] / ".venv-tflite" / "bin" / "python"]
TRY_AGAIN = 75
TIMEOUT_S = 1200

pytestmark = [pytest.mark.system, pytest.mark.timeout(TIMEOUT_S)]


@pytest.fixture(scope="module", params=PYTHONS, ids=["this environment", "tflite-runtime"])
def console(request: pytest.FixtureRequest) -> str:
    """What the guest said, line by line."""
    python: Path = request.param
    if not python.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {python}: `make test-tflite` makes it")
    done = subprocess.run(
        ["bash", str(HERE / "run.sh")],
        env=os.environ | {"PYTHON": str(python)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode == TRY_AGAIN and not os.environ.get("CI"):
        pytest.skip("no virtual machine can be made here; the reason is above")
    return done.stdout


def test_the_guest_ran_every_check(console: str) -> None:
    assert f"VIVID done {len(NAMES)}\n" in console, console


@pytest.mark.parametrize("name", NAMES)
def test_vivid(console: str, name: str) -> None:
    lines = [line for line in console.splitlines() if f" {name} " in line]
    assert len(lines) == 1, console
    assert lines[0].startswith("VIVID ok "), lines[0]
