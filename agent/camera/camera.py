"""The camera as the pipeline sees it: the newest frame, from anywhere.

Live sources, and recordings at ``pace = "real"``: a slot of one frame, the newest wins, drops are counted, and what
nobody will look at is not decoded (:mod:`agent.camera.demand`). Recordings at ``pace = "fast"``: every frame is given,
and the next one is decoded and prepared while the pipeline infers.

All work on pictures happens on the thread "camera" (:mod:`agent.camera.feed`). Changes of state are told on the thread
that calls ``read``: it is awake also while the camera's thread hangs in native code.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from random import Random

from agent.camera.backoff import Backoff
from agent.camera.feed import Feed
from agent.camera.opening import Opener, make_opener
from agent.camera.uri import parse
from agent.camera.watch import Verdict, Watch
from agent.config import CameraConfig
from agent.errors import AgentError
from agent.records import CameraStatus, Frame, Pixels, Tensor

log = logging.getLogger("agent.camera")


class Camera:
    """Newest frame from anywhere; owns the thread "camera". One reader.

    Args:
        config: where frames come from, and when the camera counts as down.
        prepare: what the pipeline makes of a picture, called on the camera's thread; fills ``Frame.tensor``.
        clock: monotonic seconds.
        on_state: told once of every change of state, on the thread that calls ``read``.
        rng: jitter of the back-off.
        opener: opens the source; made from ``config`` when not given.

    Attributes:
        interval_s: least time from one frame to the next, on the average; 0: none. May be set from any thread.

    Raises:
        CameraError: ``config.uri`` is no address, or its package is missing.
    """

    def __init__(
        self,
        config: CameraConfig,
        *,
        prepare: Callable[[Pixels], Tensor] | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_state: Callable[[CameraStatus], None] | None = None,
        rng: Random | None = None,
        opener: Opener | None = None,
    ) -> None:
        uri = parse(config.uri)
        self._shown = uri.shown
        self._clock = clock
        self._on_state = on_state
        self._stopping = threading.Event()
        self.interval_s = 0.0
        self._beat_s = float("-inf")
        self._is_recording = uri.kind in {"path", "rendered"}
        self._is_lossless = self._is_recording and config.pace == "fast"
        self._opener = opener or make_opener(uri, config, clock, self._stopping.wait)
        self._feed = Feed(
            self._opener,
            shown=uri.shown,
            watch=_watch(config, clock()),
            backoff=Backoff(config.reconnect_min_s, config.reconnect_max_s, rng or Random()),  # noqa: S311 - no secret
            black_luma=config.black_luma,
            is_lossless=self._is_lossless,
            prepare=prepare,
            clock=clock,
        )
        self._told = Verdict("starting")
        self._told_s = clock()
        self._thread: threading.Thread | None = None

    @property
    def ended(self) -> bool:
        """The recording is over and its last frame was read, or the camera was stopped."""
        return self._feed.slot.closed and not self._feed.slot.full

    @property
    def dropped_total(self) -> int:
        """Frames that nobody took, as in :meth:`status`, at the price of an attribute."""
        return self._feed.slot.dropped_total

    def reconfigure(self, config: CameraConfig) -> None:
        """Other limits for a frozen and a black picture from now on; nothing else of it. From any thread."""
        self._feed.relimit(frozen_s=config.frozen_s, black_s=config.black_s, black_luma=config.black_luma)

    def start(self) -> None:
        """Open a recording here and now; let the thread open everything else, again and again if need be.

        Raises:
            CameraError: a file is absent or cannot be decoded: what waiting cannot mend.
        """
        first = self._opener() if self._is_recording else None
        self._thread = threading.Thread(target=self._feed.run, args=(first,), name="camera", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float) -> Frame | None:
        """The newest frame that was not read before.

        Returns:
            ``None`` when none came in ``timeout_s``, and at once when :attr:`ended`.

        Raises:
            AgentError: the camera's thread died of a bug.
        """
        feed = self._feed
        now_s = self._clock()
        deadline_s = now_s + timeout_s
        if not self._rest(now_s, deadline_s):
            return None
        now_s = self._clock()
        feed.demand.asked(now_s)
        while True:
            # Awake when a silent camera becomes a stalled one, not only when the caller's patience ends.
            frame = feed.slot.take(min(deadline_s - now_s, feed.watch.left_s(now_s) + 0.001))
            now_s = self._clock()
            self._tell(now_s, got=frame is not None)
            if frame is not None:
                self._set_beat(now_s)
                feed.demand.taken(now_s)
                return frame
            if feed.fault is not None:
                raise AgentError(f"the camera thread died of {feed.fault!r}; please report this") from feed.fault
            if feed.slot.closed or now_s >= deadline_s:
                return None

    def _set_beat(self, now_s: float) -> None:
        """A frame was taken: when the next one is due. Who is late catches up by one frame at most."""
        interval_s = self.interval_s
        is_first = self._beat_s == float("-inf")
        self._beat_s = now_s if is_first else max(self._beat_s + interval_s, now_s - interval_s)
        self._feed.demand.not_before_s = self._beat_s + interval_s if interval_s > 0.0 else float("-inf")

    def _rest(self, now_s: float, deadline_s: float) -> bool:
        """Wait until the next frame is due; false when the caller's patience ends before.

        Whoever had to wait gets a frame that is captured after that, not the one that lay here meanwhile.
        """
        feed, interval_s = self._feed, self.interval_s
        due_s = self._beat_s + interval_s
        if interval_s <= 0.0 or due_s <= now_s:
            return True
        while now_s < due_s and not feed.slot.closed:
            if now_s >= deadline_s:
                return False
            self._stopping.wait(min(due_s, deadline_s, now_s + feed.watch.left_s(now_s) + 0.001) - now_s)
            now_s = self._clock()
            self._tell(now_s, got=False)
        if not self._is_lossless and not feed.slot.closed:
            feed.slot.forget()
        return True

    def status(self) -> CameraStatus:
        """How the camera is now; from any thread."""
        verdict = self._judge(self._clock(), got=False)
        return CameraStatus(
            state=verdict.state,
            reason=verdict.reason,
            frames_total=self._feed.slot.produced_total,
            dropped_total=self._feed.slot.dropped_total,
            reconnects_total=self._feed.reconnects_total,
            corrupt_total=self._feed.corrupt_total,
        )

    def stop(self, deadline_s: float = 5.0) -> bool:
        """Stop the thread and close the source.

        Returns:
            False when the thread still hangs in native code, which cannot be interrupted. It dies with the process;
            but a native call that returns while Python shuts down ends in SIGABRT (seen with 3.11, each time). So
            after False, write out what must not be lost and leave by ``os._exit``.
        """
        self._stopping.set()
        self._feed.stop()
        if self._thread is None:
            return True
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            log.warning("camera %s: still blocked after %.1f s, left behind", self._shown, deadline_s)
        return not self._thread.is_alive()

    def _judge(self, now_s: float, *, got: bool) -> Verdict:
        feed = self._feed
        with feed.lock:
            # A lossless source waits for its reader: a frame in the slot is a sign of life, however old.
            if self._is_lossless and (got or feed.slot.full):
                feed.watch.frame(now_s)
            return feed.watch.judge(now_s)

    def _tell(self, now_s: float, *, got: bool) -> None:
        verdict = self._judge(now_s, got=got)
        if verdict.state == self._told.state:
            return
        before, lasted_s = self._told, now_s - self._told_s
        self._told, self._told_s = verdict, now_s
        if verdict.reason:
            log.warning("camera %s: %s: %s", self._shown, verdict.state, verdict.reason)
        elif before.reason:
            log.warning("camera %s: %s again after %.0f s of %s", self._shown, verdict.state, lasted_s, before.state)
        else:
            log.info("camera %s: %s", self._shown, verdict.state)
        if self._on_state:
            self._on_state(self.status())


def _watch(config: CameraConfig, now_s: float) -> Watch:
    # Opening may take its time before silence means anything.
    begin_s = now_s + config.open_timeout_s
    return Watch(begin_s=begin_s, stall_s=config.stall_s, frozen_s=config.frozen_s, black_s=config.black_s)
