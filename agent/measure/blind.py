"""Seconds without an answer, by cause. *No answer* is never *no objects*.

In: what the camera's state is, when frames were answered, and now and then the time. Out: seconds by cause. Pure; all
times are of one monotonic clock. ``answered`` is called on the main thread for every frame, all else under the owner's
lock.

=========  =====================================================================================
start      from the agent's start to its first answer
restart    from the last sign of the agent's former life to this start, on the same boot
reboot     from the kernel's start to the agent's; how long the power was off cannot be told
camera     down, stalled, or opened again
frozen     the same picture over and over
black      a black picture
invoke     no answer comes though frames do, or the main thread does not come back: from its last sign of life
switch     a model takes another's place
bench      a benchmark has the model and the camera
=========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.records import BlindCause, CameraState

_OF_CAMERA: dict[CameraState, BlindCause] = {
    "starting": "camera",
    "down": "camera",
    "stalled": "camera",
    "frozen": "frozen",
    "black": "black",
}


class Blind:
    """Where the time without an answer goes; at each moment one cause at most.

    Args:
        hung_s: no answer for this long, though frames come, is a model that hangs.
        now_s: the agent's start.
        before: what former lives counted.
    """

    def __init__(self, hung_s: float, now_s: float, before: Mapping[str, float] | None = None) -> None:
        self.hung_s = hung_s
        self._before: dict[str, float] = dict(before or {})
        self._own: dict[str, float] = {}
        self._cause: BlindCause | None = "start"
        self._since_s = now_s
        self._camera: CameraState = "starting"
        self._absent: BlindCause | None = None
        self._has_answered = False
        self._answer_s = self._seen_answer_s = now_s
        self._idle_s = now_s
        self._frames_total = 0
        self._waits = True
        self._first_s = now_s

    def answered(self, at_s: float) -> None:
        """A frame was answered; the hot path."""
        self._answer_s = at_s
        if self._waits:
            self._first_s = at_s
            self._has_answered = True
            self._waits = False

    def idle(self, at_s: float) -> None:
        """No frame came; the main thread is alive."""
        self._idle_s = at_s

    def camera(self, state: CameraState, now_s: float) -> None:
        """The camera is in this state from now on."""
        self._camera = state
        self._settle(now_s)

    def absent(self, cause: BlindCause | None, now_s: float) -> None:
        """From now on no frame is answered, on purpose; None: frames are answered again."""
        self._absent = cause
        self._settle(now_s)

    def check(self, frames_total: int, now_s: float) -> None:
        """Look whether answers come; to be called now and then.

        Args:
            frames_total: frames that the source gave.
            now_s: the time.
        """
        if self._answer_s != self._seen_answer_s:
            self._seen_answer_s, self._frames_total = self._answer_s, frames_total
        self._settle(now_s, has_frames=frames_total > self._frames_total)

    def add(self, cause: BlindCause, seconds: float) -> None:
        """Time that passed before this life."""
        self._before[cause] = self._before.get(cause, 0.0) + max(0.0, seconds)

    @property
    def cause(self) -> BlindCause | None:
        """Why there is no answer now, as of the last look; None: there are answers."""
        return self._cause

    def own_s(self, now_s: float) -> float:
        """Blind seconds of this life, until now."""
        return sum(self._own.values()) + self._present_s(now_s)

    def totals(self, now_s: float) -> dict[str, float]:
        """By cause, those of former lives included; causes that never were are absent."""
        both = {cause: self._before.get(cause, 0.0) + self._own.get(cause, 0.0) for cause in self._before | self._own}
        if self._cause is not None:
            both[self._cause] = both.get(self._cause, 0.0) + self._present_s(now_s)
        return both

    def _present_s(self, now_s: float) -> float:
        if self._cause is None:
            return 0.0
        end_s = self._first_s if self._is_answered() else now_s
        return max(0.0, end_s - self._since_s)

    def _is_answered(self) -> bool:
        """What an answer alone can end, has ended."""
        return self._cause in {"start", "invoke"} and not self._waits

    def _settle(self, now_s: float, *, has_frames: bool | None = None) -> None:
        if self._is_answered():
            self._go(None, self._first_s)
        cause = self._judge(now_s, has_frames=has_frames)
        # a model that hangs was noticed late: its time counts from the last answer, or sign of life
        is_behind = has_frames and self._has_answered
        begun_s = self._answer_s if is_behind else max(self._answer_s, self._idle_s)
        self._go(cause, max(begun_s, self._since_s) if cause == "invoke" != self._cause else now_s)

    def _judge(self, now_s: float, *, has_frames: bool | None) -> BlindCause | None:
        if self._absent is not None:
            return self._absent
        of_camera = _OF_CAMERA.get(self._camera)
        if of_camera is not None and (self._has_answered or self._camera != "starting"):
            return of_camera
        if self._cause == "invoke" and self._waits:
            return "invoke"
        if self._is_hung(now_s, has_frames=has_frames):
            return "invoke"
        return "start" if not self._has_answered and self._camera != "ended" else None

    def _is_hung(self, now_s: float, *, has_frames: bool | None) -> bool:
        if has_frames is None or self._camera != "streaming":
            return False
        is_behind = has_frames and self._has_answered and now_s - self._answer_s > self.hung_s
        return is_behind or now_s - max(self._answer_s, self._idle_s) > self.hung_s

    def _go(self, cause: BlindCause | None, at_s: float) -> None:
        if cause == self._cause:
            return
        if self._cause is not None:
            self._own[self._cause] = self._own.get(self._cause, 0.0) + max(0.0, at_s - self._since_s)
        self._cause, self._since_s = cause, at_s
        if cause == "invoke":
            self._waits = True
