"""From the agent's threads to the mqtt thread: appended without a lock, bounded, every overflow counted.

It only fills up while the mqtt thread is blocked in a connection attempt; bounds in bytes are the outbox's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from agent.publish.contract import Scalar, StateName
from agent.publish.home_assistant import HomePlan
from agent.publish.profile import Profile
from agent.publish.wake import Wake
from agent.records import Answer, BoardReading, Health, Identity, PerfReport, Sighting, Standing

MAX_WINDOWS = 256
MAX_NOTICES = 1024


@dataclass(frozen=True, slots=True)
class StateChange:
    """What the agent is doing now."""

    name: StateName
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm raised at a monotonic time; cleared when there is no message."""

    alarm_id: str
    message: str | None
    at_s: float


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened at a monotonic time."""

    kind: str
    data: Mapping[str, Scalar]
    at_s: float


@dataclass(frozen=True, slots=True)
class Picture:
    """What the camera shows, drawn and encoded."""

    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Pace:
    """How windows travel from now on, and how long they count as live."""

    profile: Profile
    live_s: float


Window = PerfReport | BoardReading | Health
Notice = Identity | StateChange | AlarmChange | Happening | Answer | Sighting | Standing | Picture | HomePlan
Item = Window | Notice | Pace


class Inbox:
    """``put_...`` from any thread; the rest from the mqtt thread."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._windows: deque[Window] = deque()
        self._notices: deque[Notice | Pace] = deque()
        self._lost: deque[str] = deque(maxlen=1_000_000)

    def put_window(self, window: Window) -> None:
        """Takes one in; over the bound the oldest is lost.

        Wakes nobody: the mqtt thread looks twice a second, and a wake-up would have it take the interpreter's lock
        just when the inference thread is the one that calls.
        """
        if len(self._windows) >= MAX_WINDOWS:
            self._lose(self._windows)
        self._windows.append(window)

    def put_notice(self, notice: Notice | Pace) -> None:
        """Takes one in and wakes the mqtt thread; over the bound the oldest is lost."""
        if len(self._notices) >= MAX_NOTICES:
            self._lose(self._notices)
        self._notices.append(notice)
        self._wake.set()

    def __len__(self) -> int:
        return len(self._notices) + len(self._windows)

    def pop(self) -> Item | None:
        """What came in first, notices before windows."""
        for lane in (self._notices, self._windows):
            with suppress(IndexError):
                return lane.popleft()
        return None

    def take_losses(self) -> Counter[str]:
        """How many were lost since the last call, by class."""
        return Counter(self._lost.popleft() for _ in range(len(self._lost)))

    def _lose(self, lane: deque[Window] | deque[Notice | Pace]) -> None:
        with suppress(IndexError):  # the mqtt thread may have been faster
            self._lost.append(class_of(lane.popleft()))


_CLASSES: dict[type, str] = {
    PerfReport: "m/perf",
    BoardReading: "m/sys",
    Health: "health",
    Identity: "birth",
    StateChange: "state",
    AlarmChange: "a",
    Happening: "e",
    Answer: "res",
    Standing: "reported",
    Sighting: "d",
    Picture: "image",
    HomePlan: "homeassistant",
    Pace: "reported",
}


def class_of(item: Item) -> str:
    """The delivery class that an item belongs to."""
    return _CLASSES[type(item)]
