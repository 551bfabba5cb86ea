"""Every model at hand finds what it is known to find, on every runtime that is installed.

Scores differ by a quantization step between runtimes and processors, hence the tolerance of 0.02.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.model import describe
from tests.models import Case, Street, picture

TOLERANCE = 0.02

COCO_KNOWN = {
    "misc/grace_hopper.bmp": [("person", 0.7188), ("tie", 0.65)],
    "misc/cats_and_dogs.jpg": [("cat", 0.645), ("cat", 0.609), ("cat", 0.563), ("dog", 0.505)],
    "misc/traffic_0001.bmp": [("car", 0.69), ("car", 0.61)],
    "misc/traffic_0002.bmp": [("car", 0.65), ("car", 0.64)],
    "misc/traffic_0003.bmp": [("car", 0.68), ("car", 0.64)],
    "misc/kite_and_cold.jpg": [("person", 0.711), ("kite", 0.688)],
    "misc/pets.jpg": [("dog", 0.809), ("dog", 0.750)],
    "misc/cat_720p.jpg": [("cat", 0.730)],
}


@pytest.fixture(scope="module")
def coco_street(coco: Case, backend: str) -> Street:
    return Street(coco, backend=backend, config=msgspec.structs.replace(coco.config, score_threshold=0.45))


@pytest.mark.parametrize(("name", "known"), COCO_KNOWN.items(), ids=lambda value: str(value)[:30])
def test_coco_ssd(assets: Path, coco_street: Street, name: str, known: list[tuple[str, float]]) -> None:
    said = coco_street.said(picture(assets / "images" / name))
    assert [label for label, _ in said[: len(known)]] == [label for label, _ in known]
    np.testing.assert_allclose(
        [score for _, score in said[: len(known)]], [score for _, score in known], atol=TOLERANCE
    )


def test_coco_ssd_box(assets: Path, coco_street: Street) -> None:
    found = coco_street.detect(picture(assets / "images/misc/grace_hopper.bmp"))
    np.testing.assert_allclose(found.xyxy[0], [4, 30, 505, 592], atol=4)


def test_coco_ssd_sees_nobody_where_nobody_is(assets: Path, coco: Case, backend: str) -> None:
    street = Street(coco, backend=backend)
    assert "person" not in [label for label, _ in street.said(picture(assets / "images/misc/ambianic_background.jpg"))]
    assert "person" in [label for label, _ in street.said(picture(assets / "images/misc/ambianic_person.jpg"))]


class TestFaceMask:
    def test_one_mask(self, assets: Path, face_mask: Case, backend: str) -> None:
        said = Street(face_mask, backend=backend).said(picture(assets / "images/faces/facemask_demo2.jpg"))
        assert said == [("mask", pytest.approx(0.907, abs=0.002))]

    def test_one_face_without(self, assets: Path, face_mask: Case, backend: str) -> None:
        street = Street(face_mask, backend=backend)
        pixels = picture(assets / "images/misc/grace_hopper.bmp")
        assert street.said(pixels) == [("no-mask", pytest.approx(0.999, abs=0.001))]
        np.testing.assert_allclose(street.detect(pixels).xyxy, [[186, 141, 353, 324]], atol=2)

    def test_three_with_and_three_without(self, assets: Path, face_mask: Case, backend: str) -> None:
        said = Street(face_mask, backend=backend).said(picture(assets / "images/faces/lz_mask3.jpg"))
        assert sorted(label for label, _ in said) == ["mask"] * 3 + ["no-mask"] * 3

    def test_the_file_with_a_signature_gives_the_same(self, assets: Path, face_mask: Case, backend: str) -> None:
        """The same weights under other names: tensors are found by what they are."""
        path = assets / "models/face_mask_detection_float_with_signature.tflite"
        signed = replace(face_mask, path=path, card=describe(path))
        for name in ("lz_mask3.jpg", "lz_2.jpg", "facemask_demo2.jpg"):
            pixels = picture(assets / "images/faces" / name)
            ours, theirs = (Street(case, backend=backend).detect(pixels) for case in (face_mask, signed))
            assert ours.class_id.tolist() == theirs.class_id.tolist()
            np.testing.assert_allclose(ours.xyxy, theirs.xyxy, atol=0.1)


class TestRfb320:
    def test_one_face(self, assets: Path, rfb320: Case, backend: str) -> None:
        street = Street(rfb320, backend=backend)
        pixels = picture(assets / "images/misc/grace_hopper.bmp")
        assert street.said(pixels) == [("face", pytest.approx(1.0, abs=0.0005))]
        np.testing.assert_allclose(street.detect(pixels).xyxy, [[172, 138, 356, 351]], atol=2)

    def test_a_face_that_fills_the_picture(self, assets: Path, rfb320: Case, backend: str) -> None:
        """The largest anchors are cut at the picture's height."""
        pixels = picture(assets / "images/misc/grace_hopper.bmp")[95:393, 135:393]
        found = Street(rfb320, backend=backend).detect(pixels)
        assert len(found) == 1
        np.testing.assert_allclose(found.xyxy[0], [18, 40, 241, 250], atol=4)

    @pytest.mark.parametrize(("name", "faces"), [("lz_2.jpg", 4), ("lz_19.jpg", 5)])
    def test_every_face(self, assets: Path, rfb320: Case, backend: str, name: str, faces: int) -> None:
        said = Street(rfb320, backend=backend).said(picture(assets / "images/faces" / name))
        assert [label for label, _ in said] == ["face"] * faces
        assert min(score for _, score in said) > 0.99


def test_letterbox_finds_the_same_things_elsewhere_in_the_input(assets: Path, coco: Case, backend: str) -> None:
    pixels = picture(assets / "images/misc/grace_hopper.bmp")
    config = msgspec.structs.replace(coco.config, resize="letterbox")
    found = Street(coco, backend=backend, config=config).detect(pixels)
    stretched = Street(coco, backend=backend).detect(pixels)
    assert (found.class_id[0], stretched.class_id[0]) == (0, 0)
    np.testing.assert_allclose(found.xyxy[0], stretched.xyxy[0], atol=40)
