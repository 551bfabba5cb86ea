"""How the camera is: judged from what came when, told once. Pure; every time is an argument, on one monotonic clock.

Five things can be wrong. Each must last before it counts, and its opposite must last before it is over, so that a
camera on the edge is one fault and not a hundred:

=========  ==================================================  =======================================
down       cannot be opened, or was lost; at once              over after ``RECOVER_S`` of frames
stalled    open, but no frame for ``stall_s``                  over after ``RECOVER_S`` of frames
black      99 % of the picture darker than ``black_luma``      over after ``RECOVER_S`` of light
frozen     every picture equal to the one before, to the bit   over after ``RECOVER_S`` of change
ended      the file is over                                    never over
=========  ==================================================  =======================================

It cannot tell a lens cap from a dark night, nor a frozen camera from a drawing that it is pointed at through an
encoder without noise.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.records import CameraState

RECOVER_S = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The camera's state, and one sentence while it is a fault."""

    state: CameraState
    reason: str = ""


class Fault:
    """One thing that can be wrong: bad for ``limit_s`` begins it, good for ``RECOVER_S`` without such a gap ends it."""

    def __init__(self, limit_s: float) -> None:
        self.active = False
        self._limit_s = limit_s
        self._good_s: float | None = None  # the last good sign, or where counting began
        self._run_s: float | None = None  # where the present run of good signs began

    def good(self, now_s: float) -> None:
        """A good sign."""
        if self._run_s is None or self._good_s is None or now_s - self._good_s >= self._limit_s:
            self._run_s = now_s
        self._good_s = now_s
        if now_s - self._run_s >= RECOVER_S:
            self.active = False

    def bad(self, now_s: float) -> None:
        """A bad sign; counting begins with it when nothing was seen before."""
        if self._good_s is None:
            self._good_s = now_s
        if now_s - self._good_s >= self._limit_s:
            self.active = True

    def strike(self) -> None:
        """Bad at once."""
        self.active = True
        self._run_s = None

    def forget(self) -> None:
        """Nothing was seen for a while: count anew; a fault that is active stays so."""
        self._good_s = self._run_s = None

    def left_s(self, now_s: float) -> float:
        """Seconds until silence alone begins this fault."""
        return float("inf") if self.active or self._good_s is None else self._good_s + self._limit_s - now_s


class Watch:
    """Told of every frame and failure; asked for the state.

    Args:
        begin_s: when the first frame can be expected; a camera that never gives one is stalled ``stall_s`` later.
        stall_s: see above.
        frozen_s: 0 switches it off.
        black_s: 0 switches it off.
    """

    def __init__(self, *, begin_s: float, stall_s: float, frozen_s: float, black_s: float) -> None:
        self._stall_s, self._frozen_s, self._black_s = stall_s, frozen_s, black_s
        self._down, self._stall = Fault(stall_s), Fault(stall_s)
        self._frozen, self._black = Fault(frozen_s), Fault(black_s)
        self._stall.bad(begin_s)
        self._down_reason = ""
        self._frames = 0
        self._ended = False

    def relimit(self, *, frozen_s: float, black_s: float) -> None:
        """Other limits from now on; what begins or ends by them counts from here."""
        if frozen_s != self._frozen_s:
            self._frozen_s, self._frozen = frozen_s, Fault(frozen_s)
        if black_s != self._black_s:
            self._black_s, self._black = black_s, Fault(black_s)

    def frame(self, now_s: float) -> None:
        """A frame came; whether anybody looks at it does not matter here."""
        self._frames += 1
        self._stall.good(now_s)
        self._down.good(now_s)

    def look(self, now_s: float, *, same: bool, dark: bool) -> None:
        """A picture was looked at: equal to the one before, or black."""
        if self._frozen_s:
            (self._frozen.bad if same else self._frozen.good)(now_s)
        if self._black_s:
            (self._black.bad if dark else self._black.good)(now_s)

    def lost(self, reason: str) -> None:
        """The camera could not be opened, or gives nothing more."""
        self._down.strike()
        self._down_reason = reason
        self._frozen.forget()
        self._black.forget()

    def end(self) -> None:
        """The file is over."""
        self._ended = True

    def judge(self, now_s: float) -> Verdict:
        """The state at this moment; the most telling of all faults that are active."""
        if self._ended:
            return Verdict("ended")
        self._stall.bad(now_s)
        if self._down.active:
            return Verdict("down", self._down_reason)
        if self._stall.active:
            return Verdict("stalled", f"no picture for {self._stall_s:g} s")
        if self._black.active:
            return Verdict(
                "black", f"the picture is black for {self._black_s:g} s: lens covered, no light, or a dead sensor"
            )
        if self._frozen.active:
            return Verdict(
                "frozen", f"the picture did not change by one bit for {self._frozen_s:g} s: the camera hangs"
            )
        return Verdict("streaming" if self._frames else "starting")

    def left_s(self, now_s: float) -> float:
        """Seconds after which silence alone changes the state; infinite when it cannot."""
        return float("inf") if self._ended else max(0.0, self._stall.left_s(now_s))
