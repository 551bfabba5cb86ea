"""A writer of kept frames dies: nothing torn is ever listed, and the next start clears what is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.sample import picture, read
from tests.sampling import bounded

KILLED = """
import os, shutil, sys
from pathlib import Path
from tests.sampling import Shop, taken
from agent.config import SampleConfig

folder = Path(sys.argv[1])
OURS = ("agent/files.py", "agent/sample/store.py")
PURE = ("<genexpr>", "<listcomp>", "size_bytes", "_expire", "_take", "lived_s", "_short_of", "_free_room")

def shop(name):
    return Shop(folder / name, SampleConfig(min_free_bytes=0, max_bytes=60_000))

def die_at(line):
    left = [line]
    def local(frame, event, _):
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), 9)
        return local
    def begin(frame, event, _):
        code = frame.f_code
        return local if code.co_filename.endswith(OURS) and code.co_name not in PURE else None
    sys.settrace(begin)

full = shop("full").opened()
while not full.given_up_total:
    full.put(taken(full._next, size=(160, 120)))
full.close()

for line in range(1000):
    shutil.copytree(folder / "full", folder / str(line))
    child = os.fork()
    if child == 0:
        store = shop(str(line)).opened()
        die_at(line)
        store.put(taken(50, size=(160, 120)))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(line, full._next, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)
    if not os.WIFSIGNALED(status):
        break
"""


def test_a_writer_killed_at_any_line_leaves_no_torn_frame(tmp_path: Path) -> None:
    """A child process is killed at the first, second, third... line of what writes, until it lives to the end.

    At the time a frame is put into a full store, so that others are given up for it.
    """
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    told = [tuple(map(int, row.split())) for row in done.stdout.splitlines()]
    ends, next_number = [end for _, _, end in told], told[0][1]
    assert ends[-1] == 0, "the last one lived"
    assert set(ends[:-1]) == {9}
    assert len(ends) > 60, "there is much to be killed in"
    seen = set()
    for line in range(len(ends)):
        shelf = read(tmp_path / str(line))
        assert not shelf.damaged, line
        for kept in shelf.kept[-3:]:
            data = picture(tmp_path / str(line), kept.record)
            assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
        assert sum(kept.size_bytes for kept in shelf.kept) <= 60_000
        seen |= {int(kept.name[:8]) for kept in shelf.kept}
        shop = bounded(tmp_path / str(line), max_bytes=60_000)
        store = shop.opened()
        assert store.names == [kept.name for kept in shelf.kept], "a new start loses nothing"
        rest = [path for path in shop.folder.iterdir() if path.stem not in [*store.names, ".lock", ".lived"]]
        assert not rest, "and clears what was half written"
    assert next_number in seen


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_no_torn_frame(tmp_path: Path) -> None:
    """The same at random moments, so that a kill falls into the middle of a write as well."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.sampling import Shop, taken\n"
        "store = Shop(Path(sys.argv[1])).opened()\nprint('go', flush=True)\n"
        "for number in range(10**6):\n    print(store.put(taken(number % 50, size=(640, 480))), flush=True)\n"
    )
    draw = np.random.default_rng(5)
    for start in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "go\n"
        told = [child.stdout.readline().strip() for _ in range(int(draw.integers(0, 6)))]
        time.sleep(float(draw.uniform(0.0, 0.02)))  # nothing is waited for: the moment is the point
        child.kill()
        told += [line for line in child.stdout.read().split("\n")[:-1] if line]
        child.wait()
        shelf = read(tmp_path)
        assert not shelf.damaged, start
        assert set(told) <= {kept.name for kept in shelf.kept}, "what was said to be kept is kept"
        for kept in shelf.kept[-8:]:
            picture(tmp_path, kept.record)
