"""Learning, freezing and keeping a reference; and refusing what is none."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drift import Learner, Reference, from_bytes, read_reference, to_bytes, write_reference
from agent.drift.features import FEATURES, LUMA
from agent.drift.learner import MOST_ROWS
from agent.drift.reference import LEAST_INDEPENDENT, Condition
from agent.drift.stored import MOST_BYTES
from agent.errors import ModelError, StorageError
from tests.drift_streams import MODEL, SCHEMA, as_frames, features, learn, learned


def equal(one: Reference, other: Reference) -> bool:
    same = (one.model, one.schema, one.width, one.height, one.block_frames, one.frames, one.edges) == (
        *(other.model, other.schema, other.width, other.height),
        *(other.block_frames, other.frames, other.edges),
    )
    return same and all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        for a, b in zip(one.conditions, other.conditions, strict=True)
        for name in ("blocks", "at", "template", "times", "middle")
    )


def learner(count: int, most_rows: int = MOST_ROWS, luma: tuple[float, ...] = (118.0,), dwell: int = 1000) -> Learner:
    made = Learner(MODEL, SCHEMA, most_rows)
    values, profiles = features(2, count)
    values[:, LUMA] += np.array(luma)[np.arange(count) // dwell % len(luma)] - 118.0
    for seen in as_frames(values, profiles):
        made.add(seen)
    return made


def test_blocks_follow_the_memory_of_the_frames() -> None:
    assert learned().block_frames == 8
    assert learn(as_frames(*features(4, 12_000, memory=0.97))).block_frames == 16


def test_the_coverage_says_what_was_seen() -> None:
    seen = learned().coverage
    assert seen.frames == 12_000
    assert seen.blocks == (1500,)
    assert 12_000 / 19 / 2 < seen.independent[0] < 12_000 / 19 * 2
    assert seen.enough == (True,)
    assert seen.luma[0] == pytest.approx(118.0, abs=3.0)


def test_day_and_night_are_two_conditions() -> None:
    seen = learner(8000, luma=(118.0, 18.0)).freeze()
    assert len(seen.conditions) == 2
    assert 30 < seen.edges[0] < 100
    assert [round(each, -1) for each in seen.coverage.luma] == [20.0, 120.0]


def test_clouds_are_one_condition() -> None:
    assert len(learner(8000, luma=(118.0, 90.0)).freeze().conditions) == 1


def test_memory_is_bounded_and_nothing_is_forgotten() -> None:
    small = learner(6000, most_rows=256)
    reference = small.freeze()
    assert small.frames > 5900
    assert sum(len(each.at) for each in reference.conditions) <= 256
    whole = learner(6000).freeze()
    middles = (float(each.conditions[0].middle[LUMA]) for each in (reference, whole))
    assert next(middles) == pytest.approx(next(middles), abs=2.0)


def test_few_frames_are_no_reference() -> None:
    with pytest.raises(ValueError, match="100 frames are no reference: at least 480 are needed"):
        learner(100).freeze()
    with pytest.raises(ValueError, match="0 frames are no reference"):
        Learner(MODEL, SCHEMA).freeze()


def test_a_reference_that_has_seen_too_little_says_so() -> None:
    seen = learn(as_frames(*features(36, 1500, memory=0.99))).coverage
    assert seen.independent[0] < LEAST_INDEPENDENT
    assert seen.enough == (False,)


def test_another_size_begins_anew() -> None:
    made = learner(2000)
    other = next(as_frames(*features(1, 1)))
    for _ in range(8):
        made.add(replace(other, width=320))
    assert made.frames == 8


def test_learning_goes_on_after_a_freeze() -> None:
    made = learner(2000)
    first = to_bytes(made.freeze())
    for seen in as_frames(*features(9, 2000)):
        made.add(seen)
    assert made.freeze().frames == 4000
    assert from_bytes(first).frames == 2000


def test_the_distance_of_own_blocks_is_to_others() -> None:
    """Five parts with a layout each: to a mean that they are part of they would be nearer than anything else."""
    values, profiles = features(77, 4000)
    parts = np.random.default_rng(7).uniform(50, 200, (5, SCHEMA.profile_size))
    profiles += parts[np.arange(4000) // 800].astype(np.float32) * 10
    column = [each.name for each in FEATURES].index("layout_distance")
    own = learn(as_frames(values, profiles)).conditions[0].blocks[:, column]
    assert float(np.median(own)) > 0.5


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(1, 3), st.integers(0, 1000), st.booleans())
def test_it_comes_back_as_it_was(blocks: int, conditions: int, seed: int, holes: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(conditions, blocks, len(FEATURES))).astype(np.float32)
    if holes:
        rows[rng.uniform(size=rows.shape) < 0.2] = np.nan
    made = tuple(
        Condition(
            each,
            np.arange(blocks, dtype=np.int32) * conditions + number,
            np.full(SCHEMA.profile_size, np.nan, np.float32),
        )
        for number, each in enumerate(rows)
    )
    edges = tuple(sorted(rng.uniform(0, 255, conditions - 1).tolist()))
    reference = Reference("a" * 64, SCHEMA, 640, 480, 16, 20_000, edges, made)
    assert equal(from_bytes(to_bytes(reference)), reference)


def test_a_reference_of_hours_is_small() -> None:
    assert len(to_bytes(learned())) < 130 * 1500


def test_every_cut_and_every_flipped_bit_is_noticed() -> None:
    data = to_bytes(learner(800).freeze())
    for end in (0, 3, 8, 11, 12, 40, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError, match=r"no reference|cut or damaged|version"):
            from_bytes(data[:end])
    for place in (8, 20, len(data) // 2, len(data) - 1):
        broken = bytearray(data)
        broken[place] ^= 4
        with pytest.raises(ValueError, match="cut or damaged"):
            from_bytes(bytes(broken))


def forged(data: bytes, old: bytes, new: bytes, tail: bytes = b"") -> bytes:
    """Damage whose checksum is right: what somebody made on purpose."""
    body = data[8:-4]
    length = struct.unpack_from("<I", body)[0]
    head = body[4 : 4 + length].replace(old, new)
    assert head != body[4 : 4 + length] or tail
    whole = struct.pack("<I", len(head)) + head + body[4 + length :] + tail
    return data[:8] + whole + struct.pack("<I", zlib.crc32(whole))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"frames":800', b'"frames":-1', "without frames"),
        (b'"frames":800', b'"frames":"x"', "frames: expected integer"),
        (b'"blocks":[100]', b'"blocks":[101]', "too early"),
        (b'"blocks":[100]', b'"blocks":[99]', "bytes too many|ascend"),
        (b'"blocks":[100]', b'"blocks":[1000000000]', "blocks of its conditions"),
        (b'"blocks":[100]', b'"blocks":[]', "blocks of its conditions"),
        (b'"classes":3', b'"classes":1000000000', "can be"),
        (b'"edges":[]', b'"edges":[1.0]', "cannot be parted"),
        (b'"model"', b'"modle"', "unknown field"),
        (b"{", b"[", "no JSON"),
    ],
)
def test_a_forged_one_is_refused_in_a_sentence(old: bytes, new: bytes, said: str) -> None:
    data = to_bytes(learner(800).freeze())
    with pytest.raises(ValueError, match=said):
        from_bytes(forged(data, old, new))
    with pytest.raises(ValueError, match="bytes too many"):
        from_bytes(forged(data, b"", b"", b"more"))


def test_another_version_is_named() -> None:
    data = bytearray(to_bytes(learner(800).freeze()))
    data[7] = 9
    with pytest.raises(ValueError, match="it is of version 09, not 01"):
        from_bytes(bytes(data))


def test_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "reference" / "drift"
    assert read_reference(path, MODEL) is None
    write_reference(path, learned())
    kept = read_reference(path, MODEL)
    assert kept is not None
    assert equal(kept, learned())


def test_that_of_another_model_is_refused(tmp_path: Path) -> None:
    write_reference(tmp_path / "drift", learned())
    with pytest.raises(ModelError, match=r"was learned with model '0123456789ab', and 'another' runs; remove it"):
        read_reference(tmp_path / "drift", "another")


@pytest.mark.parametrize("content", [b"", b"DRIFTRF", b"x" * 1000, b"\0" * (MOST_BYTES + 5)])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "drift").write_bytes(content)
    with pytest.raises(ModelError, match=r"no reference of drift: .*; remove it"):
        read_reference(tmp_path / "drift", MODEL)


def test_a_place_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        read_reference(tmp_path, MODEL)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_reference(tmp_path / "file" / "drift", learned())
