"""The work of the thread "camera": open, grab, decode, prepare, hand over; and open again after a loss."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable

from agent.camera.backoff import Backoff
from agent.camera.demand import Demand
from agent.camera.eye import Eye, is_dark, thumbnail
from agent.camera.opening import Opener
from agent.camera.slot import Slot
from agent.camera.source import Grab, Knowing, Source
from agent.camera.watch import Watch
from agent.errors import CameraError
from agent.records import Frame, Pixels, Tensor

log = logging.getLogger("agent.camera")

MISS_PAUSE_S = 0.01
"""After a failed grab: an unplugged camera fails at once, thousands of times a second."""

STEADY_S = 5.0
"""A camera that gave frames for so long has earned a fresh back-off."""


class Feed:
    """From an opener to the slot. ``run`` is the thread; the attributes may be read by others.

    Attributes:
        slot: where the frames go.
        demand: told by the reader when it comes and goes.
        watch: how the camera is; ask it under ``lock``.
        lock: guards ``watch``.
        fault: what the thread died of.
        reconnects_total: times that frames came again after a loss.
        corrupt_total: pictures that could not be decoded.
    """

    def __init__(
        self,
        opener: Opener,
        *,
        shown: str,
        watch: Watch,
        backoff: Backoff,
        black_luma: float,
        is_lossless: bool,
        prepare: Callable[[Pixels], Tensor] | None,
        clock: Callable[[], float],
    ) -> None:
        self.slot = Slot()
        self.demand = Demand()
        self.watch = watch
        self.lock = threading.Lock()
        self.fault: BaseException | None = None
        self.reconnects_total = 0
        self.corrupt_total = 0
        self._opener = opener
        self._shown = shown
        self._backoff = backoff
        self._black_luma = black_luma
        self._is_lossless = is_lossless
        self._prepare = prepare
        self._clock = clock
        self._eye = Eye()
        self._stopping = threading.Event()
        self._corrupt_before = 0
        self._is_reopened = False
        self._last_s = float("-inf")

    def relimit(self, *, frozen_s: float, black_s: float, black_luma: float) -> None:
        """Other limits from now on; from any thread."""
        with self.lock:
            self._black_luma = black_luma
            self.watch.relimit(frozen_s=frozen_s, black_s=black_s)

    def stop(self) -> None:
        """Ask the thread to end; from any thread."""
        self._stopping.set()
        self.slot.close()

    def run(self, source: Source | None) -> None:
        """Work until the recording is over or ``stop`` was called; ``source``: the first one, if open already."""
        try:
            while not self._stopping.is_set() and self._session(source):
                source = None
                self._stopping.wait(self._backoff.next_s())
        finally:
            self.fault = sys.exception()
            self.slot.close()

    def _session(self, source: Source | None) -> bool:
        """From opening to loss; false when the recording is over."""
        try:
            source = source or self._opener()
        except CameraError as fault:
            self._lose(str(fault))
            return True
        try:
            end = self._follow(source)
        finally:
            source.close()
        if end is Grab.ENDED:
            with self.lock:
                self.watch.end()
        elif end is Grab.LOST:
            self._lose(source.why_lost)
        return end is not Grab.ENDED

    def _lose(self, why: str) -> None:
        reason = why.removeprefix(f"{self._shown}: ")  # who asks for the state knows which camera he asks
        log.debug("camera %s: %s", self._shown, reason)
        with self.lock:
            self.watch.lost(reason)

    def _follow(self, source: Source) -> Grab | None:
        """Pass frames on until the source ends or is lost; ``None`` when the camera is stopped."""
        self._is_reopened = self.slot.produced_total > 0
        self._corrupt_before = self.corrupt_total
        opened_s = self._clock()
        end = None
        while end is None and not self._stopping.is_set():
            end = self._step(source)
            self.corrupt_total = self._corrupt_before + source.corrupt_total
        if self._last_s - opened_s >= STEADY_S:
            self._backoff.reset()
        return end

    def _step(self, source: Source) -> Grab | None:
        grab = source.grab()
        if grab is Grab.PICTURE:
            self._arrive(source, self._clock())
        elif grab is Grab.STALE:
            self.slot.skip()
        elif grab is Grab.MISS:
            self._stopping.wait(MISS_PAUSE_S)
        else:
            return grab
        return None

    def _arrive(self, source: Source, now_s: float) -> None:
        self._last_s = now_s
        with self.lock:
            self.watch.frame(now_s)
        self.reconnects_total += self._is_reopened
        self._is_reopened = False
        taken_s = source.taken_s(now_s)
        if self._is_lossless or self.demand.wants(now_s, taken_s):
            self._develop(source, taken_s)
        else:
            self.slot.skip()

    def _develop(self, source: Source, taken_s: float) -> None:
        pixels = source.retrieve()
        if pixels is None:
            return
        thumb = thumbnail(pixels)
        self._look(thumb, pixels, is_still=source.is_still)
        began_s = self._clock()
        frame = Frame(
            pixels=pixels,
            captured_s=taken_s,
            sequence=self.slot.produced_total + 1,
            thumbnail=thumb,
            tensor=self._prepare(pixels) if self._prepare else None,
            preprocess_s=self._clock() - began_s if self._prepare else 0.0,
            name=source.name,
            truth=source.truth if isinstance(source, Knowing) else None,
        )
        (self.slot.put_next if self._is_lossless else self.slot.put)(frame)

    def _look(self, thumb: Pixels, pixels: Pixels, *, is_still: bool) -> None:
        same = not is_still and self._eye.is_same(thumb, pixels)
        dark = is_dark(thumb, self._black_luma)
        with self.lock:
            self.watch.look(self._clock(), same=same, dark=dark)
