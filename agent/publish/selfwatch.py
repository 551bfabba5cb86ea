"""What the broker shows of us: a stale presence after its restart, or a second agent under our name. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.publish.contract import State, StateName

Finding = Literal["fine", "wrong", "gone", "rival"]


class SelfWatch:
    """Fed with every message on our own ``state`` topic.

    Attributes:
        rival: the start of the agent that spoke last under our name; empty when none did.
    """

    def __init__(self, boot: str) -> None:
        self.rival = ""
        self._boot = boot
        self._was_shown = False
        self._elders: dict[str, int] = {}

    def shown(self) -> None:
        """The broker has acknowledged our state: from now on it should show that, and nobody else's."""
        self._was_shown = True

    def look(self, body: bytes, claimed: StateName) -> Finding:
        """What a message on our state topic means: ``wrong`` is to be repaired, ``rival`` to be reported.

        ``gone``: somebody takes us off the broker, and everything is to be said again.
        """
        if not body:
            return "gone"
        try:
            state = msgspec.json.decode(body, type=State)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "wrong"
        if state.boot == self._boot:
            return "fine" if state.state == claimed else "wrong"
        if not self._was_shown:
            self._elders[state.boot] = state.conn  # retained: our former life
            return "fine"
        # what we knew already is the last will of our former life, come late; news is somebody who connects as we do
        is_news = state.conn > self._elders.get(state.boot, -1)
        self._elders[state.boot] = max(state.conn, self._elders.get(state.boot, 0))
        if is_news:
            self.rival = state.boot[:64]
        return "rival" if is_news else "wrong"
