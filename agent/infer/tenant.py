"""A child process that runs one model for as long as it is asked to: a crash or a hang there costs one sentence.

``prove`` tries a file once; a :class:`Tenant` stays and answers tensor after tensor, so that two runtimes, or a
delegate of doubtful build, can be compared on real frames. Each answer has a deadline; a child that misses it is
killed. Tensors travel over pipes as bytes, with a JSON line in front that says their dtype and shape.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from agent.config import RuntimeConfig
from agent.errors import AgentError, ModelError, UnavailableError
from agent.infer.backend import choose_backend
from agent.infer.detector import Detector
from agent.infer.worker import ERRORS, search_path
from agent.records import ModelCard, Outputs, RuntimeInfo, Tensor

_MOST_HEAD = 1 << 16
_MOST_BODY = 1 << 30
_PARTS = ("boxes", "scores", "classes", "count")


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """One answer of the child: the model's outputs, and seconds that ``invoke`` took there."""

    outputs: Outputs
    invoke_s: float


class Tenant:
    """One model in a child process of its own; made on, and used by, one thread.

    Args:
        path: the .tflite file.
        card: what :func:`agent.model.describe` said of it.
        config: backend, threads and delegate.
        timeout_s: deadline of each answer; loading has ``config.prove_timeout_s``.
        niceness: added to the child's, so that it steps back behind the agent.
        clock: monotonic seconds.

    Raises:
        ModelError: the child refused the file, crashed or hung.
        UnavailableError: the runtime or the delegate is not there.
    """

    def __init__(
        self,
        path: Path,
        card: ModelCard,
        config: RuntimeConfig,
        *,
        timeout_s: float = 30.0,
        niceness: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._timeout_s, self._clock = path, timeout_s, clock
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the child
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", "from agent.infer.tenant import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=os.environ | {"PYTHONPATH": search_path()},
            )
        except OSError as error:
            self._said.close()
            raise UnavailableError(f"{path}: no child process to run it in: {error.strerror}") from None
        self._pipe = _Pipe(self._child, clock)
        try:
            request = [str(path), msgspec.to_builtins(card), msgspec.to_builtins(config), niceness]
            answer, _ = self._ask({"load": request}, b"", config.prove_timeout_s)
        except AgentError:
            self.close()
            raise
        self.info = RuntimeInfo(**answer["info"])
        self.load_s = float(answer["load_s"])

    def invoke(self, tensor: Tensor) -> Reply:
        """Run the model once in the child.

        Raises:
            ModelError: it gave up, crashed or hung; a child that did the latter two is gone.
        """
        head = {"dtype": tensor.dtype.name, "shape": tensor.shape}
        answer, body = self._ask(head, np.ascontiguousarray(tensor).tobytes(), self._timeout_s)
        return Reply(_outputs(answer["tensors"], body), float(answer["invoke_s"]))

    def close(self) -> None:
        """End the child."""
        if self._child.poll() is None:
            self._child.kill()
        self._pipe.close()
        self._child.wait()
        self._said.close()

    def __enter__(self) -> Tenant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, head: dict[str, Any], body: bytes, timeout_s: float) -> tuple[dict[str, Any], bytes]:
        by_s = self._clock() + timeout_s
        try:
            self._pipe.send(head, body, by_s)
            answer, answered = self._pipe.receive(by_s)
        except TimeoutError:
            self._child.kill()
            raise ModelError(
                f"{self._path}: no answer within {timeout_s:g} s; it hangs, or this board is slow"
            ) from None
        except (EOFError, OSError, ValueError):
            raise self._death() from None
        if "error" in answer:
            raise ERRORS.get(answer["error"], ModelError)(answer["message"])
        return answer, answered

    def _death(self) -> ModelError:
        """Why the child is gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=5.0)
        code = self._child.poll()
        if code is None:
            self._child.kill()
            return ModelError(f"{self._path}: its child process says what cannot be understood")
        if code == -signal.SIGKILL:
            return ModelError(f"{self._path}: the child process was killed; most likely it needs too much memory")
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return ModelError(f"{self._path}: crashes the runtime ({name}); the delegate is another build")
        self._said.seek(0)
        last = self._said.read()[-4096:].decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {code}"]
        return ModelError(f"{self._path}: its child process ended: {last[0]}")


class _Pipe:
    """Whole messages to and from a child, each by a deadline: a JSON line, then as many bytes as it says."""

    def __init__(self, child: subprocess.Popen[bytes], clock: Callable[[], float]) -> None:
        if child.stdin is None or child.stdout is None:
            raise ValueError("the child was started without pipes")
        self._in, self._out, self._clock = child.stdin, child.stdout, clock
        os.set_blocking(self._in.fileno(), False)
        os.set_blocking(self._out.fileno(), False)
        self._rest = b""

    def send(self, head: dict[str, Any], body: bytes, by_s: float) -> None:
        left = memoryview(json.dumps({**head, "bytes": len(body)}).encode() + b"\n" + body)
        while left:
            self._wait(self._in.fileno(), selectors.EVENT_WRITE, by_s)
            left = left[os.write(self._in.fileno(), left) :]

    def receive(self, by_s: float) -> tuple[dict[str, Any], bytes]:
        while b"\n" not in self._rest:
            if len(self._rest) > _MOST_HEAD:
                raise ValueError("the head has no end")
            self._rest += self._more(by_s)
        line, _, body = self._rest.partition(b"\n")
        head = json.loads(line)
        size = int(head.get("bytes", 0))
        if not 0 <= size <= _MOST_BODY:
            raise ValueError(f"{size} bytes are no answer")
        parts, held = [body], len(body)
        while held < size:
            parts.append(self._more(by_s))
            held += len(parts[-1])
        whole = b"".join(parts)
        self._rest = whole[size:]
        return head, whole[:size]

    def close(self) -> None:
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError):
                pipe.close()

    def _more(self, by_s: float) -> bytes:
        self._wait(self._out.fileno(), selectors.EVENT_READ, by_s)
        data = os.read(self._out.fileno(), 1 << 20)
        if not data:
            raise EOFError
        return data

    def _wait(self, descriptor: int, event: int, by_s: float) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(descriptor, event)
            if not ready.select(max(0.0, by_s - self._clock())):
                raise TimeoutError


def _outputs(tensors: list[dict[str, Any]], body: bytes) -> Outputs:
    """The arrays in an answer: copies, float32."""
    found, at = {}, 0
    for item in tensors:
        array = np.frombuffer(body, np.dtype(item["dtype"]), int(np.prod(item["shape"])), at)
        found[item["name"]] = array.reshape(item["shape"]).copy()
        at += array.nbytes
    return Outputs(**found)


def main() -> None:
    """The child: serves until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # where memory runs out, this process goes and not the agent
        Path("/proc/self/oom_score_adj").write_text("1000")
    source = sys.stdin.buffer
    # The answers have a descriptor of their own: delegates print to stdout.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        detector: Detector | None = None
        while line := source.readline():
            head = json.loads(line)
            body = source.read(head["bytes"])
            try:
                answer, data, detector = _serve(detector, head, body)
            except AgentError as error:
                answer, data = {"error": type(error).__name__, "message": str(error)}, b""
            out.write(json.dumps({**answer, "bytes": len(data)}).encode() + b"\n" + data)
            out.flush()


def _serve(detector: Detector | None, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes, Detector]:
    if "load" in head:
        return _load(*head["load"])
    if detector is None:
        raise ModelError("nothing is loaded")
    tensor = np.frombuffer(body, np.dtype(head["dtype"])).reshape(head["shape"])
    begin = time.perf_counter()
    outputs = detector.invoke(tensor)
    took_s = time.perf_counter() - begin
    arrays = {name: np.ascontiguousarray(array) for name in _PARTS if (array := getattr(outputs, name)) is not None}
    told = [{"name": name, "dtype": array.dtype.name, "shape": array.shape} for name, array in arrays.items()]
    return {"tensors": told, "invoke_s": took_s}, b"".join(array.tobytes() for array in arrays.values()), detector


def _load(name: str, card: object, config: object, niceness: int) -> tuple[dict[str, Any], bytes, Detector]:
    os.nice(niceness)
    settings = msgspec.convert(config, RuntimeConfig)
    begin = time.perf_counter()
    detector = Detector(Path(name), msgspec.convert(card, ModelCard), choose_backend(settings.backend), settings)
    detector.warm()
    told = {"info": msgspec.to_builtins(detector.info), "load_s": time.perf_counter() - begin}
    return told, b"", detector
