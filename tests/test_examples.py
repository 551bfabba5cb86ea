"""The example scripts: what they say when they are called wrongly. That they work is tried with a broker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs/examples/mosquitto_dynsec_password.py"


def gives(*words: object, line: str = "hush\n") -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    done = subprocess.run(command, input=line, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), ("{", "is no file of"), ("[]", "is no file of"), ("{}", "is no file of")],
)
def test_a_file_that_is_none_is_one_sentence(content: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "dynsec.json"
    if content is not None:
        path.write_text(content)
    code, errors = gives(path, "cam1")
    assert code == 1
    assert words in errors
    assert errors.count("\n") == 1


def test_its_use_and_its_refusals_are_told(tmp_path: Path) -> None:
    assert gives()[1].startswith("usage: ")
    path = tmp_path / "dynsec.json"
    path.write_text(json.dumps({"clients": [{"username": "cam1"}]}))
    assert "no client 'cam2'" in gives(path, "cam2")[1]
    assert "no password" in gives(path, "cam1", line="")[1]
    assert gives(path, "cam1") == (0, "")
    assert json.loads(path.read_text())["clients"][0]["password"]
