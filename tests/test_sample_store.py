"""The kept frames on disk: what is written and what is believed, the bounds, and every way in which a disk is odd."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import StorageError
from agent.sample import Held, Privacy, Reason, age_s, picture, read
from agent.sample.privacy import GREY
from agent.sample.retention import SHARES, first_to_go
from agent.sample.tenure import LIVED_EVERY_S
from tests.sampling import Shop, bounded, found, names, scene, taken
from tests.test_sample_policy import stream

DAY_S = 86_400.0


def test_a_frame_is_a_jpeg_and_a_record_that_says_why(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "samples")
    store = shop.opened()
    name = store.put(taken(7, "evidence", found((0, 0.9), (1, 0.3))))
    assert name.startswith("00000001-")
    assert sorted(path.name for path in shop.folder.iterdir()) == [".lock", f"{name}.jpg", f"{name}.json"]
    kept = read(shop.folder).kept[0]
    record = kept.record
    assert (record.why, record.told, record.sequence) == (["evidence"], ["so it is"], 7)
    assert (record.wall_s, record.lived_s, record.privacy) == (1_800_000_000.0, 0.0, "full")
    assert [(box.label, box.score, box.is_object) for box in record.detections or []] == [
        ("person", 0.9, True),
        ("cat", 0.3, False),
    ]
    assert record.times is not None
    assert record.times.invoke_s == 0.02
    assert (record.origin.bundle, record.origin.boot) == ("parts-1.0.0", "b001")
    data = picture(shop.folder, record)
    assert hashlib.sha256(data).hexdigest() == record.picture_sha256
    assert name.endswith(record.picture_sha256[:8])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - scene(7).astype(int)).mean() < 12
    assert kept.size_bytes == store.size_bytes == len(data) + (shop.folder / f"{name}.json").stat().st_size
    assert store.written_bytes_total == kept.size_bytes


def test_nobody_else_on_the_board_may_read_them(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "samples")
    before = os.umask(0)
    try:
        shop.opened().put(taken())
    finally:
        os.umask(before)
    assert stat.S_IMODE(shop.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in shop.folder.iterdir()} == {0o600}


def test_frames_are_numbered_in_the_order_taken_over_every_start(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    put = []
    for start in range(3):
        store = shop.opened()
        put += [store.put(taken(10 * start + number)) for number in range(2)]
        store.close()
        shop.wall_s = 100.0  # the clock falls back
    assert put == sorted(put) == names(tmp_path)
    assert [name[:8] for name in put] == [f"{number:08d}" for number in range(1, 7)]
    for path in tmp_path.glob("0000000[1-4]-*"):
        path.unlink()
    assert shop.opened().put(taken(99)).startswith("00000007-"), "what is gone leaves its number"


def test_off_writes_nothing_at_all(tmp_path: Path) -> None:
    shop = Shop(tmp_path, privacy=Privacy("off"))
    store = shop.opened()
    assert store.put(taken()) == ""
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_statistics_are_a_record_without_a_picture(tmp_path: Path) -> None:
    shop = Shop(tmp_path, privacy=Privacy("statistics"))
    name = shop.opened().put(taken(1, detections=found((0, 0.9))))
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.stem == name) == [".json"]
    record = read(tmp_path).kept[0].record
    assert record.withheld == "sample.privacy is statistics"
    assert record.detections
    assert len(record.features) == 146
    with pytest.raises(StorageError, match=r"there is no picture: sample\.privacy is statistics"):
        picture(tmp_path, record)


def test_what_is_private_is_hidden_before_it_reaches_the_disk(tmp_path: Path) -> None:
    shop = Shop(tmp_path, privacy=Privacy("mask", frozenset({0}), margin=0.0))
    name = shop.opened().put(taken(1, detections=found((0, 0.9), size=(160, 120))))
    shown = cv2.imread(str(tmp_path / f"{name}.jpg"))
    assert np.abs(shown[16:48, 16:72].astype(int) - GREY).max() <= 6, "but for what JPEG makes of it"
    other = taken(1, detections=found((0, 0.9)))
    other.pixels[10:60, 10:80] = 255 - other.pixels[10:60, 10:80]
    shop.folder = tmp_path / "same"
    assert shop.opened().put(other) == name, "no bit of the file tells who was there"
    shop.folder = tmp_path / "other"
    second = shop.opened().put(taken(2, detections=None))
    assert not (tmp_path / "other" / f"{second}.jpg").exists()
    assert read(tmp_path / "other").kept[0].record.withheld == "no answer: nobody knows what to hide"
    assert read(tmp_path / "other").kept[0].record.detections is None, "no answer stays no answer"


def test_features_that_are_no_numbers_come_back_as_such(tmp_path: Path) -> None:
    vector = np.array([1.5, np.nan, np.inf], np.float32)
    shop = Shop(tmp_path)
    store = shop.opened()
    store.put(taken(1, vector=vector, detections=found((0, float("nan")), (1, 0.7))))
    record = read(tmp_path).kept[0].record
    assert record.features == [1.5, None, None]
    assert [box.label for box in record.detections or []] == ["cat"]
    store.close()
    remembered = shop.store().open()
    assert np.isnan(remembered[0].features[1:]).all()


def test_what_is_kept_is_remembered_for_the_sampler(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    store = shop.opened()
    store.put(taken(1, "evidence"))
    shop.now_s += 60
    store.put(taken(2, "audit"))
    store.close()
    shop.now_s = 5.0  # another boot
    kept = shop.store().open()
    assert [(each.reason, each.age_s) for each in kept] == [("evidence", 60.0), ("audit", 0.0)]
    assert (kept[0].tiles == taken(1).candidate.thumbnail.reshape(9, 4, 16, 4).mean(axis=(1, 3)).round().ravel()).all()
    assert np.allclose(kept[0].features, taken(1).candidate.features, rtol=1e-5)


def test_the_store_never_grows_beyond_its_bytes(tmp_path: Path) -> None:
    shop = bounded(tmp_path, max_bytes=1 << 20)
    store, most = shop.opened(), 0
    for number in range(25):
        store.put(taken(number, size=(640, 480)))
        most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert (1 << 19) < most <= (1 << 20)
    assert store.given_up_total > 5
    assert store.names == names(tmp_path)
    assert store.size_bytes == sum(kept.size_bytes for kept in read(tmp_path).kept)


def test_a_frame_larger_than_the_store_is_refused_and_nothing_goes_for_it(tmp_path: Path) -> None:
    shop = bounded(tmp_path, max_bytes=1 << 20)
    store = shop.opened()
    first = store.put(taken(1))
    noise = np.random.default_rng(1).integers(0, 256, (900, 1200, 3), np.uint8)
    large = dataclasses.replace(taken(2), pixels=noise)
    with pytest.raises(StorageError, match=r"is more than sample\.max_bytes"):
        store.put(large)
    assert names(tmp_path) == [first]


def test_a_smaller_bound_is_kept_from_the_next_start_on(tmp_path: Path) -> None:
    big = bounded(tmp_path, max_bytes=64 << 20)
    store = big.opened()
    for number in range(25):
        store.put(taken(number, size=(640, 480)))
    store.close()
    assert sum(kept.size_bytes for kept in read(tmp_path).kept) > 1 << 20
    bounded(tmp_path, max_bytes=1 << 20).opened()
    assert 0 < sum(kept.size_bytes for kept in read(tmp_path).kept) <= 1 << 20


def test_no_reason_pushes_the_others_out(tmp_path: Path) -> None:
    shop = bounded(tmp_path, max_bytes=1 << 20)
    store = shop.opened()
    few: list[tuple[int, Reason]] = [(1, "audit"), (2, "threshold"), (3, "evidence"), (4, "command")]
    rare = [store.put(taken(number, reason)) for number, reason in few]
    for number in range(10, 40):
        store.put(taken(number, "coverage", size=(640, 480)))
    assert store.given_up_total > 10
    assert set(rare) <= set(names(tmp_path))


reasons = st.sampled_from(get_args(Reason))
held = st.lists(st.tuples(reasons, st.integers(1, 1000), st.booleans()), min_size=1, max_size=30)


@settings(deadline=None)
@given(held)
def test_what_goes_first_is_of_the_fullest_reason_and_stood_for_by_another(
    rows: list[tuple[Reason, int, bool]],
) -> None:
    kept = [Held(f"{number:08d}", reason, size, 0.0, None) for number, (reason, size, _) in enumerate(rows)]
    centres = {one.name for one, (_, _, is_centre) in zip(kept, rows, strict=True) if is_centre}
    gone = first_to_go(kept, centres)
    assert gone is not None
    load = {reason: sum(one.size_bytes for one in kept if one.reason == reason) / SHARES[reason] for reason in SHARES}
    assert load[gone.reason] == max(load.values())
    same = [one for one in kept if one.reason == gone.reason]
    if gone.name in centres:
        assert all(one.name in centres for one in same)
    assert gone.name == min(one.name for one in same if (one.name in centres) == (gone.name in centres))
    assert first_to_go([], centres) is None


def test_rare_conditions_stay_in_a_store_for_sixteen_frames(tmp_path: Path) -> None:
    """Every frame is put, and the store has room for about twenty: those left at the end show all four conditions."""
    frames, conditions = stream(3, 400)
    shop = bounded(tmp_path, max_bytes=120_000, coverage_frames=16)
    store = shop.opened()
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    for each in (one for one in frames if one.sequence % (2 if conditions[one.sequence] else 4) == 0):
        store.put(dataclasses.replace(taken(0), candidate=each, pixels=noise))
    left = {conditions[kept.record.sequence] for kept in read(tmp_path).kept}
    assert 16 < len(names(tmp_path)) <= 24
    assert left == {0, 1, 2, 3}


@settings(deadline=None)
@given(
    st.floats(0, 1e7),
    st.one_of(st.none(), st.floats(0, 4e9)),
    st.floats(0, 1e7),
    st.one_of(st.none(), st.floats(0, 4e9)),
)
def test_no_clock_makes_a_frame_older_than_both_counts_say(
    lived_s: float, wall_s: float | None, ran_s: float, now_s: float | None
) -> None:
    age = age_s(Held("a", "audit", 1, lived_s, wall_s), lived_s + ran_s, now_s)
    known = 0.0 if wall_s is None or now_s is None else now_s - wall_s
    assert age == max(lived_s + ran_s - lived_s, known, 0.0)


def test_a_frame_goes_when_it_is_too_old_by_the_wall_clock(tmp_path: Path) -> None:
    shop = bounded(tmp_path, max_age_s=30 * DAY_S)
    store = shop.opened()
    store.put(taken(1))
    store.close()
    assert shop.wall_s is not None
    shop.wall_s += 31 * DAY_S
    shop.now_s = 1.0  # it lay in a drawer: no agent ran
    assert shop.store().open() == []
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".jpg", ".json"}]


def test_a_frame_goes_when_agents_have_run_for_too_long_since_without_any_wall_clock(tmp_path: Path) -> None:
    shop = bounded(tmp_path, max_age_s=30 * DAY_S)
    shop.wall_s = None
    shop.opened().put(taken(1))
    for day in range(32):  # a board that starts anew each day, and knows no time
        shop.now_s = 50.0
        store = shop.store()
        store.open()
        assert (len(store.names) == 1) == (day <= 30), day
        shop.now_s += DAY_S
        store.close()


@pytest.mark.parametrize("wall_s", [0.0, 5.0, 1_800_000_000.0 - 400 * DAY_S, None])
def test_a_clock_that_steps_back_or_is_lost_removes_nothing(tmp_path: Path, wall_s: float | None) -> None:
    shop = bounded(tmp_path, max_age_s=DAY_S)
    store = shop.opened()
    name = store.put(taken(1))
    shop.wall_s = wall_s
    assert store.expire() == 0
    assert names(tmp_path) == [name]
    shop.now_s += DAY_S + 1
    assert store.expire() == 1, "and the age goes on by the time that the agent runs"


def test_how_long_agents_ran_survives_a_death_but_for_an_hour(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    store = shop.opened()
    for _ in range(10):
        shop.now_s += LIVED_EVERY_S / 4 + 1
        store.expire()
    ran_s = store.lived_s
    assert (tmp_path / ".lived").exists()
    store._tenure.let_go()  # it died without a goodbye
    shop.now_s = 3.0
    after = shop.opened().lived_s
    assert ran_s - LIVED_EVERY_S * 1.25 - 2 <= after <= ran_s


@pytest.mark.parametrize("content", [b"", b"x", b"-5", b"1e999", b'"a"', b"\xff\xfe", b"9" * 100])
def test_a_damaged_note_of_it_costs_precision_only(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".lived").write_bytes(content)
    shop = Shop(tmp_path)
    store = shop.opened()
    assert store.lived_s >= 0.0
    assert store.put(taken(1))


def test_a_card_is_not_worn_by_an_index(tmp_path: Path) -> None:
    """What is written for a frame is the frame, however many there are already."""
    shop = Shop(tmp_path)
    store, wrote = shop.opened(), []
    for number in range(30):
        before = store.written_bytes_total
        store.put(taken(number))
        wrote.append(store.written_bytes_total - before)
        shop.now_s += 60.0
        store.expire()
    sizes = [kept.size_bytes for kept in read(tmp_path).kept]
    assert wrote == sizes
    assert store.written_bytes_total - sum(sizes) < 64, "and a small note an hour"


operations = st.lists(
    st.tuples(st.sampled_from(["put", "wait", "restart", "step", "fill"]), st.integers(0, 2**16)), max_size=30
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
def test_whatever_happens_the_bounds_hold_and_the_list_is_true(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int]]
) -> None:
    shop = bounded(tmp_path_factory.mktemp("samples"), max_bytes=1 << 20, max_age_s=10_000.0, min_free_bytes=1000)
    store = shop.opened()
    for number, (what, value) in enumerate(operations):
        if what == "put":
            reason = get_args(Reason)[value % 5]
            try:
                store.put(taken(number, reason, size=(640, 480) if value % 3 else (160, 120)))
            except StorageError:
                refused_for = shop.free
                assert refused_for == 0, "there was room"
        elif what == "wait":
            shop.now_s += value / 4
            shop.wall_s = shop.wall_s and shop.wall_s + value / 4
            store.expire()
        elif what == "step":
            shop.wall_s = None if value % 2 else float(value) * 30_000
        elif what == "fill":
            shop.free = 0 if value % 2 else 1 << 40
        else:
            lived_s = store.lived_s
            store.close()
            shop.now_s = float(value % 100)
            store = shop.opened()
            assert store.lived_s >= lived_s - 1.0
        shelf = read(shop.folder)
        assert [kept.name for kept in shelf.kept] == store.names
        assert not shelf.damaged
        assert store.size_bytes <= 1 << 20
    store.close()
