"""The detector on streams whose truth is known: silence where nothing changed, the right words where something did."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift import NAMES, Detector, Observation, Reference, Report, State, plan
from agent.drift import report as report_module
from agent.drift.features import LUMA, MEASURED
from agent.drift.state import BETS, fresh
from tests.drift_streams import PER, as_blocks, as_frames, detector, features, identity, learn, learned, planned

Stream = tuple[np.ndarray, np.ndarray]


def judged(judge: Detector, stream: Stream, reference: Reference | None = None) -> list[Report]:
    length = (reference or learned()).block_frames
    return [judge.update(block) for block in as_blocks(*stream, length)]


def judge_of(reference: Reference) -> Detector:
    return Detector(reference, plan(reference, PER), b"0" * 16)


def first(reports: list[Report], standing: str) -> int | None:
    return next((number for number, each in enumerate(reports, 1) if each.standing == standing), None)


def test_the_doctests() -> None:
    assert doctest.testmod(report_module).failed == 0


def test_where_nothing_changed_alarms_are_no_more_frequent_than_asked_for() -> None:
    """One in 20,000 frames was asked for; in 60,000 there are at most three. Neighbours are alike: 0.9 of a frame."""
    judge, raised, before = detector(), 0, "normal"
    for report in judged(judge, features(101, 60_000)):
        raised += report.standing == "alarm" and before != "alarm"
        before = report.standing
    assert judge.state.blocks == 60_000 // learned().block_frames
    assert raised <= 3


@pytest.mark.parametrize(
    ("name", "by", "word", "family"),
    [
        ("luma_median", -3.0, "darker", "picture"),
        ("luma_median", 3.0, "brighter", "picture"),
        ("sharpness", -3.0, "blurred", "picture"),
        ("objects", -3.0, "fewer objects", "answers"),
        ("invoke_slowest_s", 4.0, "slower at worst", "speed"),
        ("saturated_high", 3.0, "more cut off above", "quantization"),
    ],
)
def test_what_moved_is_named(name: str, by: float, word: str, family: str) -> None:
    """One feature of 26 moved by three of its spreads: found within some 40 blocks, and called by its name."""
    judge = detector()
    judged(judge, features(21, 4000))
    reports = judged(judge, features(22, 800, {name: by}))
    alarm = first(reports, "alarm")
    assert alarm is not None
    told = reports[alarm - 1]
    assert (told.evidence[0].name, told.evidence[0].word, told.evidence[0].family) == (name, word, family)
    assert told.sentence.startswith(f"{word}: {name} ")
    assert told.e_value >= told.threshold
    assert 1 <= told.since_blocks <= alarm + 3
    assert np.sign(told.evidence[0].spreads) == np.sign(by)


def test_the_evidence_says_from_what_to_what_and_since_when() -> None:
    judge = detector()
    judged(judge, features(23, 4000))
    spread = 4 * MEASURED[LUMA].grain
    told = judged(judge, features(24, 400, {"luma_median": -8.0}))[-1].evidence[0]
    assert told.before == pytest.approx(118.0, abs=1.5)
    assert told.now == pytest.approx(118.0 - 8 * spread, abs=0.7 * spread)
    assert 400 // 8 - 2 <= told.blocks <= 400 // 8 + 3


def test_what_moved_farthest_is_told_first() -> None:
    judge = detector()
    told = judged(judge, features(45, 800, {"noise": 6.0, "luma_median": -12.0, "sharpness": -9.0}))[-1].evidence
    assert [each.name for each in told] == ["luma_median", "sharpness", "noise"]


def test_blocks_that_do_not_show_a_feature_do_not_count_for_it() -> None:
    """As with codes, which are counted once in a while."""
    values, profiles = features(46, 1600, {"utilisation": 9.0})
    values[np.arange(1600) // 8 % 4 != 0, NAMES.index("utilisation")] = np.nan
    told = judged(detector(), (values, profiles))[-1].evidence[0]
    spread = 4 * MEASURED[NAMES.index("utilisation")].grain
    assert told.name == "utilisation"
    assert told.now == pytest.approx(1.0 + 9.0 * spread, abs=spread)
    assert told.blocks <= 1600 / 8 / 4 + 2


@settings(deadline=None, max_examples=8)
@given(st.floats(2.0, 5.0), st.floats(0.0, 20.0))
def test_more_drift_is_found_no_later(shift: float, more: float) -> None:
    small, large = (
        first(judged(detector(), features(25, 1200, {"noise": by})), "alarm") for by in (shift, shift + more)
    )
    if small is not None:
        assert large is not None
        assert large <= small + 1  # the other side's bets pay a little less


def test_of_a_small_drift_there_is_a_warning_first() -> None:
    reports = judged(detector(), features(26, 2400, {"luma_median": -1.0}))
    warned, alarmed = first(reports, "warning"), first(reports, "alarm")
    assert warned is not None
    assert alarmed is None or warned < alarmed
    assert reports[warned - 1].evidence[0].word == "darker"


def test_an_alarm_ends_when_the_drift_has_and_not_at_the_first_good_block() -> None:
    judge = detector()
    assert judged(judge, features(27, 8000, {"sharpness": -9.0, "noise": 9.0}))[-1].standing == "alarm"
    after = judged(judge, features(28, 4000))
    ended = next(number for number, each in enumerate(after, 1) if each.standing != "alarm")
    assert 10 <= ended <= 40
    assert after[-1].standing == "normal"
    assert after[-1].evidence == ()


def test_features_that_are_missing_are_not_judged_and_hide_nothing() -> None:
    quantization = tuple(feature.name for feature in MEASURED if feature.family == "quantization")
    judge = detector()
    assert first(judged(judge, features(29, 8000, missing=quantization)), "alarm") is None
    assert first(judged(judge, features(30, 800, {"noise": 5.0}, missing=quantization)), "alarm") is not None


def test_what_the_reference_never_saw_is_not_judged() -> None:
    reference = learn(as_frames(*features(31, 6000, missing=("objects",))))
    reports = judged(judge_of(reference), features(32, 4000, {"objects": 50.0}), reference)
    assert {each.standing for each in reports} <= {"normal", "warning"}


def test_a_constant_reference_bears_a_grain_and_notices_more() -> None:
    same = next(as_frames(*features(33, 1)))
    reference = learn([same] * 4000)
    for by, standing in ((0.9, "normal"), (3.0, "alarm")):
        judge = judge_of(reference)
        values = same.values.copy()
        values[LUMA] += by * MEASURED[LUMA].grain
        block = Observation(values, same.profile, same.width, same.height, reference.block_frames)
        assert [judge.update(block).standing for _ in range(200)][-1] == standing


def nothing_seen(frames_of_a_block: int) -> Observation:
    shape = next(as_frames(*features(1, 1)))
    blank = [np.full(each.shape, np.nan, np.float32) for each in (shape.values, shape.profile)]
    return Observation(*blank, shape.width, shape.height, frames_of_a_block)


def test_a_block_in_which_nothing_was_seen_is_no_news() -> None:
    judge = detector()
    judged(judge, features(34, 800))
    before = judge.state
    report = judge.update(nothing_seen(learned().block_frames))
    assert report.standing == "blind"
    assert judge.state is before


def test_nonsense_values_are_not_seen() -> None:
    judge = detector()
    block = nothing_seen(learned().block_frames)
    block.values[:] = np.inf
    block.profile[:] = -np.inf
    assert judge.update(block).standing == "blind"


def test_frames_of_another_size_are_refused_in_a_sentence_and_are_no_drift() -> None:
    judge = detector()
    block = replace(next(as_blocks(*features(35, 8), 8)), width=320, height=240)
    report = judge.update(block)
    assert report.standing == "other-size"
    assert report.sentence == "frames of 320 x 240 cannot be compared with a reference of 64 x 48: relearn"
    assert judge.state.blocks == 0


def test_a_block_of_another_length_is_a_bug() -> None:
    with pytest.raises(ValueError, match="a block of 3 frames; 8 are wanted"):
        detector().update(replace(next(as_blocks(*features(35, 8), 8)), frames=3))


def test_a_reference_that_has_seen_too_little_never_alarms_and_says_why() -> None:
    reference = learn(as_frames(*features(36, 1500, memory=0.99)))
    reports = judged(judge_of(reference), features(37, 2000, {"noise": 9.0}), reference)
    assert {each.standing for each in reports} == {"seen-too-little"}
    assert "the reference has seen too little of this light: " in reports[0].sentence


def day_and_night(seed: int, count: int, dwell: int = 1200) -> Stream:
    values, profiles = features(seed, count)
    values[:, LUMA] -= 100.0 * (np.arange(count) // dwell % 2)
    return values, profiles


def test_a_night_that_was_learned_is_no_drift_and_one_that_was_not_is() -> None:
    reference = learn(as_frames(*day_and_night(38, 16_000)))
    reports = judged(judge_of(reference), day_and_night(40, 12_000), reference)
    assert {each.condition for each in reports} == {0, 1}
    assert first(reports, "alarm") is None
    assert first(judged(detector(), day_and_night(40, 2400)), "alarm") is not None


def test_the_state_goes_on_where_it_stood() -> None:
    stream = list(as_blocks(*features(40, 1600, {"noise": 1.5}), learned().block_frames))
    whole, before = detector(), detector()
    expected = [whole.update(block) for block in stream]
    told = [before.update(block) for block in stream[:60]]
    kept = State.from_bytes(before.state.to_bytes())
    after = Detector(learned(), planned(), identity(), kept)
    told += [after.update(block) for block in stream[60:]]
    assert told == expected


def test_the_state_of_another_reference_is_not_gone_on_with() -> None:
    judge = detector()
    judged(judge, features(41, 800, {"noise": 9.0}))
    other = Detector(learned(), planned(), b"x" * 16, judge.state)
    assert other.state.blocks == 0
    assert other.e_value == 0.0


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(-1, 10**6), st.booleans(), st.integers(0, 1000))
def test_a_state_comes_back_as_it_was(blocks: int, at: int, warned: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    level, total, climb, sums = rng.exponential(1e6, (4, BETS))
    since = np.floor(rng.uniform(0, blocks + 1, BETS))
    state = State(
        b"r" * 16, blocks, min(at, blocks), 3, min(at, blocks) if warned else -1, level, total, since, -sums, climb
    )
    again = State.from_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()
    assert (again.blocks, again.alarmed_at, again.warned_at) == (state.blocks, state.alarmed_at, state.warned_at)


def test_a_damaged_state_is_refused() -> None:
    data = fresh(b"r" * 16).to_bytes()
    for broken in (b"", data[:-1], data + b"x", b"x" * len(data), data[:7] + b"\x09" + data[8:]):
        with pytest.raises(ValueError, match="no state of a drift detector"):
            State.from_bytes(broken)
    for place in (8, 100, len(data) - 1):
        flipped = bytearray(data)
        flipped[place] ^= 1
        with pytest.raises(ValueError, match="checksum"):
            State.from_bytes(bytes(flipped))


@pytest.mark.parametrize(
    ("name", "value"),
    [("level", np.nan), ("level", -1.0), ("level", 1e40), ("since", 5.0), ("cusum", np.inf), ("climb", -1.0)],
)
def test_a_state_that_cannot_be_is_refused(name: str, value: float) -> None:
    array = np.zeros(BETS)
    array[3] = value
    with pytest.raises(ValueError, match=r"no number|out of range|has not been"):
        replace(fresh(b"r" * 16), **{name: array})


def test_the_plan_states_what_the_replay_gave() -> None:
    found = planned()
    assert found.threshold >= PER / learned().block_frames
    assert found.holds
    assert found.replayed_frames >= 7 * PER
    assert found.replayed_alarms <= found.replayed_frames / PER
    assert plan(learned(), PER) == found


def test_rarer_alarms_need_more_evidence() -> None:
    thresholds = [plan(learned(), per).threshold for per in (2_000, 20_000, 2_000_000, 200_000_000)]
    assert thresholds == sorted(set(thresholds))


def test_bets_that_would_have_won_by_the_reference_itself_raise_the_threshold() -> None:
    """A feature that stays where it is for long, then jumps: neighbours are no evidence, and the replay shows it."""
    reference = learned()
    stuck = reference.conditions[0].blocks.copy()
    stuck[:, :21] = np.repeat(np.random.default_rng(1).normal(0, 50, (len(stuck) // 10, 21)), 10, axis=0)
    held = replace(reference, conditions=(replace(reference.conditions[0], blocks=stuck),))
    assert plan(held, 200_000).threshold > plan(reference, 200_000).threshold


@pytest.mark.parametrize("per", [0, -5, 3])
def test_a_rate_that_cannot_be_is_refused(per: int) -> None:
    with pytest.raises(ValueError, match="at least one block of 8 is needed"):
        plan(learned(), per)
