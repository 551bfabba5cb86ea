"""When there is something to tell, and what.

Three promises, held by the tests: no two sightings follow each other closer than :attr:`Presence.gap_s`; a change
that lasts is told; nothing is told that was not so for its hold time. Without an answer (no picture, a black or frozen
one, or none for long enough yet) what is there is unknown, and never "nothing".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from agent.config import DetectionsConfig, ZoneConfig
from agent.errors import ConfigError
from agent.presence.held import Held, Since, has_lasted
from agent.presence.places import Places
from agent.records import Box, CameraStatus, FrameResult, Labels, Sighting

MAX_BOXES = 100
"""Most boxes of one sighting, the best ones: a message has to stay below 128 KiB."""

Key = tuple[str, str]
"""Zone and class; the zone is empty for the whole picture."""


Found = tuple[str, float, tuple[float, float, float, float], tuple[str, ...]]
"""Class, confidence, box relative to the frame, zones."""


class Presence:
    """Fed with every frame on the main thread; a frame that changes nothing costs some microseconds.

    Args:
        config: when to tell, and of what.
        zones: all zones of the settings.
        labels: class names.

    Raises:
        ConfigError: a class is named that the labels do not have.
    """

    def __init__(self, config: DetectionsConfig, zones: list[ZoneConfig], labels: Labels) -> None:
        self._config = config
        self._places = Places(zones, config.zones)
        self._labels = _chosen(config.classes, labels)
        self._names = labels
        self._held: dict[Key, Held] = {}
        self._frames = 0
        self._newest: tuple[FrameResult, float] | None = None
        self._since: Since | None = None
        self._trouble = "the camera gives no picture yet"
        self._known = False
        self._has_news = True
        self._told: tuple[object, ...] = ()
        self._told_s: float | None = None

    @property
    def gap_s(self) -> float:
        """Least time between two sightings, in seconds."""
        config = self._config
        return config.interval_s if config.mode == "rate" else min(config.appear_s, config.hold_s)

    @property
    def zones(self) -> tuple[str, ...]:
        """Names of the zones that are counted apart."""
        return self._places.names

    def camera(self, status: CameraStatus) -> None:
        """The camera's state changed: without good pictures nothing that was counted is known any more."""
        is_good = status.state == "streaming"
        self._trouble = "" if is_good else f"camera {status.state}: {status.reason}".removesuffix(": ")
        if not is_good:
            self._held.clear()
            self._since = self._newest = None
            self._known = False
            self._has_news = True

    def look(self, result: FrameResult | None, now_s: float) -> Sighting | None:
        """Takes in a frame's answer, or that none came; what is to be told now, if anything."""
        if result is not None and not self._trouble:
            self._feed(result, now_s)
        return self._tell(now_s) if self._is_due(now_s) else None

    def _feed(self, result: FrameResult, now_s: float) -> None:
        self._frames += 1
        frame, config = self._frames, self._config
        self._newest = (result, now_s)
        seen: dict[Key, int] = {}
        for label, _, _, zones in self._objects(result) if len(result.detections) else ():
            for zone in ("", *zones):
                seen[zone, label] = seen.get((zone, label), 0) + 1
        for key in seen.keys() - self._held.keys():
            self._held[key] = Held(config.appear_s, config.hold_s, config.min_frames)
        idle = []
        for key, held in self._held.items():
            if held.feed(seen.get(key, 0), now_s, frame):
                self._has_news |= config.mode == "change"
            if held.is_idle:
                idle.append(key)
        for key in idle:
            del self._held[key]
        if not self._known:
            self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        """Known once there were pictures for as long as both changes need."""
        config = self._config
        if self._since is None:
            self._since = (now_s, self._frames)
        warm_s = max(config.appear_s, config.hold_s)
        if has_lasted(self._since, warm_s, config.min_frames, now_s, self._frames):
            self._known = self._has_news = True

    def _is_due(self, now_s: float) -> bool:
        if self._told_s is None:
            return True
        waited_s = now_s - self._told_s
        if waited_s < self.gap_s:
            return False
        if self._has_news and self._state() != self._told:
            return True
        self._has_news = False
        every_s = self._config.interval_s if self._config.mode == "rate" and self._known else self._config.repeat_s
        return 0 < every_s <= waited_s

    def _state(self) -> tuple[object, ...]:
        """What a change is judged by."""
        held = {key: held.value for key, held in self._held.items() if held.value} if self._known else None
        return (held, self._trouble if not self._known else "")

    def _tell(self, now_s: float) -> Sighting:
        self._has_news = False
        self._told, self._told_s = self._state(), now_s
        if not self._known or self._newest is None:
            return Sighting(now_s, known=False, reason=self._trouble or "the camera was not seen for long enough yet")
        result, at_s = self._newest
        return Sighting(
            at_s,
            known=True,
            sequence=result.frame.sequence,
            age_s=result.times.age_s,
            counts=self._counts(""),
            zones={name: self._counts(name) for name in self._places.names},
            boxes=tuple(Box(*found) for found in islice(self._objects(result), MAX_BOXES)),
        )

    def _counts(self, zone: str) -> dict[str, int]:
        held = {label: held.value for (place, label), held in self._held.items() if place == zone and held.value}
        return dict.fromkeys(self._config.classes, 0) | dict(sorted(held.items()))

    def _objects(self, result: FrameResult) -> Iterator[Found]:
        """What a :class:`Box` is made of; plain, since this is done with every frame."""
        height, width = result.frame.pixels.shape[:2]
        found = result.detections
        rows = zip(found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist(), strict=True)
        for (left, top, right, bottom), confidence, class_id in rows:
            label = self._name(class_id)
            if label:
                place = (left / width, top / height, right / width, bottom / height)
                zones = self._places.of(label, (place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
                yield label, confidence, place, zones

    def _name(self, class_id: int) -> str:
        """The class's name; empty when nobody asked for it."""
        if self._labels is None:
            return self._names.name(class_id)
        return self._labels.get(class_id, "")


def _chosen(classes: list[str], labels: Labels) -> dict[int, str] | None:
    """Names by number of the classes that were asked for; None: all."""
    for name in classes:
        if not labels.ids(name):
            raise ConfigError(f"detections.classes: the model has no class named {name!r}")
    return {number: name for name in classes for number in labels.ids(name)} if classes else None
