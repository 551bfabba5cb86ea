"""How sparing the agent is with bytes: the three profiles of ``mqtt.profile``, as figures; and what may wait, how long.

Windows are merged (exactly: their sketches are added) until they are as long as the profile says. A window of ten
seconds with its two sketches costs about 1.2 KB with its TCP/IP overhead, or 200 bytes deflated among its like: 10 and
1.7 MB a day, of one kind alone; a ping each half minute costs 0.46 MB. So resolution is what is paid with, and
``mqtt.resolution_s`` buys it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.config import MqttConfig


@dataclass(frozen=True, slots=True)
class Profile:
    """What is sent how often.

    Attributes:
        perf_s: windows of the pipeline are merged up to this length; 0: sent as they are.
        board_s: readings of the board likewise.
        batch_s: windows travel together in one deflated message each so many seconds; 0: each as JSON on its own.
        keepalive_s: silence after which the broker is asked whether it is still there.
    """

    perf_s: float = 0.0
    board_s: float = 0.0
    batch_s: float = 0.0
    keepalive_s: int = 30

    def length_s(self, cls: str) -> float:
        """How long windows of a class are made."""
        return self.perf_s if cls == "m/perf" else self.board_s

    @property
    def longest_s(self) -> float:
        """How long a window may wait by design, from its first part to its sending."""
        return max(self.perf_s, self.board_s) + self.batch_s


@dataclass(frozen=True, slots=True)
class Limits:
    """How much, and how long.

    Attributes:
        disk_bytes: most that lies on the disk.
        max_age_s: what waits for longer is dropped.
        live_s: a window that waits for longer (by connection) is a matter for the disk and the backlog.
    """

    disk_bytes: int = 32 * 2**20
    max_age_s: float = 7 * 86_400.0
    live_s: float = 60.0


AS_MEASURED = Profile()
"""Every window at once, as it is."""

PROFILES = {
    # the keep-alive is a little longer than what comes anyway: at 30 s each silence would end in a ping, 0.4 MB a day
    "live": Profile(perf_s=30.0, board_s=90.0, keepalive_s=35),
    "normal": Profile(perf_s=60.0, board_s=60.0, batch_s=120.0, keepalive_s=75),
    "metered": Profile(perf_s=60.0, board_s=60.0, batch_s=300.0, keepalive_s=240),
}


def profile_of(config: MqttConfig) -> Profile:
    """The profile that the settings name, with what they say otherwise."""
    profile = PROFILES[config.profile]
    if config.resolution_s is not None:
        profile = replace(profile, perf_s=config.resolution_s, board_s=config.resolution_s)
    if config.keepalive_s is not None:
        profile = replace(profile, keepalive_s=config.keepalive_s)
    return profile
