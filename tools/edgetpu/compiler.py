"""Google's ``edgetpu_compiler``: started, given its time, and read.

A closed program for x86-64 Debian, which this project has not run. How it is called and what it says is taken from
https://coral.ai/docs/edgetpu/compiler/ and from logs of its users (google-coral/edgetpu issues 211, 270, 342, 490, 686,
728, 829). What its exit codes mean is written nowhere: only a file that is there counts as compiled.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StorageError, UnavailableError

COMPILER = "edgetpu_compiler"
MAPPED = "Mapped to Edge TPU"

LONGEST_S = 600.0
"""Where nothing is said: version 16 gives up by itself after 180 s, older ones never do (issue 270)."""

_GRACE_S = 30.0
"""More than the compiler was told: it gets the chance to say itself that the time was too short."""

_MOST_SAID = 1 << 20
_MOST_LINES = 3
_ROW = re.compile(r"^(\S+)[ \t]+(\d+)[ \t]+(\S.*?)\s*$", re.MULTILINE)
_TOTAL = re.compile(r"^Total number of operations:\s*(\d+)\s*$", re.MULTILINE)
_GAVE_UP = "Compilation timeout"
_EMPTY = re.compile(
    r"^(Edge TPU Compiler version .*|Started a compilation timeout timer .*|Compilation child process completed .*"
    r"|Compilation failed!|)\s*$"
)
"""Lines that stand in the output of every failure and give no reason."""


@dataclass(frozen=True, slots=True)
class Left:
    """Operations of one kind that stay on the CPU, and why, in the compiler's words."""

    name: str
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class Log:
    """What the compiler says of the operations.

    Attributes:
        mapped: how many run on the Edge TPU.
        left: those that do not.
        total: how many there are by its own count; None where it does not say.
    """

    mapped: int
    left: tuple[Left, ...]
    total: int | None

    @property
    def named(self) -> int:
        """How many operations have a row."""
        return self.mapped + sum(row.count for row in self.left)

    @property
    def is_whole(self) -> bool:
        """Every operation has a row."""
        return self.named > 0 and self.total in {None, self.named}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the compiler.

    Attributes:
        result: the compiled file; None where none was made.
        said: all that it wrote, its log file too.
        reason: why there is no result; empty where there is one.
        is_late: it did not end in its time.
    """

    result: bytes | None
    said: str
    reason: str = ""
    is_late: bool = False


def read_log(said: str) -> Log:
    r"""The table of operations in what the compiler wrote; its rows may come twice.

    >>> log = read_log("CONV_2D   36   Mapped to Edge TPU\nCUSTOM   1   Operation not supported")
    >>> log.mapped, log.left
    (36, (Left(name='CUSTOM', count=1, why='Operation not supported'),))
    """
    rows = dict.fromkeys((name, int(count), why) for name, count, why in _ROW.findall(said))
    total = _TOTAL.search(said)
    return Log(
        mapped=sum(count for _, count, why in rows if why == MAPPED),
        left=tuple(Left(name, count, why) for name, count, why in rows if why != MAPPED),
        total=int(total.group(1)) if total else None,
    )


def compile_with(program: str, model: bytes, timeout_s: float | None = None, longest_s: float = LONGEST_S) -> Run:
    """Compile a file.

    Args:
        program: path of the compiler.
        model: the CPU file.
        timeout_s: told to the compiler; None: its own choice.
        longest_s: where it is told nothing, it is ended after so many seconds, with all that it started.

    Raises:
        UnavailableError: it cannot be started.
        StorageError: there is no room for the file.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="edge-tools-") as name:
            folder = Path(name)
            (folder / "model.tflite").write_bytes(model)
            told_s = [] if timeout_s is None else ["--timeout_sec", str(round(timeout_s))]
            command = [program, "--show_operations", *told_s, "--out_dir", name, str(folder / "model.tflite")]
            code = _ended(command, folder / "said", longest_s if timeout_s is None else timeout_s + _GRACE_S)
            said = _text(folder / "said") + _text(folder / "model_edgetpu.log")
            result = folder / "model_edgetpu.tflite"
            if code == 0 and result.is_file():
                return Run(result.read_bytes(), said)
    except OSError as error:
        raise StorageError(f"the temporary folder has no room to compile in: {error.strerror}") from None
    return Run(None, said, _reason(code, said), is_late=code is None or _GAVE_UP in said)


def _ended(command: list[str], said: Path, longest_s: float) -> int | None:
    """The exit code, negative for a signal; None when it had to be ended."""
    with said.open("wb") as file:
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        except OSError as error:
            raise UnavailableError(f"{command[0]}: cannot be started: {error.strerror}") from None
        try:
            return child.wait(longest_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):  # it compiles in a child of its own
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _reason(code: int | None, said: str) -> str:
    if code is not None and code < 0:
        return f"it crashed ({signal.Signals(-code).name if -code in set(signal.Signals) else -code})"
    lines = [line.strip() for line in said.splitlines() if not _EMPTY.match(line)]
    return "; ".join(lines[-_MOST_LINES:]) or f"it ended with {code} and gave no reason"


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_MOST_SAID).decode("utf-8", "replace")
