"""What the readings mean: alarms, episodes, blind seconds, growth, and when the agent had better begin anew.

In: readings of the board (telemetry thread), windows and answers (main thread), the camera's states (camera thread).
Out: alarms raised and cleared once, events, the judged part of the health card, the diary. One lock guards what more
than one thread touches; ``answered`` and ``idle``, which the main thread calls all the time, take none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from agent.config import MeasureConfig
from agent.diary import Diary, Page
from agent.measure import CALM_UPTIME_S, Blind, Episodes, Growth, Limit, Sensors, least_uptime_s
from agent.publish import Publisher
from agent.records import BlindCause, BoardReading, CameraState, Episode, Health, HoldCause, PerfReport

log = logging.getLogger("agent.vitals")

CALM_S = 300.0
"""An alarm of heat or voltage is cleared after so long without an episode: a board on the edge must not send it all
day, once for each breath."""

EVENTS_AN_HOUR = 12
"""Most ``throttled`` events; those beyond it are counted only."""

WRITE_PAUSE_S = 60.0

HOT: tuple[HoldCause, ...] = ("throttled", "frequency-cap", "soft-limit")
WORDS: dict[HoldCause, str] = {
    "under-voltage": "under-voltage: the supply or its cable is too weak",
    "frequency-cap": "the firmware caps the clock",
    "throttled": "the firmware throttles the clock",
    "soft-limit": "the soft temperature limit is reached",
}


def boot_clock() -> float:
    """Seconds since the kernel's start; no setting of the wall clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Vitals:
    """Judges what is measured.

    Args:
        config: limits.
        sensors: asked for the boot's name, and told what throttle bits were seen before.
        publisher: takes alarms and events; None without a broker.
        diary: what survives the process.
        clock: monotonic seconds.
        boot_s: seconds since the kernel's start.

    Attributes:
        restart_reason: why the agent should end and be started anew; empty: it should not.
    """

    def __init__(
        self,
        config: MeasureConfig,
        sensors: Sensors,
        publisher: Publisher | None,
        diary: Diary,
        *,
        clock: Callable[[], float] = time.monotonic,
        boot_s: Callable[[], float] = boot_clock,
    ) -> None:
        self._config, self._sensors, self._publisher = config, sensors, publisher
        self._diary, self._clock, self._boot_s = diary, clock, boot_s
        self._begun_s = self._written_s = clock()
        self._former = diary.former or Page()
        self._blind = Blind(config.hung_s, self._begun_s, self._former.blind)
        self._episodes = Episodes()
        self._growth = Growth(self._begun_s, config.growth_limit_bytes, config.growth_hold_s)
        self._p99 = Limit(config.p99_limit_s)
        self._p99_s = 0.0
        self._alarms: dict[str, str] = {}
        self._last_s: dict[str, float] = {}
        self._told: deque[float] = deque(maxlen=EVENTS_AN_HOUR)
        self._known: tuple[object, ...] = ()
        self._planned = 0
        self._is_over = False
        self._lock = threading.Lock()
        self.answered, self.idle = self._blind.answered, self._blind.idle
        self.restart_reason = ""

    def begin(self) -> None:
        """What the former life left: its counts, the gap since then, and the word of it. Before the first reading."""
        boot_id, former = self._sensors.info().boot_id or "", self._diary.former
        if former is not None and boot_id:
            same = former.boot_id == boot_id
            started_s = self._boot_s() - (self._clock() - self._begun_s)
            gap_s = max(0.0, started_s - former.marked_s if same else started_s)
            with self._lock:
                self._blind.add("restart" if same else "reboot", gap_s)
            self._sensors.seen_bits |= former.seen_bits if same else 0
            reason = former.ended or ("crash" if same else "reboot")
            self._tell("restarted", {"reason": reason, "gap_s": round(gap_s, 1), "planned": former.planned_restarts})
        self._write()

    def reconfigure(self, config: MeasureConfig) -> None:
        """Other limits from now on; what was counted stays. On any thread."""
        with self._lock:
            self._config = config
            self._blind.hung_s = config.hung_s
            self._growth.limit_bytes_hour, self._growth.hold_s = config.growth_limit_bytes, config.growth_hold_s
            self._p99.over = config.p99_limit_s

    def camera(self, state: CameraState, now_s: float) -> None:
        """The camera is in this state from now on."""
        with self._lock:
            self._blind.camera(state, now_s)

    def absent(self, cause: BlindCause | None) -> None:
        """From now on no frame is answered, on purpose; None: frames are answered again. On any thread."""
        with self._lock:
            self._blind.absent(cause, self._clock())

    def perf(self, report: PerfReport) -> None:
        """One window of the pipeline; on the main thread."""
        total = report.stages.get("total")
        if total is not None:
            with self._lock:
                self._p99_s = total.p99_s
                self._p99.take(total.p99_s)

    def take(self, reading: BoardReading, frames_total: int) -> None:
        """One reading of the board, and how many frames came; on the telemetry thread."""
        now_s = self._clock()
        with self._lock:
            self._blind.check(frames_total, now_s)
            hung = self._blind.cause == "invoke"
            ended = self._episodes.take(reading)
        self._judge_latency(hung=hung)
        self._judge_held(reading, ended, now_s)
        self._judge_memory(reading, now_s)
        self._keep(now_s)

    @property
    def trouble(self) -> str:
        """One sentence while no answers come though frames do; else empty."""
        return self._alarms.get("latency", "") if self._blind.cause == "invoke" else ""

    def complete(self, card: Health) -> Health:
        """The card with what was judged."""
        now_s = self._clock()
        with self._lock:
            blind, own_s = self._blind.totals(now_s), self._blind.own_s(now_s)
            episodes = self._episodes.totals()
        return replace(
            card,
            blind_s=own_s,
            blind=blind,
            episodes=episodes,
            growth=self._growth.found,
            planned_restarts=self._former.planned_restarts + self._planned,
        )

    def end(self, reason: str) -> None:
        """The last word; nothing is written after it."""
        self._write(ended=reason)
        self._is_over = True

    def _judge_latency(self, *, hung: bool) -> None:
        sentence = ""
        if hung:
            sentence = f"no answer for {self._config.hung_s:g} s: the model or its thread hangs"
        elif self._p99.is_over:
            sentence = f"p99 of the work on a frame is {self._p99_s:.3f} s, above {self._p99.over:g} s"
        self._set("latency", sentence)

    def _judge_held(self, reading: BoardReading, ended: list[Episode], now_s: float) -> None:
        for episode in ended:
            self._tell_episode(episode, now_s)
        active = self._episodes.active
        for alarm, causes in (("undervoltage", ("under-voltage",)), ("thermal", HOT)):
            found = [cause for cause in causes if cause in active]
            if found:
                self._last_s[alarm] = now_s
                celsius = reading.thermal.soc_celsius
                heat = f", {celsius:.1f} C" if celsius is not None else ""
                self._set(alarm, f"{'; '.join(WORDS[cause] for cause in found)}{heat}")
            elif now_s - self._last_s.get(alarm, now_s) >= CALM_S:
                self._set(alarm, "")

    def _tell_episode(self, episode: Episode, now_s: float) -> None:
        log.warning("%s, for %.0f s", WORDS[episode.cause], episode.duration_s)
        if len(self._told) == EVENTS_AN_HOUR and now_s - self._told[0] < 3600.0:
            return
        self._told.append(now_s)
        data: dict[str, str | float | None] = {
            "cause": episode.cause,
            "ago_s": round(max(0.0, now_s - episode.started_s), 1),
            "duration_s": round(episode.duration_s, 1),
        }
        if episode.peak_celsius is not None:
            data["peak_celsius"] = round(episode.peak_celsius, 1)
        self._tell("throttled", data)

    def _judge_memory(self, reading: BoardReading, now_s: float) -> None:
        process = reading.process
        size = next((each for each in (process.uss_bytes, process.pss_bytes, process.rss_bytes) if each), None)
        is_leak = self._growth.take(now_s, float(size)) if size is not None else self._growth.is_leak
        found = self._growth.found
        mib = found.bytes_hour / 2**20 if found else 0.0
        self._set("memory-growth", f"private memory grows by {mib:.1f} MiB an hour" if is_leak else "")
        limit = self._config.memory_limit_bytes
        if limit and not self.restart_reason and (process.rss_bytes or 0) > limit:
            self._plan_restart(process.rss_bytes or 0, now_s - self._begun_s)

    def _plan_restart(self, rss_bytes: int, uptime_s: float) -> None:
        row = self._row(uptime_s)
        if uptime_s < least_uptime_s(row if self._diary.is_lasting else None):
            return
        log.warning("%d bytes resident, above measure.memory_limit_bytes: ends, to be started anew", rss_bytes)
        self._planned = 1
        self._write(ended="memory-limit")
        self.restart_reason = "memory-limit"

    def _row(self, uptime_s: float) -> int:
        return 0 if uptime_s >= CALM_UPTIME_S else self._former.restarts_in_a_row

    def _set(self, alarm_id: str, sentence: str) -> None:
        """Raises an alarm, or clears it; each said once."""
        before = self._alarms.get(alarm_id, "")
        if bool(before) == bool(sentence):
            return
        log.log(logging.WARNING if sentence else logging.INFO, "%s: %s", alarm_id, sentence or "over")
        self._alarms[alarm_id] = sentence
        if self._publisher is not None:
            self._publisher.alarm(alarm_id, sentence or None)

    def _tell(self, kind: str, data: dict[str, str | float | None]) -> None:
        if self._publisher is not None:
            self._publisher.event(kind, data)

    def _keep(self, now_s: float) -> None:
        """Writes the diary when it is time, or when something changed and the last writing is a minute ago."""
        with self._lock:
            known = (self._blind.cause, self._sensors.seen_bits)
        since_s = now_s - self._written_s
        if since_s >= self._config.state_s or (known != self._known and since_s >= WRITE_PAUSE_S):
            self._write()

    def _write(self, ended: str = "") -> None:
        if self._is_over:
            return
        now_s = self._clock()
        with self._lock:
            self._known = (self._blind.cause, self._sensors.seen_bits)
            blind = self._blind.totals(now_s)
        self._written_s = now_s
        page = Page(
            boot_id=self._sensors.info().boot_id or "",
            marked_s=self._boot_s(),
            ended=ended,
            blind={cause: round(seconds, 1) for cause, seconds in blind.items()},
            seen_bits=self._sensors.seen_bits,
            planned_restarts=self._former.planned_restarts + self._planned,
            restarts_in_a_row=self._row(now_s - self._begun_s) + self._planned,
        )
        self._diary.write(page)
