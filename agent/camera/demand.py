"""Which of a live camera's frames are worth decoding and preparing. Pure.

A board that infers 10 times a second from a camera of 30 frames would decode (JPEG: 5 to 25 ms on a small board) and
preprocess three frames for each one it uses. To do it only on request costs the consumer a wait for the next frame
instead. So the camera thread foresees the request: a frame is worth it when the consumer waits, or will have come
back before the next frame does. What is in the slot is ready and is the newest frame of all; about one in ten is ready
in vain; and a consumer that comes earlier than foreseen waits no longer than it is early.
"""

from __future__ import annotations

from collections import deque

LOOK_S = 0.5
"""At least so often a frame is decoded whoever wants it: frozen and black pictures must be seen."""

QUEUE = 4
"""Frames that a driver keeps for us (V4L2: four buffers): so many late ones in a row can have fresher ones behind."""


class Demand:
    """Foresees the consumer's next visit; ``asked`` and ``taken`` are told by the consumer, ``wants`` by the camera.

    Attributes:
        not_before_s: the consumer, who is away, takes no frame before that.
    """

    def __init__(self) -> None:
        self.not_before_s = float("-inf")
        self._taken_s: float | None = None
        self._busy_s: deque[float] = deque(maxlen=4)
        self._last_s: float | None = None
        self._period_s = 0.0
        self._wanted_s = float("-inf")
        self._age_floor_s = float("inf")
        self._late = 0

    def asked(self, now_s: float) -> None:
        """The consumer has come for a frame."""
        if self._taken_s is not None:
            self._busy_s.append(now_s - self._taken_s)
            self._taken_s = None

    def taken(self, now_s: float) -> None:
        """The consumer has left with a frame."""
        self._taken_s = now_s

    def wants(self, now_s: float, taken_s: float) -> bool:
        """Whether the frame that was grabbed at ``now_s`` is worth it; ``taken_s`` is the time of its capture."""
        self._beat(now_s)
        if self._is_late(now_s - taken_s):
            return False
        wanted = now_s + self._period_s >= self._expected_s() or now_s - self._wanted_s >= LOOK_S
        if wanted:
            self._wanted_s = now_s
        return wanted

    def _beat(self, now_s: float) -> None:
        if self._last_s is not None and (gap_s := now_s - self._last_s) < 1.0:
            self._period_s += (gap_s - self._period_s) * (0.1 if self._period_s else 1.0)
        self._last_s = now_s

    def _is_late(self, age_s: float) -> bool:
        """One and a half frames older than this camera's frames are at their best: fresher ones queue up behind it."""
        self._age_floor_s = min(age_s, self._age_floor_s + 0.01 * self._period_s)
        late = age_s - self._age_floor_s > 1.5 * self._period_s and self._late < QUEUE
        self._late = self._late + 1 if late else 0
        return late

    def _expected_s(self) -> float:
        """When the consumer comes; minus infinity when it is here already, or nothing is known of it."""
        # The shortest of the last absences: to be ready too early costs one decoding, too late one period of waiting.
        taken_s, busy_s = self._taken_s, list(self._busy_s)
        if taken_s is None:
            return float("-inf")
        return max(self.not_before_s, taken_s + min(busy_s) if busy_s else float("-inf"))
