"""What is told of what is there: it does not flap, forgets nothing that lasts, and knows what it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import presence
from agent.check import check
from agent.config import DetectionsConfig, ZoneConfig, parse
from agent.errors import ConfigError
from agent.postprocess import filters
from agent.presence import Presence
from agent.presence.held import Held
from agent.presence.places import contains
from agent.presence.presence import MAX_BOXES
from agent.records import CameraStatus, Detections, Frame, FrameResult, Labels, Sighting, StageTimes

LABELS = Labels({0: "person", 1: "dog", 2: "cat"})
DOOR = ZoneConfig(name="door", polygon=[(0, 0), (0.5, 0), (0.5, 1), (0, 1)], mode="count")
LEFT, RIGHT = (10, 10, 30, 30), (150, 40, 190, 60)
CONFIG = DetectionsConfig(mode="change", appear_s=0.5, hold_s=2.0, min_frames=3, repeat_s=0.0)


def answer(*objects: tuple[int, tuple[int, int, int, int]], sequence: int = 1) -> FrameResult:
    """A frame of 200 x 100 pixels with these classes and boxes."""
    boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
    classes = np.array([number for number, _ in objects], np.int32)
    found = Detections(boxes, np.full(len(objects), 0.9, np.float32), classes)
    frame = Frame(np.zeros((100, 200, 3), np.uint8), 0.0, sequence, np.zeros((36, 64), np.uint8))
    return FrameResult(frame, found, StageTimes(0.06, 0.0, 0.05, 0.0))


@dataclass
class Watch:
    """A presence on a clock of its own, and what it told when."""

    config: DetectionsConfig = CONFIG
    zones: list[ZoneConfig] = field(default_factory=lambda: [DOOR])
    now_s: float = 100.0
    told: list[tuple[float, Sighting]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.presence = Presence(self.config, self.zones, LABELS)
        self.presence.camera(CameraStatus("streaming"))

    def see(self, *objects: tuple[int, tuple[int, int, int, int]], for_s: float = 0.125, step_s: float = 0.125) -> None:
        for _ in range(round(for_s / step_s)):
            self.now_s += step_s
            self.look(answer(*objects))

    def look(self, result: FrameResult | None) -> None:
        sighting = self.presence.look(result, self.now_s)
        if sighting is not None:
            self.told.append((self.now_s, sighting))

    @property
    def last(self) -> Sighting:
        return self.told[-1][1]


def test_appears_soon_vanishes_late_and_is_told_once_each() -> None:
    watch = Watch()
    watch.see(for_s=3.0)
    assert [told.known for _, told in watch.told] == [False, True]
    assert (watch.last.counts, watch.last.zones) == ({}, {"door": {}})
    begun_s = watch.now_s
    watch.see((0, LEFT), (0, RIGHT), for_s=5.0)
    assert len(watch.told) == 3
    assert (watch.last.counts, watch.last.zones) == ({"person": 2}, {"door": {"person": 1}})
    assert watch.told[-1][0] - begun_s == 0.625
    gone_s = watch.now_s
    watch.see(for_s=5.0)
    assert len(watch.told) == 4
    assert watch.last.counts == {}
    assert watch.told[-1][0] - gone_s == 2.125


def test_what_is_found_in_every_second_frame_neither_appears_nor_vanishes() -> None:
    watch = Watch()
    watch.see(for_s=3.0)
    for _ in range(50):
        watch.see((0, LEFT))
        watch.see()
    assert len(watch.told) == 2
    assert watch.last.counts == {}
    watch.see((0, LEFT), for_s=1.0)
    for _ in range(50):
        watch.see((0, LEFT))
        watch.see((0, LEFT), (0, RIGHT))
        watch.see()
    assert len(watch.told) == 3
    assert watch.last.counts == {"person": 1}


def test_a_crowd_that_trembles_is_there_all_the_same() -> None:
    watch = Watch()
    watch.see(for_s=3.0)
    for _ in range(10):
        watch.see((0, LEFT))
        watch.see((0, LEFT), (0, LEFT))
    assert watch.last.counts == {"person": 1}


def test_no_picture_is_not_no_objects() -> None:
    watch = Watch()
    watch.see((0, LEFT), for_s=4.0)
    assert watch.last.counts == {"person": 1}
    watch.presence.camera(CameraStatus("down", "unplugged"))
    watch.now_s += 0.5
    watch.look(None)
    assert (watch.last.known, watch.last.reason) == (False, "camera down: unplugged")
    count = len(watch.told)
    watch.see((0, LEFT), for_s=4.0)
    assert len(watch.told) == count, "a black or frozen picture is no answer either"
    watch.presence.camera(CameraStatus("streaming"))
    back_s = watch.now_s
    watch.see((0, LEFT), for_s=4.0)
    assert watch.last.known
    assert watch.told[-1][0] - back_s == 2.125, "and it begins anew"


def test_after_an_outage_nothing_of_before_counts() -> None:
    watch = Watch()
    watch.see((0, LEFT), for_s=4.0)
    watch.presence.camera(CameraStatus("stalled"))
    watch.presence.camera(CameraStatus("streaming"))
    for _ in range(20):
        watch.see()
        watch.see((0, LEFT))
    assert watch.last.known
    assert watch.last.counts == {}


def test_what_is_taken_back_before_it_could_be_told_is_not_told() -> None:
    watch = Watch(DetectionsConfig(mode="change", appear_s=1.0, hold_s=1.0, min_frames=1, repeat_s=0.0))
    watch.see(for_s=2.0)
    watch.see((1, LEFT), for_s=0.25)
    watch.see((1, LEFT), (2, LEFT), for_s=1.125)
    told = len(watch.told)
    assert watch.last.counts == {"dog": 1}, "and the cat would be next"
    watch.see((1, LEFT))
    watch.see((1, LEFT), for_s=1.0, step_s=1.0)
    watch.see((1, LEFT), for_s=5.0)
    assert len(watch.told) == told


def test_before_the_first_picture_it_says_so() -> None:
    one = Presence(CONFIG, [], LABELS)
    sighting = one.look(None, 5.0)
    assert sighting == Sighting(5.0, known=False, reason="the camera gives no picture yet")
    assert one.look(None, 50.0) is None, "once"


def test_chosen_classes_are_counted_alone_and_named_when_there_are_none() -> None:
    watch = Watch(DetectionsConfig(mode="change", classes=["dog", "cat"]))
    watch.see((0, LEFT), (1, LEFT), for_s=4.0)
    assert watch.last.counts == {"dog": 1, "cat": 0}
    assert watch.last.zones == {"door": {"dog": 1, "cat": 0}}
    assert [box.label for box in watch.last.boxes] == ["dog"]


def test_boxes_are_relative_and_know_their_zones() -> None:
    watch = Watch()
    watch.see((0, LEFT), (2, RIGHT), for_s=4.0)
    first, second = watch.last.boxes
    assert first.xyxy == (0.05, 0.1, 0.15, 0.3)
    assert (first.label, first.zones) == ("person", ("door",))
    assert (second.label, second.zones) == ("cat", ())
    assert first.confidence == pytest.approx(0.9)
    assert (watch.last.sequence, watch.last.age_s) == (1, 0.06)


def test_a_zone_counts_only_its_own_classes() -> None:
    door = ZoneConfig(name="door", polygon=DOOR.polygon, mode="count", classes=["dog"])
    watch = Watch(zones=[door])
    watch.see((0, LEFT), (1, LEFT), for_s=4.0)
    assert watch.last.zones == {"door": {"dog": 1}}
    assert watch.last.counts == {"dog": 1, "person": 1}


def test_at_a_rate_it_tells_each_interval_and_seldom_while_nothing_is_known() -> None:
    watch = Watch(DetectionsConfig(mode="rate", interval_s=0.5, repeat_s=60.0))
    watch.see((0, LEFT), for_s=10.0)
    gaps = np.diff([at_s for at_s, told in watch.told if told.known])
    assert len(gaps) > 10
    assert set(gaps) == {0.5}
    watch.presence.camera(CameraStatus("down"))
    before = len(watch.told)
    for _ in range(600):
        watch.now_s += 0.1
        watch.look(None)
    assert [told.known for _, told in watch.told[before:]] == [False]


def test_it_says_it_again_for_who_came_late() -> None:
    watch = Watch(DetectionsConfig(mode="change", repeat_s=60.0))
    watch.see((0, LEFT), for_s=200.0)
    gaps = np.diff([at_s for at_s, told in watch.told if told.known])
    assert set(gaps) == {60.0}


def test_a_frame_of_a_thousand_objects_is_cut() -> None:
    watch = Watch()
    watch.see(*[(0, LEFT)] * (MAX_BOXES + 50), for_s=4.0)
    assert len(watch.last.boxes) == MAX_BOXES
    assert watch.last.counts == {"person": MAX_BOXES + 50}


def test_classes_that_come_and_go_leave_nothing_behind() -> None:
    one = Presence(CONFIG, [DOOR], Labels())
    one.camera(CameraStatus("streaming"))
    for number in range(500):
        one.look(answer((number, LEFT)), 100.0 + number)
    assert len(one._held) <= 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[detections]\nzones = ["gate"]', "detections.zones: no zone of mode include or count is named 'gate'"),
        ('[detections]\nmode = "on"', "one of change, off, rate"),
        ("[detections]\nhold_s = 0", "detections.hold_s: expected number >= 0.1"),
    ],
)
def test_settings_that_cannot_be_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(text)


def test_an_unknown_class_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"detections\.classes: the model has no class named 'unicorn'"):
        Presence(DetectionsConfig(classes=["unicorn"]), [], LABELS)


steps = st.lists(st.tuples(st.floats(0.01, 1.5), st.integers(0, 3)), min_size=1, max_size=80)
holds = st.floats(0.1, 3.0)


@settings(deadline=None)
@given(steps, holds, holds, st.integers(1, 4))
def test_the_three_laws(frames: list[tuple[float, int]], appear_s: float, hold_s: float, min_frames: int) -> None:
    config = DetectionsConfig(mode="change", appear_s=appear_s, hold_s=hold_s, min_frames=min_frames, repeat_s=0.0)
    watch = Watch(config, zones=[])
    seen: list[tuple[float, int]] = []
    before: tuple[float, int] | None = None
    for wait_s, count in frames:
        watch.now_s += wait_s
        told = len(watch.told)
        seen.append((watch.now_s, count))
        watch.look(answer(*[(0, LEFT)] * count))
        if len(watch.told) > told and watch.last.known:
            value = watch.last.counts.get("person", 0)
            assert_was_so(seen, before, value, config)
            before = (watch.now_s, value)
        if watch.told and lasted_and_could_be_told(seen, config, watch.presence.gap_s):
            assert watch.last.known
            assert watch.last.counts.get("person", 0) == count, "a change that lasts is told"
    times = [at_s for at_s, _ in watch.told]
    assert all(later - earlier >= watch.presence.gap_s for earlier, later in pairwise(times))


def assert_was_so(
    seen: list[tuple[float, int]], before: tuple[float, int] | None, value: int, config: DetectionsConfig
) -> None:
    """A rise was there, and a fall was gone, through an unbroken run that ended after the last telling."""
    told_s, old = before or (0.0, 0)
    assert before is None or value != old, "nothing is told twice"
    if value > old:
        assert has_run([(at_s, count >= value) for at_s, count in seen], config.appear_s, config.min_frames, told_s)
    elif value < old:
        assert has_run([(at_s, count <= value) for at_s, count in seen], config.hold_s, config.min_frames, told_s)


def has_run(signs: list[tuple[float, bool]], hold_s: float, min_frames: int, after_s: float) -> bool:
    run: list[float] = []
    for at_s, good in signs:
        run = [*run, at_s] if good else []
        if run and at_s > after_s and at_s - run[0] >= hold_s and len(run) >= min_frames:
            return True
    return False


def lasted_and_could_be_told(seen: list[tuple[float, int]], config: DetectionsConfig, gap_s: float) -> bool:
    run = []
    for at_s, count in reversed(seen):
        if count != seen[-1][1]:
            break
        run.insert(0, at_s)
    warm_s = max(config.appear_s, config.hold_s)
    settled = [at_s for n, at_s in enumerate(run) if at_s - run[0] >= warm_s and n + 1 >= config.min_frames]
    return bool(settled) and run[-1] - settled[0] >= gap_s


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 5))
def test_a_held_count_never_leaves_what_was_seen(counts: list[int], min_frames: int) -> None:
    held = Held(0.3, 0.6, min_frames)
    for frame, count in enumerate(counts):
        changed = held.feed(count, frame * 0.1, frame)
        window = counts[max(0, frame - 8) : frame + 1]
        if changed:
            assert min(window) <= held.value <= max(window)
        if held.is_idle:
            assert count == held.value == 0


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=3, max_size=7),
    st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_zones_here_are_zones_there(corners: list[tuple[int, int]], point: tuple[int, int]) -> None:
    """Counting and filtering must agree on where an object is."""
    polygon = np.array(corners, np.float64) / 8
    spot = np.array([point], np.float32) / 8 + np.float32(0.03)
    expected = bool(filters.contains(polygon, spot)[0])
    assert contains([(x, y) for x, y in polygon.tolist()], float(spot[0, 0]), float(spot[0, 1])) == expected


def test_check_tries_the_classes_against_the_model() -> None:
    text = '[model]\nbundle = "demo:"\n[camera]\nuri = "demo:"\n[detections]\nmode = "change"\nclasses = ["unicorn"]'
    verdicts = {verdict.part: verdict for verdict in check(parse(text), "here")}
    assert "no class named 'unicorn'" in verdicts["model"].text
    assert verdicts["model"].exit_code == 78


def test_the_package_shows_one_name() -> None:
    assert presence.__all__ == ["Presence"]
