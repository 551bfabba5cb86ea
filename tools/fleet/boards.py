"""The fleet as the messages tell it: boards by (site, id), their newest cards and a short history. Pure, no clock.

Windows are known by ``(boot, class, seq)``: the broker may deliver one twice, and a window that is seen again changes
nothing. Percentiles are the boards' own; nothing is averaged.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agent.publish import decode, decode_batch
from agent.publish.contract import Alarm, Birth, Envelope, HealthCard, Perf, State, Sys, Therm
from agent.publish.topics import IMAGE, TOPICS, find_batch
from tools.fleet.gaps import Gap, Gaps

HISTORY = 360
"""Windows kept for each board: an hour at the default ten seconds."""

_MOST_BOARDS = 20_000
_MOST_ALARMS = 64
_REMEMBERED = 4096
_CLASSES = {line.payload: line.cls for line in TOPICS}
"""The delivery class of each kind of record."""


@dataclass(slots=True)
class Board:
    """One board: the newest of each kind of message, and a history of windows."""

    site: str
    id: str
    seen_s: float
    state: State | None = None
    birth: Birth | None = None
    health: HealthCard | None = None
    sys: Sys | None = None
    therm: Therm | None = None
    perf: deque[Perf] = field(default_factory=lambda: deque(maxlen=HISTORY))
    alarms: dict[str, Alarm] = field(default_factory=dict)
    gaps: Gaps = field(default_factory=Gaps)
    known: deque[tuple[str, str, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class Fleet:
    """Takes messages in, gives the picture out; owned by one thread at a time."""

    def __init__(self) -> None:
        self.boards: dict[tuple[str, str], Board] = {}
        self.refused_total = 0

    def take(self, topic: str, payload: bytes, now_s: float) -> bool:
        """One message.

        Args:
            topic: ``edge/v1/{site}/{device}/...``.
            payload: its bytes.
            now_s: when it came, seconds on the caller's clock.

        Returns:
            False for what is not of the contract: it is counted and left alone.
        """
        words = topic.split("/")
        if words[4:] == [IMAGE.pattern]:
            return True  # for Home Assistant alone; a page asks for its own
        is_batch = find_batch(topic) is not None
        try:
            records = decode_batch(topic, payload) if is_batch else [decode(topic, payload)]
        except (msgspec.DecodeError, LookupError):
            self.refused_total += 1
            return False
        board = self._board(words[2], words[3], now_s)
        if board is None or any(record is not None and record.id != board.id for record in records):
            self.refused_total += 1
            return False
        board.seen_s = now_s
        for record in records:
            if record is None:
                board.alarms.pop(words[-1], None)
            else:
                _keep(board, record, is_late=words[4] == "mh")
                board.gaps.take(_CLASSES[type(record)], record)
        return True

    def view(self, now_s: float) -> list[dict[str, Any]]:
        """Every board as plain values for the page, by site and id."""
        return [_view(self.boards[key], now_s) for key in sorted(self.boards)]

    def history(self, site: str, device: str) -> list[dict[str, float | None]]:
        """The windows of one board, oldest first; times in seconds. Empty for an unknown board."""
        board = self.boards.get((site, device))
        return [_point(window) for window in board.perf] if board else []

    def gaps(self, site: str, device: str) -> dict[str, Gap]:
        """What of a board never came, by delivery class, and how much of that it has told itself."""
        board = self.boards.get((site, device))
        return board.gaps.found() if board else {}

    def _board(self, site: str, device: str, now_s: float) -> Board | None:
        board = self.boards.get((site, device))
        if board is None and len(self.boards) < _MOST_BOARDS:
            board = self.boards[site, device] = Board(site, device, now_s)
        return board


def _keep(board: Board, record: Envelope, *, is_late: bool) -> None:
    """Puts a record where it belongs; what comes late from an outage is history, and says nothing of today."""
    match record:
        case State():
            # A last will of an earlier connection can come after the birth of the next.
            if record.state != "lost" or board.birth is None or record.conn >= board.birth.conn:
                board.state = record
        case Birth():
            board.birth = record
        case HealthCard():
            board.health = record
        case Sys() if _is_news(board.sys, record, is_late=is_late):
            board.sys = record
        case Therm() if _is_news(board.therm, record, is_late=is_late):
            board.therm = record
        case Alarm() if len(board.alarms) < _MOST_ALARMS or record.alarm in board.alarms:
            board.alarms[record.alarm] = record
        case Perf() if (name := (record.boot, "m/perf", record.seq)) not in board.known:
            board.known.append(name)
            _insert(board.perf, record)


def _is_news(known: Envelope | None, record: Envelope, *, is_late: bool) -> bool:
    """Live windows come newest first: an older one must not be shown as now."""
    if known is None or known.boot != record.boot:
        return not is_late
    return record.seq > known.seq


def _insert(history: deque[Perf], window: Perf) -> None:
    """Keeps the history in the order of time, whatever the order of arrival."""
    history.append(window)
    if len(history) > 1 and history[-2].ts > window.ts:
        ordered = sorted(history, key=lambda each: each.ts)
        history.clear()
        history.extend(ordered)


def _view(board: Board, now_s: float) -> dict[str, Any]:
    perf = board.perf[-1] if board.perf else None
    total = perf.stages.get("total") if perf else None
    age = perf.stages.get("age") if perf else None
    return {
        "site": board.site,
        "id": board.id,
        "state": board.state.state if board.state else "unknown",
        "reason": board.state.reason if board.state else None,
        "seen_s": round(now_s - board.seen_s, 1),
        "model": f"{board.birth.model.name} {board.birth.model.version}".strip()
        if board.birth and board.birth.model
        else None,
        "runtime": f"{board.birth.runtime.backend} {board.birth.runtime.version}"
        if board.birth and board.birth.runtime
        else None,
        "board": board.birth.board.model if board.birth and board.birth.board.model != "unknown" else None,
        "fps": perf.fps if perf else None,
        "objects": _objects(perf) if perf else None,
        "p50_s": total.p50_s if total else None,
        "p99_s": total.p99_s if total else None,
        "age_p99_s": age.p99_s if age else None,
        "dropped": perf.dropped if perf else None,
        "rss_bytes": board.sys.rss_bytes if board.sys else None,
        "cpu_percent": board.sys.cpu_percent if board.sys else None,
        "soc_celsius": board.therm.soc_celsius if board.therm else None,
        "throttled": board.therm.throttled if board.therm else None,
        "blind_s": board.health.blind_s if board.health else None,
        "camera": board.health.camera.state if board.health else None,
        "clk": board.state.clk if board.state else None,
        "alarms": [{"id": alarm.alarm, "message": alarm.message, "ts": alarm.ts} for alarm in board.alarms.values()],
    }


def _point(window: Perf) -> dict[str, float | None]:
    total = window.stages.get("total")
    return {
        "ts": window.ts,
        "fps": window.fps,
        "objects": _objects(window),
        "p50_s": total.p50_s if total else None,
        "p99_s": total.p99_s if total else None,
    }


def _objects(window: Perf) -> float | None:
    """Objects found in a frame, the mean of the window; None where no frame got an answer."""
    return round(window.detections / window.frames, 2) if window.frames else None
