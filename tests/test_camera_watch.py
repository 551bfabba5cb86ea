"""The judgement of the camera's state, fed with sequences; no clock, no camera."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera.watch import RECOVER_S, Fault, Watch


@dataclass
class Script:
    """Plays frames into a watch, ten a second, and notes every change of state."""

    watch: Watch = field(default_factory=lambda: Watch(begin_s=0.0, stall_s=5.0, frozen_s=10.0, black_s=4.0))
    now_s: float = 0.0
    changes: list[tuple[float, str]] = field(default_factory=list)

    def judge(self) -> str:
        state = self.watch.judge(self.now_s).state
        if not self.changes or self.changes[-1][1] != state:
            self.changes.append((round(self.now_s, 1), state))
        return state

    def frames(self, seconds: float, *, same: bool = False, dark: bool = False) -> str:
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            self.watch.frame(self.now_s)
            self.watch.look(self.now_s, same=same, dark=dark)
            self.judge()
        return self.judge()

    def silence(self, seconds: float) -> str:
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            self.judge()
        return self.judge()


def test_the_first_frame_makes_it_streaming() -> None:
    script = Script()
    assert script.judge() == "starting"
    assert script.frames(0.1) == "streaming"


def test_no_frame_at_all_is_a_stall() -> None:
    script = Script()
    assert script.silence(4.9) == "starting"
    assert script.silence(0.2) == "stalled"


def test_a_stall_begins_after_stall_s_and_ends_after_a_second_of_frames() -> None:
    script = Script()
    script.frames(2.0)
    assert script.silence(4.9) == "streaming"
    assert script.silence(0.2) == "stalled"
    script.silence(20.0)
    script.frames(3.0)
    assert [state for _, state in script.changes] == ["streaming", "stalled", "streaming"]
    assert script.changes[-1][0] == pytest.approx(27.1 + 0.1 + RECOVER_S, abs=0.11)


def test_one_frame_now_and_then_is_one_long_stall() -> None:
    script = Script()
    script.frames(1.0)
    for _ in range(10):
        script.silence(6.0)
        script.frames(0.1)
    assert [state for _, state in script.changes] == ["streaming", "stalled"]


def test_a_frozen_picture() -> None:
    script = Script()
    script.frames(3.0)
    assert script.frames(9.9, same=True) == "streaming"
    assert script.frames(0.2, same=True) == "frozen"
    assert "did not change" in script.watch.judge(script.now_s).reason
    assert script.frames(0.5) == "frozen", "half a second of change is no recovery yet"
    assert script.frames(1.0) == "streaming"


def test_a_picture_that_changes_once_in_a_while_is_frozen_all_the_while() -> None:
    script = Script()
    script.frames(1.0)
    for _ in range(8):
        script.frames(11.0, same=True)
        script.frames(0.1)
    assert [state for _, state in script.changes] == ["streaming", "frozen"]


def test_repeated_pictures_are_not_frozen() -> None:
    script = Script()
    for _ in range(50):
        script.frames(0.9, same=True)
        script.frames(0.1)
    assert [state for _, state in script.changes] == ["streaming"]


def test_a_black_picture_is_told_as_black_though_it_is_frozen_too() -> None:
    script = Script()
    script.frames(1.0)
    assert script.frames(3.9, same=True, dark=True) == "streaming"
    assert script.frames(0.2, same=True, dark=True) == "black"
    assert script.frames(20.0, same=True, dark=True) == "black"
    script.frames(3.0)
    assert [state for _, state in script.changes] == ["streaming", "black", "streaming"]


def test_a_flash_of_light_does_not_end_the_dark() -> None:
    script = Script()
    script.frames(6.0, dark=True)
    for _ in range(5):
        script.frames(0.5)
        script.frames(5.0, dark=True)
    assert [state for _, state in script.changes] == ["streaming", "black"]


def test_slow_bright_frames_are_never_black() -> None:
    watch = Watch(begin_s=0.0, stall_s=60.0, frozen_s=10.0, black_s=4.0)
    for number in range(20):
        watch.frame(30.0 * number)
        watch.look(30.0 * number, same=False, dark=False)
        assert watch.judge(30.0 * number + 29.0).state == "streaming"


def test_lost_is_down_at_once_and_until_frames_have_come_for_a_second() -> None:
    script = Script()
    script.frames(2.0)
    script.watch.lost("cam: nothing listens")
    verdict = script.watch.judge(script.now_s)
    assert (verdict.state, verdict.reason) == ("down", "cam: nothing listens")
    assert script.silence(60.0) == "down", "a lost camera is down, not stalled"
    assert script.frames(0.9) == "down"
    assert script.frames(0.3) == "streaming"


def test_a_camera_that_comes_for_a_moment_and_goes_is_one_fault() -> None:
    script = Script()
    script.frames(2.0)
    for _ in range(10):
        script.watch.lost("cut")
        script.silence(3.0)
        script.frames(0.5)
    assert [state for _, state in script.changes] == ["streaming", "down"]


def test_the_newest_reason_is_shown() -> None:
    script = Script()
    script.watch.lost("cut")
    script.watch.lost("refused")
    assert script.watch.judge(1.0).reason == "refused"


def test_dark_first_pictures_after_an_outage_are_not_black() -> None:
    script = Script()
    script.frames(2.0)
    script.watch.lost("unplugged")
    script.silence(60.0)
    script.frames(0.5, dark=True)
    script.frames(3.0)
    assert [state for _, state in script.changes] == ["streaming", "down", "streaming"]


def test_the_same_picture_before_and_after_an_outage_is_not_frozen() -> None:
    script = Script()
    script.frames(2.0)
    script.watch.lost("unplugged")
    script.silence(60.0)
    script.frames(1.5, same=True)
    script.frames(3.0)
    assert [state for _, state in script.changes] == ["streaming", "down", "streaming"]


def test_zero_switches_frozen_and_black_off() -> None:
    script = Script(Watch(begin_s=0.0, stall_s=5.0, frozen_s=0.0, black_s=0.0))
    assert script.frames(60.0, same=True, dark=True) == "streaming"


def test_the_end_of_a_file_is_no_stall() -> None:
    script = Script()
    script.frames(1.0)
    script.watch.end()
    assert script.silence(60.0) == "ended"
    assert script.watch.left_s(script.now_s) == float("inf")


def test_it_says_when_silence_will_become_a_stall() -> None:
    watch = Watch(begin_s=0.0, stall_s=5.0, frozen_s=10.0, black_s=4.0)
    watch.frame(2.0)
    assert watch.left_s(3.0) == 4.0
    assert watch.judge(7.0).state == "stalled"
    assert watch.left_s(7.0) == float("inf")


EVENTS = st.lists(
    st.tuples(st.sampled_from(["frame", "same", "dark", "lost", "silence"]), st.floats(0.01, 8.0)), max_size=80
)


@given(EVENTS)
def test_laws(events: list[tuple[str, float]]) -> None:
    watch, now_s, last_frame_s = Watch(begin_s=0.0, stall_s=5.0, frozen_s=10.0, black_s=4.0), 0.0, 0.0
    lost = False
    for event, step_s in events:
        before = watch.judge(now_s)
        assert watch.judge(now_s) == before, "asking changes nothing"
        now_s += step_s
        gap_s = now_s - last_frame_s
        if event in ("frame", "same", "dark"):
            watch.frame(now_s)
            watch.look(now_s, same=event == "same", dark=event == "dark")
            last_frame_s = now_s
        elif event == "lost":
            watch.lost("cut")
            lost = True
        verdict = watch.judge(now_s)
        assert bool(verdict.reason) == (verdict.state not in ("starting", "streaming", "ended"))
        if event == "lost":
            assert verdict.state == "down"
        if verdict.state == "down":
            assert lost
        if event == "silence" and gap_s >= 5.0:
            assert verdict.state in ("stalled", "down")
        if event == "frame" and before.reason and not verdict.reason:
            assert before.state != "starting"
            assert step_s < 5.0 or before.state in ("frozen", "black"), "one frame after a long gap is no recovery"


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 3.0)), min_size=1, max_size=60))
def test_a_fault_is_never_active_before_its_limit(signs: list[tuple[bool, float]]) -> None:
    fault, now_s, last_good_s = Fault(2.0), 0.0, None
    for good, step_s in signs:
        now_s += step_s
        was = fault.active
        (fault.good if good else fault.bad)(now_s)
        if last_good_s is None or good:
            last_good_s = now_s
        if fault.active and not was:
            assert not good
            assert now_s - last_good_s >= 2.0
        if was and not fault.active:
            assert good


def test_other_limits_hold_from_now_on_and_only_what_changed_counts_anew() -> None:
    watch = Watch(begin_s=0.0, stall_s=100.0, frozen_s=10.0, black_s=10.0)
    for second in range(13):
        watch.frame(float(second))
        watch.look(float(second), same=True, dark=True)
    assert watch.judge(12.0).state == "black"
    watch.relimit(frozen_s=10.0, black_s=20.0)
    assert watch.judge(12.0).state == "frozen", "the other fault goes on"
    watch.relimit(frozen_s=0.0, black_s=20.0)
    assert watch.judge(12.0).state == "streaming"
    for second in range(13, 35):
        watch.frame(float(second))
        watch.look(float(second), same=True, dark=True)
        assert (watch.judge(float(second)).state == "black") == (second >= 33)
    watch.relimit(frozen_s=0.0, black_s=0.0)
    assert watch.judge(34.0).state == "streaming"
