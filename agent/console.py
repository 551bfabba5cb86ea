"""What a person or a program reads on the terminal: the status line, the summary, JSON lines, and log lines."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from agent.records import BoardReading, Detections, FrameResult, Labels, PerfReport
from agent.service import Summary

_STAGES = ("age", "preprocess", "invoke", "postprocess", "total")
_MEANING = {
    "age": "capture to decision",
    "preprocess": "frame to tensor",
    "invoke": "the model",
    "postprocess": "tensors to boxes",
    "total": "preprocess + invoke + postprocess",
}


class StatusLine:
    """One line at the bottom of a terminal, redrawn at most four times a second; nothing when it is no terminal."""

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._shown = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._due_s = 0.0
        self._begun_s = clock()
        self._frames = 0
        self._mark = (self._begun_s, 0)

    def update(self, result: FrameResult, labels: Labels) -> None:
        """Take a result in, and redraw when it is time."""
        self._frames += 1
        now_s = self._clock()
        if not self._shown or now_s < self._due_s:
            return
        since_s, before = self._mark
        fps = (self._frames - before) / max(now_s - since_s, 1e-6)
        self._mark, self._due_s = (now_s, self._frames), now_s + 0.25
        seen = ", ".join(names(result.detections, labels)) or "nothing"
        times = result.times
        line = (
            f"{_clock_text(now_s - self._begun_s)}  {fps:5.1f} fps  invoke {times.invoke_s * 1e3:.1f} ms  "
            f"age {times.age_s * 1e3:.0f} ms  sees {seen}"
        )
        self._stream.write("\r\x1b[K" + line[:118])
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away, so that something else can be printed."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class LogLines(logging.StreamHandler[TextIO]):
    """Log lines on stderr that do not tear the status line."""

    def __init__(self, status: StatusLine) -> None:
        super().__init__(sys.stderr)
        self._status = status
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Clear the status line, then write."""
        self._status.clear()
        super().emit(record)


def names(detections: Detections, labels: Labels) -> list[str]:
    """``2 person``, ``dog``: what is there, with its number where it is more than one; commonest first."""
    counts: dict[str, int] = {}
    for class_id in detections.class_id:
        name = labels.name(int(class_id))
        counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return [f"{many} {name}" if many > 1 else name for name, many in ranked]


def detections_json(detections: Detections, labels: Labels) -> list[dict[str, Any]]:
    """Detections as plain values: ``label``, ``class_id``, ``confidence`` and ``xyxy`` in frame pixels."""
    return [
        {
            "label": labels.name(int(class_id)),
            "class_id": int(class_id),
            "confidence": round(float(confidence), 4),
            "xyxy": [round(float(side), 1) for side in box],
        }
        for box, confidence, class_id in zip(detections.xyxy, detections.confidence, detections.class_id, strict=True)
    ]


def result_json(result: FrameResult, labels: Labels) -> str:
    """One result as one line of JSON; times in seconds."""
    frame, times = result.frame, result.times
    return json.dumps(
        {
            "sequence": frame.sequence,
            **({"name": frame.name} if frame.name else {}),
            "age_s": round(times.age_s, 6),
            "preprocess_s": round(times.preprocess_s, 6),
            "invoke_s": round(times.invoke_s, 6),
            "postprocess_s": round(times.postprocess_s, 6),
            "detections": detections_json(result.detections, labels),
        }
    )


def summary_json(summary: Summary) -> str:
    """The summary as one line of JSON; base units."""
    perf, camera = summary.perf, summary.camera
    stages = {
        name: {"p50_s": stats.p50_s, "p90_s": stats.p90_s, "p99_s": stats.p99_s, "max_s": stats.max_s}
        for name, stats in perf.stages.items()
    }
    return json.dumps(
        {
            "summary": {
                "model": summary.model,
                "runtime": summary.runtime,
                "ended": summary.ended,
                "duration_s": round(perf.duration_s, 3),
                "frames": perf.frames,
                "fps": round(perf.fps, 3),
                "dropped": camera.dropped_total,
                "detections": perf.detections,
                "corrupt": camera.corrupt_total,
                "reconnects": camera.reconnects_total,
                "blind_s": round(summary.blind_s, 3),
                "first_detection_s": summary.first_detection_s,
                "stages": stages,
                "rss_bytes": summary.board.process.rss_bytes if summary.board else None,
                "peak_rss_bytes": summary.board.process.peak_rss_bytes if summary.board else None,
                "soc_celsius": summary.board.thermal.soc_celsius if summary.board else None,
            }
        }
    )


def summary_table(summary: Summary) -> str:
    """The summary for a person; milliseconds and mebibytes."""
    perf, camera = summary.perf, summary.camera
    counts = f"{perf.fps:.1f} fps, {camera.dropped_total} dropped, {perf.detections} detections"
    lines = [
        f"{summary.model} on {summary.runtime}",
        f"{perf.frames} frames in {_clock_text(perf.duration_s)} ({summary.ended}): {counts}",
    ]
    if camera.reconnects_total or camera.corrupt_total or summary.blind_s >= 1:
        lines.append(
            f"camera: {camera.reconnects_total} reconnects, {camera.corrupt_total} corrupt frames, "
            f"no answer for {summary.blind_s:.0f} s"
        )
    lines += ["", *_stage_rows(perf)]
    board = _board_text(summary.board)
    if board:
        lines += ["", board]
    return "\n".join(lines)


def _stage_rows(perf: PerfReport) -> list[str]:
    rows = [f"{'ms':<12}{'p50':>8}{'p90':>8}{'p99':>8}{'max':>8}"]
    for name in _STAGES:
        stats = perf.stages.get(name)
        if stats is not None:
            figures = "".join(
                f"{seconds * 1e3:8.2f}" for seconds in (stats.p50_s, stats.p90_s, stats.p99_s, stats.max_s)
            )
            rows.append(f"{name:<12}{figures}  {_MEANING[name]}")
    return rows if len(rows) > 1 else ["no frame got an answer"]


def _board_text(board: BoardReading | None) -> str:
    if board is None:
        return ""
    process, thermal = board.process, board.thermal
    parts = []
    if process.rss_bytes is not None:
        peak = f", peak {process.peak_rss_bytes / 2**20:.0f}" if process.peak_rss_bytes is not None else ""
        parts.append(f"memory {process.rss_bytes / 2**20:.0f} MiB{peak}")
    parts.append(f"SoC {thermal.soc_celsius:.0f} C" if thermal.soc_celsius is not None else "no temperature sensor")
    if thermal.throttled:
        parts.append("THROTTLED")
    if thermal.under_voltage:
        parts.append("UNDER-VOLTAGE")
    return ", ".join(parts)


def _clock_text(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    )
