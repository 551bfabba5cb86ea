"""New ranges in few bytes, and back; what is damaged or hostile is refused."""

from __future__ import annotations

import base64
import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.packing import Entry, pack, unpack

ENTRIES = st.lists(
    st.none()
    | st.tuples(st.floats(width=32, allow_nan=False, min_value=0.0, allow_infinity=False), st.integers(0, 255)),
    max_size=150,
)


@given(ENTRIES)
def test_what_is_packed_is_unpacked(entries: list[Entry | None]) -> None:
    assert unpack(pack(entries), len(entries)) == entries


@given(st.binary(max_size=60) | st.binary(max_size=60).map(zlib.compress), st.integers(0, 40), st.booleans())
def test_rubbish_is_refused_and_nothing_else_happens(data: bytes, count: int, is_marked: bool) -> None:
    text = ("1:" if is_marked else "") + base64.b85encode(data).decode()
    with contextlib.suppress(ValueError):
        assert len(unpack(text, count)) == count


@given(st.text(max_size=40))
def test_any_text_is_refused_by_value(text: str) -> None:
    for each in (text, f"1:{text}"):
        with contextlib.suppress(ValueError):
            assert len(unpack(each, 3)) == 3


THREE = b"\x03\0\0\0"


def packed(data: bytes) -> str:
    return "1:" + base64.b85encode(data).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1:",
        "2:" + pack([(1.0, 1)] * 3)[2:],
        pack([(1.0, 1)] * 3)[:-5],
        pack([(1.0, 1)] * 2),
        pack([(1.0, 1)] * 4),
        packed(zlib.compress(THREE + b"\x0f" + bytes(20))),
        packed(zlib.compress(THREE + b"\x0b" + bytes(15))),
        packed(zlib.compress(THREE + b"\x07" + bytes(14))),
        packed(zlib.compress(THREE)),
        packed(zlib.compress(THREE + b"\x07" + bytes(15)) + b"more"),
        packed(zlib.compress(THREE + b"\x07" + bytes(15))[:-1]),
        packed(zlib.compress(bytes(10_000_000), 9)),
    ],
)
def test_what_is_not_of_three_groups_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(text, 3)


def test_three_groups_are_read() -> None:
    assert unpack(packed(zlib.compress(THREE + b"\x05" + bytes(10))), 3) == [(0.0, 0), None, (0.0, 0)]
