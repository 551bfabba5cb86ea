"""The operation ``bench``: the service measures itself on its own camera and model, and goes on afterwards.

Asked on the thread "writer", done on the main one at a frame's end (it made the interpreter), told again on "writer".
Nothing is detected meanwhile: that time counts as blind and the board says ``updating``. The whole result lies in the
state folder and is fetched in parts by ``bench-result``.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agent import bench
from agent.bench import Plan, Progress, Result, Told
from agent.commands import operation
from agent.errors import AgentError, CameraError
from agent.files import write_whole
from agent.records import Answer, Command

log = logging.getLogger("agent.commands")

FOLDER = "bench"
KEPT = 8
"""Results in the state folder; the oldest go."""

MOST_S = 3600.0
"""Longest run by command: a board that measures sees nothing."""

PART_BYTES = 60 * 1024
"""Of a fetched result; base64 makes 80 KiB of it, and the envelope stays below the 128 KiB of a packet."""

TOLD_EACH = 0.1
"""Share of the run between two replies ``running``."""

Measure = Callable[[Plan, Told], Result]


@dataclass(frozen=True, slots=True)
class Job:
    """What waits for the main thread."""

    command: Command
    plan: Plan


class Benching:
    """The operation ``bench``.

    Args:
        progress: sends a reply ``running``; from any thread.
        finish: sends the last reply; from any thread.
        is_throttled: the board is held back now; None: it does not tell.
        folder: what survives a restart; None: results are not kept.

    Attributes:
        asked: the job that waits for the main thread, which looks here after each frame.
    """

    def __init__(
        self,
        progress: Callable[[Answer], None],
        finish: Callable[[Answer], None],
        is_throttled: Callable[[], bool | None],
        folder: Path | None,
    ) -> None:
        self.asked: Job | None = None
        self._progress, self._finish, self._is_throttled = progress, finish, is_throttled
        self._folder = folder / FOLDER if folder is not None else None

    def __call__(self, command: Command, plan: Plan) -> Answer | None:
        """Leave it for the main thread, or say why not."""
        if self.asked is not None:
            return Answer(command, "rejected", "busy", "a benchmark runs already; ask again when it is done")
        if self._is_throttled():
            return Answer(command, "rejected", "throttled", "the board is held back by heat or power now; let it cool")
        if longest_s(plan) > MOST_S:
            return Answer(command, "rejected", "too-long", f"by command a run lasts at most {MOST_S:.0f} s")
        self.asked = Job(command, plan)
        return None

    def turn(self, measure: Measure, stop: Callable[[], bool], beat: Callable[[], object]) -> None:
        """Do what was asked; on the main thread. Whatever becomes of it, an answer goes out and the service goes on.

        Args:
            measure: runs a plan on the service's own camera and model.
            stop: True ends the run.
            beat: called after each window.
        """
        job = self.asked
        if job is None:
            return
        try:
            self._finish(self._run(job, measure, stop, beat))
        finally:
            self.asked = None

    def _run(self, job: Job, measure: Measure, stop: Callable[[], bool], beat: Callable[[], object]) -> Answer:
        said = [0.0]

        def tell(progress: Progress) -> None:
            beat()
            if progress.share - said[0] >= TOLD_EACH:
                said[0] = progress.share
                data = {"percent": round(100 * progress.share), "left_s": round(progress.left_s)}
                self._progress(Answer(job.command, "running", data=data))

        try:
            result = measure(job.plan, Told(progress=tell, stop=stop))
        except AgentError as error:
            code = "no-camera" if isinstance(error, CameraError) else "failed"
            return Answer(job.command, "failed", code, str(error))
        data = summary(result) | self._keep(job.command, result)
        if result.ended == "stopped":
            return Answer(job.command, "failed", "interrupted", "the agent was stopped while it measured", data)
        message = "" if result.valid else f"not valid: {'; '.join(result.invalid_because)}"
        return Answer(job.command, "succeeded", "ok" if result.valid else "not-valid", message, data)

    def _keep(self, command: Command, result: Result) -> dict[str, Any]:
        if self._folder is None:
            return {"name": ""}
        mark = hashlib.sha256(command.id.encode()).hexdigest()[:8]
        name = f"{result.created[:19].replace(':', '').replace('-', '')}-{mark}"
        data = bench.encode(result)
        try:
            self._folder.mkdir(exist_ok=True)
            write_whole(self._folder / f"{name}.json", data)
            for old in sorted(self._folder.glob("*.json"))[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: the result of a benchmark cannot be kept: %s", self._folder, error.strerror)
            return {"name": ""}
        return {"name": name, "bytes": len(data)}


class BenchResults:
    """The operation ``bench-result``: one part of a kept result.

    Args:
        folder: what survives a restart.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder / FOLDER if folder is not None else None

    def __call__(self, command: Command, arguments: operation.BenchResult) -> Answer:
        """Deflated (zlib) and in base64; all parts joined are the file."""
        kept = sorted(self._folder.glob("*.json")) if self._folder is not None else []
        found = {path.stem: path for path in kept}  # never a path that the request makes up
        path = found.get(arguments.name or (kept[-1].stem if kept else ""))
        if path is None:
            known = ", ".join(found) or "none"
            return Answer(command, "failed", "unknown", f"no such result is kept here; there are: {known}")
        try:
            packed = zlib.compress(path.read_bytes(), 9)
        except OSError as error:
            return Answer(command, "failed", "disk", f"{path.name}: cannot be read: {error.strerror}")
        parts = -(-len(packed) // PART_BYTES)
        if arguments.part >= parts:
            return Answer(command, "failed", "unknown", f"it has the parts 0 to {parts - 1}")
        piece = packed[arguments.part * PART_BYTES : (arguments.part + 1) * PART_BYTES]
        data = {"name": path.stem, "part": arguments.part, "parts": parts, "zlib": base64.b64encode(piece).decode()}
        return Answer(command, "succeeded", data=data)


def longest_s(plan: Plan) -> float:
    """How long a plan is meant to last: of a soak, at most."""
    found = bench.rules(plan)
    return plan.warmup_s + max(found.least_s, found.longest_s or 0.0)


def summary(result: Result) -> dict[str, Any]:
    """What fits a reply: everything but windows, sketches and settings."""
    env = result.environment
    stages = {
        name: {"p50_s": stats.p50_s, "p90_s": stats.p90_s, "p99_s": stats.p99_s, "max_s": stats.max_s}
        for name, stats in result.stages.items()
    }
    found: dict[str, Any] = msgspec.to_builtins(
        {
            "valid": result.valid,
            "invalid_because": result.invalid_because,
            "findings": result.findings,
            "not_checked": result.not_checked,
            "scenario": result.plan.scenario,
            "score": result.score,
            "soak": result.soak,
            "energy_source": result.energy_source,
            "stages": stages,
            "runtime": env.runtime,
            "model": env.model,
        }
    )
    return found
