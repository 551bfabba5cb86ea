"""The thermal governor: how many frames a board may take without being throttled. Pure: readings in, a pace out.

A processor that is throttled answers each frame later; one that rests between frames answers each as fast as ever. So
the board is kept a little below the temperature at which its firmware steps in, by taking fewer frames.

The rule: above the target the rate is *multiplied* down, the further above the more (2 to 15 %); a hysteresis below
it is *added* to (2 % of the free rate a step, 5 % when it is far below); between the two nothing changes. Down fast
because an overshoot is what it is there to prevent, up slowly because the board answers in minutes; both are smaller
than what the hysteresis swallows, so it comes to rest. It goes by where the temperature is heading, a line through
the last readings, because a warm board stays on its way up for a while.

Heat alone is no reason: while an invoke takes hardly longer than on the cool board (``tolerance``), nothing is given up
for it. Without that, on the simulated boards, up to half of the frames went for a few per cent of latency.

What it cannot do: nothing here makes a board cooler than its surroundings let it be. A throttled processor runs at a
lower voltage, so it may answer *more* frames than a paced one, each of them later (docs/thermal.md has both).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agent.config import GovernorConfig
from agent.records import Heat, Pace, PaceState

MARGIN_CELSIUS = 1.0
"""The target lies this far below the point of throttling; each degree costs 3 to 5 % of the frames."""

PLAUSIBLE_CELSIUS = (-40.0, 150.0)
WINDOW_S = 45.0
"""Readings of so long make the line; older ones are forgotten."""

LEAD_S = 15.0
"""How far ahead the line is followed."""

STALE_S = 60.0
"""Without a temperature for so long there is nothing to go by."""

SETTLED_S = 120.0
"""After a change the windows tell of the new pace alone."""

MOST_FPS = 1000.0
COOLING = -0.02
"""Degrees a second: a board that cools like this needs no further help."""

PATIENCE_S = 300.0
"""So long at the slowest useful pace without getting below a lower limit: it is given up for the next one."""

TOLD_PART = 0.2
"""A pace that has changed by more than this since it was last told is news."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Where the firmware steps in.

    Attributes:
        celsius: from this temperature on.
        lowest_share: of the clock that it leaves there; None: less and less. To pace below that share costs more
            frames than the throttling would.
    """

    celsius: float
    lowest_share: float | None = None


HARD = Limit(80.0)
"""Every Raspberry Pi: between 80 and 85 C the cores are throttled back progressively (Raspberry Pi documentation,
"Frequency management and thermal control"). Other boards differ; the setting is there for them."""

SOFT = Limit(60.0, 1.2 / 1.4)
"""The Pi 3B+ and 3A+: 1.2 instead of 1.4 GHz above it (the same page)."""


def limits_of(model: str) -> tuple[Limit, ...]:
    """Where a board throttles, lowest first, by the name in its device tree.

    >>> [limit.celsius for limit in limits_of("Raspberry Pi 3 Model B Plus Rev 1.3")]
    [60.0, 80.0]
    >>> [limit.celsius for limit in limits_of("Raspberry Pi 5 Model B Rev 1.0")]
    [80.0]
    """
    has_soft = "Raspberry Pi 3 Model" in model and "Plus" in model
    return (SOFT, HARD) if has_soft else (HARD,)


class Governor:
    """Judges each reading; :attr:`pace` is the newest word.

    Args:
        config: the ``[governor]`` table.
        limits: where the board throttles, lowest first; a ``target_celsius`` in the settings replaces them.
    """

    def __init__(self, config: GovernorConfig, limits: tuple[Limit, ...] = (HARD,)) -> None:
        self._config, self._of_board = config, limits
        self._limits = self._chosen()
        self._tier = 0
        self._seen: deque[tuple[float, float]] = deque()
        self._share = 1.0
        self._free_fps: float | None = None
        self._cool_s: float | None = None
        self._now_s = self._changed_s = self._judged_s = float("-inf")
        self._slowest_since_s: float | None = None
        self.pace = Pace(is_acted=config.mode == "act")

    def _chosen(self) -> tuple[Limit, ...]:
        target = self._config.target_celsius
        return self._of_board if target is None else (Limit(target + MARGIN_CELSIUS),)

    def reconfigure(self, config: GovernorConfig) -> None:
        """Other settings from the next reading on. What was learned of the board stays.

        A pace that is acted on goes on from where it is; any other begins anew.
        """
        if config == self._config:
            return
        goes_on = self._config.mode == config.mode == "act"
        self._config = config
        self._limits, self._tier = self._chosen(), 0
        self._seen.clear()
        self._slowest_since_s = None
        if goes_on and self._share < 1.0:
            self._share = max(self._share, self._lowest)
            self._say("paced" if self._share < 1.0 else "free", "other settings")
        else:
            self._share = 1.0
            self.pace = Pace(is_acted=config.mode == "act")

    @property
    def target_celsius(self) -> float:
        """The processor is kept below it."""
        return self._limits[self._tier].celsius - MARGIN_CELSIUS

    def look(self, heat: Heat) -> Pace:
        """Takes a reading in; returns the pace from now on. A time that does not move on changes nothing."""
        if self._config.mode == "off" or not self._now_s < heat.at_s < float("inf"):
            return self.pace
        if self._judged_s == float("-inf"):
            self._judged_s = heat.at_s
        self._now_s = heat.at_s
        excess = self._excess(heat)
        if excess is not None:
            self._judged_s = heat.at_s
            self._judge(heat, excess)
        elif heat.at_s - self._judged_s > STALE_S:
            self._share = 1.0
            self._seen.clear()
            self._say("blind", "no temperature can be read, so frames are not paced")
        return self.pace

    def _excess(self, heat: Heat) -> float | None:
        """Degrees above the target, of whichever is worse; None when neither can be believed."""
        pairs = (
            (heat.soc_celsius, self.target_celsius),
            (heat.accelerator_celsius, self._config.accelerator_celsius),
        )
        low, high = PLAUSIBLE_CELSIUS
        found = [celsius - target for celsius, target in pairs if celsius is not None and low <= celsius <= high]
        return max(found, default=None)

    def _judge(self, heat: Heat, excess: float) -> None:
        if self.pace.state == "blind":
            self._say("free", "the temperature can be read again")
        self._seen.append((heat.at_s, excess))
        while heat.at_s - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        level, slope = _line(self._seen)
        self._learn(heat, level)
        self._step(level, slope, is_throttled=bool(heat.throttled), slower=self._slower(heat))
        self._choose_limit(level)

    def _slower(self, heat: Heat) -> float:
        """By which part of the cool board's time an invoke takes longer; infinite while that is not known."""
        invoke_s = heat.invoke_p50_s
        if not self._config.tolerance or self._cool_s is None or invoke_s is None or not 0.0 < invoke_s < 1000.0:
            return float("inf")
        return invoke_s / self._cool_s - 1.0

    def _step(self, level: float, slope: float, *, is_throttled: bool, slower: float) -> None:
        """Slower, faster or as before; ``level``: degrees above the target, ``slope``: a second."""
        ahead = level + slope * LEAD_S
        band = self._config.hysteresis_celsius
        waited_s = self._now_s - self._changed_s
        # A clock that is held back far from the target has another reason: a soft limit given up, or the supply.
        by_heat = is_throttled and self._tier == 0 and level > -2.0 * band and slope > COOLING
        is_late = slower > self._config.tolerance
        if is_late and by_heat and waited_s >= self._config.step_s / 2.0:
            self._slow(max(ahead, 2.0), "the firmware holds the clock back")
        elif waited_s < self._config.step_s:
            return
        elif is_late and ahead > 0.0 and level > -band:
            self._slow(ahead, f"{self.target_celsius + level:.0f} C; {self.target_celsius:.0f} C is the target")
        elif max(level, ahead) < -band or slower < self._config.tolerance / 2.0:
            step = 0.05 if level < -3.0 * band else 0.02
            # the free rate may have fallen since: what is left of it must not be below the least that is allowed
            self._set(min(1.0, max(self._share + step, self._lowest)), "it is cool enough for more")

    def _learn(self, heat: Heat, level: float) -> None:
        """How fast the board is when nothing is held back; a window may still tell of a paced time."""
        invoke_s = heat.invoke_p50_s
        is_cool = level < -self._config.hysteresis_celsius and (self._tier > 0 or not heat.throttled)
        if is_cool and invoke_s is not None and 1.0 / MOST_FPS < invoke_s < 1000.0:
            self._cool_s = invoke_s if self._cool_s is None else self._cool_s + 0.1 * (invoke_s - self._cool_s)
        if self._share < 1.0 and self._config.mode == "act":
            return
        fps = heat.fps
        if fps is not None and 0.0 < fps < MOST_FPS:
            if fps >= (self._free_fps or 0.0) or self._now_s - self._changed_s >= SETTLED_S:
                self._free_fps = fps
        elif self._free_fps is None and invoke_s is not None and 1.0 / MOST_FPS < invoke_s < 1000.0:
            self._free_fps = 1.0 / invoke_s

    @property
    def _lowest(self) -> float:
        """The least share that is allowed now; 1 while the free rate is not known."""
        of_limit = self._limits[self._tier].lowest_share or 0.0
        of_rate = self._config.lowest_fps / self._free_fps if self._free_fps else 1.0
        return min(1.0, max(self._config.lowest_share, of_limit, of_rate))

    def _slow(self, ahead: float, why: str) -> None:
        if self._config.mode == "advise" and self._share < 1.0:
            return  # nobody follows the advice, so more of it would not be cooler either
        cut = min(0.15, 0.02 + 0.02 * ahead)
        self._set(min(self._share, max(self._lowest, self._share * (1.0 - cut))), why)

    def _set(self, share: float, why: str) -> None:
        if share != self._share:
            self._share, self._changed_s, self._slowest_since_s = share, self._now_s, None
            self._say("paced" if share < 1.0 else "free", why)
        elif share < 1.0:  # it was to go lower
            self._slowest_since_s = self._now_s if self._slowest_since_s is None else self._slowest_since_s
            self._say("slowest", f"{why}; fewer frames are not allowed")

    def _choose_limit(self, level: float) -> None:
        """A lower limit that cannot be kept at a useful pace is left to the firmware; kept again when it can be."""
        since_s = self._slowest_since_s
        if since_s is not None and self._now_s - since_s >= PATIENCE_S and self._tier + 1 < len(self._limits):
            self._change_limit(self._tier + 1)
            self._say("free", f"{self.target_celsius:.0f} C is the target now: a lower one costs more than it gives")
        elif self._tier and self._share == 1.0:
            room = self._limits[self._tier].celsius - self._limits[self._tier - 1].celsius
            if level + room < -self._config.hysteresis_celsius:
                self._change_limit(self._tier - 1)

    def _change_limit(self, tier: int) -> None:
        moved = self._limits[self._tier].celsius - self._limits[tier].celsius
        self._tier, self._share, self._slowest_since_s, self._cool_s = tier, 1.0, None, None
        self._changed_s = self._now_s
        self._seen = deque((at_s, excess + moved) for at_s, excess in self._seen)

    def _say(self, state: PaceState, why: str) -> None:
        interval_s = 1.0 / (self._free_fps * self._share) if self._free_fps and self._share < 1.0 else 0.0
        self.pace = Pace(state, interval_s, self._share, self._config.mode == "act", why)


def _line(seen: deque[tuple[float, float]]) -> tuple[float, float]:
    """Where a straight line through the readings is now, and how it rises a second (least squares)."""
    count = len(seen)
    mean_s = sum(at_s for at_s, _ in seen) / count
    mean = sum(value for _, value in seen) / count
    spread = sum((at_s - mean_s) ** 2 for at_s, _ in seen)
    if spread <= 0.0:
        return mean, 0.0
    slope = sum((at_s - mean_s) * (value - mean) for at_s, value in seen) / spread
    return mean + slope * (seen[-1][0] - mean_s), slope


def is_news(before: Pace, after: Pace) -> bool:
    """Whether a person has to be told: another state, or a pace that is clearly another one."""
    return before.state != after.state or abs(after.share - before.share) > TOLD_PART * before.share
