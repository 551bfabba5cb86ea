"""The hand-over from the camera thread to the pipeline: one frame, and the newest wins.

One producer, one consumer, one condition; nobody polls. At every moment
``produced_total == delivered_total + dropped_total + (1 if full else 0)``.
"""

from __future__ import annotations

import threading

from agent.records import Frame


class Slot:
    """Holds at most one frame.

    Attributes:
        produced_total: frames that were offered; the next frame's sequence number is one more.
        delivered_total: frames that the consumer took.
        dropped_total: frames that a newer one replaced, or that were passed over before they were decoded.
    """

    def __init__(self) -> None:
        self.produced_total = 0
        self.delivered_total = 0
        self.dropped_total = 0
        self._changed = threading.Condition(threading.Lock())
        self._frame: Frame | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        """A frame is here to be taken."""
        return self._frame is not None

    @property
    def closed(self) -> bool:
        """No frame will come any more; one may still be here."""
        return self._closed

    def skip(self) -> None:
        """Count a frame that nobody will see; an older one that waits here is no longer the newest, and goes too."""
        with self._changed:
            self.produced_total += 1
            self.dropped_total += 1 + (self._frame is not None)
            self._frame = None

    def forget(self) -> None:
        """Drop the frame that waits here, so that the next one taken is fresh."""
        with self._changed:
            self.dropped_total += self._frame is not None
            self._frame = None

    def put(self, frame: Frame) -> None:
        """Offer the newest frame in place of the one before."""
        with self._changed:
            self.produced_total += 1
            self.dropped_total += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def put_next(self, frame: Frame) -> bool:
        """Offer a frame once the one before was taken; false when the slot was closed meanwhile: it is not offered."""
        with self._changed:
            while self._frame is not None and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self.produced_total += 1
            self._frame = frame
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> Frame | None:
        """The frame, once there is one; ``None`` after ``timeout_s``, or at once when the slot is closed and empty."""
        with self._changed:
            if self._frame is None and not self._closed and timeout_s > 0:
                self._changed.wait_for(lambda: self._frame is not None or self._closed, timeout_s)
            frame, self._frame = self._frame, None
            if frame is not None:
                self.delivered_total += 1
                self._changed.notify_all()
            return frame

    def close(self) -> None:
        """Let everybody go who waits here."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
