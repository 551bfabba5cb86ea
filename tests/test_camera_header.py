"""How many pixels a picture says it has, before any of them is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera import read_picture
from agent.camera.header import MOST_PIXELS, size_of
from agent.errors import CameraError

ODD = np.random.default_rng(3).integers(0, 256, (37, 61, 3)).astype(np.uint8)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("png", []),
        ("bmp", []),
        ("jpg", []),
        ("jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        ("jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
    ],
)
def test_the_size_is_that_of_the_decoded_picture(tmp_path: Path, ending: str, options: list[int]) -> None:
    path = tmp_path / f"odd.{ending}"
    cv2.imwrite(str(path), ODD, options)
    assert size_of(path) == (61, 37)
    assert read_picture(path).shape == ODD.shape


def test_another_format_says_nothing_and_is_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "odd.webp"), ODD)
    assert size_of(tmp_path / "odd.webp") is None
    assert read_picture(tmp_path / "odd.webp").shape == ODD.shape


def test_what_asks_for_too_much_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    small = png(9000, 9000)
    (tmp_path / "bomb.png").write_bytes(small)
    with pytest.raises(CameraError, match=r"bomb\.png: says that it has 9000 x 9000 pixels, 67 million are the most"):
        read_picture(tmp_path / "bomb.png")
    (tmp_path / "edge.png").write_bytes(png(1 << 13, MOST_PIXELS >> 13))
    with pytest.raises(CameraError, match="no picture that can be decoded"):
        read_picture(tmp_path / "edge.png")


def test_what_opencv_refuses_itself_is_no_bug_of_ours(tmp_path: Path) -> None:
    """A format whose first bytes are not read here, with more pixels than OpenCV believes."""
    (tmp_path / "bomb.ppm").write_bytes(b"P6\n60000 60000\n255\n" + b"\0" * 99)
    with pytest.raises(CameraError, match="no picture that can be decoded"):
        read_picture(tmp_path / "bomb.ppm")


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b""]), st.binary(max_size=80))
def test_any_bytes_have_a_size_or_none(tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "picture"
    path.write_bytes(head + rest)
    found = size_of(path)
    assert found is None or min(found) >= 0
