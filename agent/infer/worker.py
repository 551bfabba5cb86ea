"""A child process in which whatever is untrusted is tried first.

The child loads the file with the same runtime, threads and delegate, invokes it once, and prints one JSON line. A
crash, a hang or a refusal there is a :class:`~agent.errors.ModelError` here and costs nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from agent.config import RuntimeConfig
from agent.errors import AgentError, ConfigError, ModelError, UnavailableError
from agent.infer.backend import choose_backend
from agent.infer.detector import Detector
from agent.records import ModelCard

ERRORS = {"ModelError": ModelError, "UnavailableError": UnavailableError, "ConfigError": ConfigError}
"""What a child's word for a fault means here."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the child saw.

    Attributes:
        load_s: time to make the interpreter and allocate its tensors.
        invoke_s: time of the first invoke.
        peak_rss_bytes: the child's greatest resident memory.
    """

    load_s: float
    invoke_s: float
    peak_rss_bytes: int


def prove(path: Path, card: ModelCard, config: RuntimeConfig) -> Proof:
    """Load and run the file once in a child process.

    Raises:
        ModelError: the child refused the file, crashed or hung.
        UnavailableError: the runtime or the delegate is not there.
    """
    request = msgspec.json.encode([str(path), msgspec.to_builtins(card), msgspec.to_builtins(config)])
    try:
        child = subprocess.run(
            # -P: the folder that the user stands in may hold another package of this name.
            [sys.executable, "-P", "-c", "from agent.infer.worker import main; main()"],
            input=request,
            capture_output=True,
            timeout=config.prove_timeout_s,
            check=False,
            env=os.environ | {"PYTHONPATH": search_path()},
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{path}: did not load and run once within {config.prove_timeout_s:g} s; "
            "it hangs, or this board needs a longer runtime.prove_timeout_s"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{path}: no child process to try it in: {error.strerror}") from None
    return _verdict(path, child.returncode, child.stdout, child.stderr)


def search_path() -> str:
    """Where this very package lies comes first, installed or in a checkout."""
    own = str(Path(__file__).parents[2])
    return os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH")]))


def _verdict(path: Path, code: int, stdout: bytes, stderr: bytes) -> Proof:
    if code == -signal.SIGKILL:
        raise ModelError(f"{path}: the child process that tried it was killed; most likely it needs too much memory")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        raise ModelError(f"{path}: crashes the runtime ({name}); the file is damaged, or the delegate is another build")
    try:
        answer = json.loads(stdout)
    except ValueError:
        last = stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {code}"]
        raise ModelError(f"{path}: cannot be tried in a child process: {last[0]}") from None
    if "error" in answer:
        raise ERRORS.get(answer["error"], ModelError)(answer["message"])
    return Proof(**answer)


def main() -> None:
    """The child: request on stdin, answer on stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # where memory runs out, this process goes and not the agent
        Path("/proc/self/oom_score_adj").write_text("1000")
    name, card, config = msgspec.json.decode(sys.stdin.buffer.read())
    # The answer has a descriptor of its own: delegates print to stdout.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        out.write(json.dumps(_answer(name, card, config)) + "\n")


def _answer(name: str, card: object, config: object) -> dict[str, object]:
    try:
        return asdict(_try(Path(name), msgspec.convert(card, ModelCard), msgspec.convert(config, RuntimeConfig)))
    except AgentError as error:
        return {"error": type(error).__name__, "message": str(error)}


def _try(path: Path, card: ModelCard, config: RuntimeConfig) -> Proof:
    backend = choose_backend(config.backend)
    begin = time.perf_counter()
    detector = Detector(path, card, backend, config)
    loaded = time.perf_counter()
    detector.warm()
    ended = time.perf_counter()
    return Proof(loaded - begin, ended - loaded, _peak_rss_bytes())


def _peak_rss_bytes() -> int:
    # Not getrusage: its ru_maxrss survives exec, so a small child of a large process would report the parent's.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
