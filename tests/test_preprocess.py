"""From a frame to the model's input: placement, colours, numbers, masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.config import ModelConfig, ZoneConfig
from agent.errors import ModelError
from agent.model import describe
from agent.preprocess import GREY, Preprocessor, look_up_table, normalization
from agent.records import ModelCard, Placement, TensorSpec
from tests.models import Case

FRAMES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
INPUTS = st.tuples(st.integers(1, 640), st.integers(1, 640))
USUAL_INPUTS = st.tuples(st.integers(200, 400), st.integers(200, 400))
"""A sliver of an input leaves float32 too few digits for a thousandth of a pixel."""

MODES = st.sampled_from(["stretch", "letterbox"])


def card(
    height: int = 4,
    width: int = 4,
    channels: int = 3,
    *,
    dtype: str = "uint8",
    scale: float = 1 / 128,
    zero_point: int = 128,
    **more: Any,
) -> ModelCard:
    """The card of a model with this input."""
    spec = TensorSpec("picture", 0, (1, height, width, channels), dtype, scale, zero_point)
    head = TensorSpec("head", 1, (1, 1, 4), "float32")
    return ModelCard(sha256="", size_bytes=0, input=spec, boxes=head, scores=head, **more)


def tensor(pixels: np.ndarray, made: ModelCard, zones: list[ZoneConfig] | None = None, **config: Any) -> np.ndarray:
    return Preprocessor(made, ModelConfig(**config), zones)(pixels)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


class TestPlacement:
    @given(FRAMES, USUAL_INPUTS, MODES, st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=5))
    @settings(max_examples=300, deadline=None)
    def test_the_way_back_undoes_the_way_in(
        self, frame: tuple[int, int], size: tuple[int, int], mode: Any, corners: list[tuple[float, ...]]
    ) -> None:
        placed = Preprocessor(card(*size), ModelConfig(resize=mode)).place(*frame)
        boxes = (np.array(corners) * [frame[1], frame[0], frame[1], frame[0]]).astype(np.float32)
        back = placed.to_frame(placed.to_input(boxes))
        assert back.dtype == np.float32
        assert np.abs(back - boxes).max() <= 1e-3

    @given(FRAMES, INPUTS)
    @settings(max_examples=300, deadline=None)
    def test_letterbox_keeps_the_aspect_within_a_pixel(self, frame: tuple[int, int], size: tuple[int, int]) -> None:
        placed = Preprocessor(card(*size), ModelConfig(resize="letterbox")).place(*frame)
        height, width = placed.height * size[0], placed.width * size[1]
        scale = min(size[0] / frame[0], size[1] / frame[1])
        assert abs(height - max(1.0, frame[0] * scale)) <= 0.5 + 1e-6
        assert abs(width - max(1.0, frame[1] * scale)) <= 0.5 + 1e-6
        assert placed.height == 1.0 or placed.width == 1.0, "it fills one side"
        for start, share, pixels in ((placed.top, placed.height, size[0]), (placed.left, placed.width, size[1])):
            before, behind = start * pixels, (1 - start - share) * pixels
            assert -1e-6 <= before <= behind + 1e-6 <= before + 1 + 1e-5, "the bars are alike, to a pixel"

    @given(FRAMES, INPUTS)
    def test_stretch_fills_the_input(self, frame: tuple[int, int], size: tuple[int, int]) -> None:
        assert Preprocessor(card(*size), ModelConfig()).place(*frame) == Placement(frame[1], frame[0])

    def test_boxes_beyond_the_frame_are_clipped_to_it(self) -> None:
        placed = Preprocessor(card(100, 100), ModelConfig(resize="letterbox")).place(50, 100)
        boxes = np.array([[-1, -1, 2, 2], [0.0, 0.2, 0.25, 0.8], [0.3, 0.2, 0.5, 0.4]], np.float32)
        np.testing.assert_allclose(
            placed.to_frame(boxes), [[0, 0, 100, 50], [20, 0, 80, 0], [20, 5, 40, 25]], atol=1e-4
        )

    @given(
        st.tuples(st.integers(40, 400), st.integers(40, 400)),
        st.tuples(st.integers(40, 200), st.integers(40, 200)),
        MODES,
        st.tuples(st.floats(0.1, 0.6), st.floats(0.1, 0.6)),
    )
    @settings(max_examples=100, deadline=None)
    def test_a_thing_in_the_frame_lies_where_the_placement_says(
        self, frame: tuple[int, int], size: tuple[int, int], mode: Any, corner: tuple[float, float]
    ) -> None:
        height, width = frame
        top, left = int(corner[0] * height), int(corner[1] * width)
        bottom, right = top + int(0.3 * height), left + int(0.3 * width)
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[top:bottom, left:right] = 255
        ready = Preprocessor(card(*size), ModelConfig(resize=mode))
        seen = ready(pixels)[0, :, :, 0] > 191
        assume(seen.any())
        rows, cols = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        found = np.array([rows[0], cols[0], rows[-1] + 1, cols[-1] + 1]) / (size * 2)
        placed = ready.place(height, width)
        said = placed.to_input(np.array([[left, top, right, bottom]], np.float32))[0]
        pixel = np.maximum(1 / np.array(size), np.array([placed.height / height, placed.width / width]))
        assert (np.abs(found - said) <= 1.01 * np.tile(pixel, 2)).all()


class TestPicture:
    @pytest.mark.parametrize("mode", ["stretch", "letterbox"])
    def test_is_new_whole_and_of_the_inputs_shape(self, mode: Any) -> None:
        for size in ((4, 4), (7, 5), (300, 300)):
            pixels = noise(*size)
            kept = pixels.copy()
            ready = Preprocessor(card(4, 4), ModelConfig(resize=mode, color="rgb"))
            one, other = ready(pixels), ready(pixels)
            assert (one.shape, one.dtype, one.flags["C_CONTIGUOUS"]) == ((1, 4, 4, 3), np.uint8, True)
            np.testing.assert_array_equal(one, other)
            assert not np.shares_memory(one, other)
            np.testing.assert_array_equal(pixels, kept, "the camera's picture stays as it is")

    def test_a_view_into_a_larger_picture_will_do(self) -> None:
        whole = noise(20, 20)
        part = whole[3:11, 2:14]
        np.testing.assert_array_equal(tensor(part, card()), tensor(np.ascontiguousarray(part), card()))

    def test_stretch_is_opencvs_linear_resize(self) -> None:
        pixels = noise(11, 23)
        expected = cv2.resize(pixels, (4, 6), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(tensor(pixels, card(6, 4), color="bgr")[0], expected)

    def test_letterbox_bars_are_grey(self) -> None:
        found = tensor(np.zeros((10, 40, 3), np.uint8), card(20, 20), resize="letterbox")[0]
        assert (found[:7] == GREY).all()
        assert (found[7:12] == 0).all()
        assert (found[12:] == GREY).all()

    def test_colours_come_in_the_models_order(self) -> None:
        pixels = np.full((4, 4, 3), (10, 20, 200), np.uint8)
        assert tensor(pixels, card(), color="rgb")[0, 0, 0].tolist() == [200, 20, 10]
        assert tensor(pixels, card(), color="bgr")[0, 0, 0].tolist() == [10, 20, 200]
        grey = tensor(pixels, card(channels=1), color="gray")
        assert grey.shape == (1, 4, 4, 1)
        assert abs(int(grey[0, 0, 0, 0]) - (0.114 * 10 + 0.587 * 20 + 0.299 * 200)) <= 1

    def test_mean_and_std_are_in_the_models_order_too(self) -> None:
        pixels = np.full((4, 4, 3), (10, 20, 200), np.uint8)
        made = card(dtype="float32", scale=0.0, zero_point=0)
        found = tensor(pixels, made, color="rgb", mean=[200.0, 0.0, 0.0], std=[1.0, 2.0, 5.0])
        assert found[0, 0, 0].tolist() == [0.0, 10.0, 2.0]

    @pytest.mark.parametrize(("color", "channels"), [("gray", 3), ("rgb", 1), ("bgr", 1)])
    def test_a_colour_that_does_not_suit_the_channels_is_refused(self, color: Any, channels: int) -> None:
        with pytest.raises(ModelError, match=f'^model.color: "{color}" does not suit an input of {channels} channels'):
            Preprocessor(card(channels=channels), ModelConfig(color=color))


PIXELS = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
"""Every value of a pixel, in every channel."""

MEANS = st.floats(-300, 300)
STDS = st.floats(0.01, 300) | st.floats(-300, -0.01)


class TestNumbers:
    @given(
        st.sampled_from(["uint8", "int8"]),
        st.lists(MEANS, min_size=3, max_size=3) | st.lists(MEANS, min_size=1, max_size=1),
        st.lists(STDS, min_size=3, max_size=3) | st.lists(STDS, min_size=1, max_size=1),
        st.floats(1e-4, 2.0),
        st.integers(-128, 127),
    )
    @settings(max_examples=200, deadline=None)
    def test_of_a_quantized_input_are_those_of_the_formula(
        self, dtype: str, mean: list[float], std: list[float], scale: float, zero: int
    ) -> None:
        zero += 128 if dtype == "uint8" else 0
        made = card(16, 16, dtype=dtype, scale=scale, zero_point=zero)
        found = tensor(PIXELS, made, color="bgr", mean=mean, std=std)[0].astype(np.float64)
        limits = np.iinfo(dtype)
        real = (PIXELS.astype(np.float64) - mean) / std / scale + zero
        expected = np.clip(real, limits.min, limits.max)
        assert np.abs(found - expected).max() <= 0.5 + 1e-6
        assert (found == np.round(found)).all()

    @given(
        st.lists(MEANS, min_size=3, max_size=3) | st.lists(MEANS, min_size=1, max_size=1),
        st.lists(STDS, min_size=3, max_size=3) | st.lists(STDS, min_size=1, max_size=1),
    )
    @settings(deadline=None)
    def test_of_a_float_input_are_those_of_the_formula(self, mean: list[float], std: list[float]) -> None:
        made = card(16, 16, dtype="float32", scale=0.0, zero_point=0)
        found = tensor(PIXELS, made, color="bgr", mean=mean, std=std)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0], (PIXELS.astype(np.float64) - mean) / std, rtol=1e-6, atol=1e-12)

    @given(st.floats(1e-4, 10), st.integers(0, 255))
    def test_an_uint8_input_takes_the_pixels_as_they_are_without_a_table(self, scale: float, zero: int) -> None:
        made = card(16, 16, scale=scale, zero_point=zero)
        assert look_up_table(made.input, normalization(made, ModelConfig())) is None
        np.testing.assert_array_equal(tensor(PIXELS, made, color="bgr")[0], PIXELS)

    @given(st.floats(1e-4, 10), st.integers(-128, 127))
    def test_an_int8_input_takes_them_less_128(self, scale: float, zero: int) -> None:
        made = card(16, 16, dtype="int8", scale=scale, zero_point=zero)
        found = tensor(PIXELS, made, color="bgr")
        assert found.dtype == np.int8
        np.testing.assert_array_equal(found[0].astype(int), PIXELS.astype(int) - 128)

    def test_one_channel(self) -> None:
        pixels = np.repeat(np.arange(0, 256, 16, dtype=np.uint8), 3).reshape(4, 4, 3)
        made = card(channels=1, dtype="float32", scale=0.0, zero_point=0)
        found = tensor(pixels, made, color="gray", mean=[16.0], std=[2.0])
        np.testing.assert_array_equal(found.ravel(), (np.arange(0, 256, 16) - 16) / 2)


FLOAT: dict[str, Any] = {"dtype": "float32", "scale": 0.0, "zero_point": 0}


class TestNormalization:
    def test_a_setting_stands_before_all(self) -> None:
        for made in (card(mean=(1.0,), std=(2.0,)), card(mean=(1.0,), std=(2.0,), **FLOAT)):
            found = normalization(made, ModelConfig(mean=[5.0]))
            assert (found.mean, found.std, found.origin) == ((5.0,), (1.0,), "model.mean and model.std")
            found = normalization(made, ModelConfig(std=[5.0]))
            assert (found.mean, found.std) == ((0.0,), (5.0,))

    def test_a_quantized_input_implies_them(self) -> None:
        found = normalization(card(scale=0.25, zero_point=3, mean=(127.5,), std=(127.5,)), ModelConfig())
        assert (found.mean, found.std, found.origin) == ((3.0,), (4.0,), "the input's scale and zero point")
        found = normalization(card(dtype="int8", scale=0.25, zero_point=-3), ModelConfig())
        assert (found.mean, found.std) == ((125.0,), (4.0,))

    def test_a_float_input_goes_by_the_files_metadata(self) -> None:
        found = normalization(card(mean=(1.0, 2.0, 3.0), std=(4.0,), **FLOAT), ModelConfig())
        assert (found.mean, found.std, found.origin) == ((1.0, 2.0, 3.0), (4.0,), "the model's metadata")

    def test_and_without_a_word_it_is_assumed_and_said(self) -> None:
        found = normalization(card(**FLOAT), ModelConfig())
        assert (found.mean, found.std) == ((127.5,), (127.5,))
        assert found.origin.startswith("assumed: -1 to 1; set model.mean and model.std")

    @pytest.mark.parametrize(
        ("mean", "std", "sentence"),
        [
            ((1.0, 2.0), (1.0,), r"mean \[1.0, 2.0\] does not fit an input of 3 channels \(the model's metadata\)"),
            ((1.0,), (1.0,) * 4, r"std \[1.0, 1.0, 1.0, 1.0\] does not fit an input of 3 channels"),
            ((1.0,), (0.0,), r"mean \[1.0\] and std \[0.0\] are no numbers to divide by \(the model's metadata\)"),
            ((np.nan,), (1.0,), r"mean \[nan\] and std \[1.0\] are no numbers"),
            ((1.0,), (np.inf,), r"mean \[1.0\] and std \[inf\] are no numbers"),
        ],
    )
    def test_metadata_that_cannot_be_is_refused(
        self, mean: tuple[float, ...], std: tuple[float, ...], sentence: str
    ) -> None:
        with pytest.raises(ModelError, match=f"^{sentence}"):
            Preprocessor(card(mean=mean, std=std, **FLOAT), ModelConfig())

    def test_three_numbers_for_one_channel_are_refused(self) -> None:
        with pytest.raises(ModelError, match="does not fit an input of 1 channels"):
            Preprocessor(card(channels=1), ModelConfig(color="gray", mean=[1.0, 2.0, 3.0]))

    def test_of_the_real_models(self, coco: Case, face_mask: Case, rfb320: Case) -> None:
        assert look_up_table(coco.card.input, normalization(coco.card, coco.config)) is None
        for case, lowest, highest in ((face_mask, 0.0, 1.0), (rfb320, -127 / 128, 1.0)):
            table = look_up_table(case.card.input, normalization(case.card, case.config))
            assert table is not None
            assert (table.shape, table.dtype) == ((256, 1, 3), np.float32)
            assert (float(table.min()), float(table.max())) == (np.float32(lowest), np.float32(highest))
        assert describe(rfb320.path).input.shape[0] == -1, "an open batch size does no harm"
        assert tensor(noise(48, 64), rfb320.card).shape == (1, 240, 320, 3)


def zone(*corners: tuple[float, float], mode: Any = "mask") -> ZoneConfig:
    return ZoneConfig(name="z", polygon=list(corners), mode=mode)


class TestMasks:
    SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.5), (0.25, 0.5))

    def test_paint_what_they_cover_and_nothing_else(self) -> None:
        pixels = noise(40, 40)
        plain = tensor(pixels, card(40, 40))[0]
        masked = tensor(pixels, card(40, 40), [zone(*self.SQUARE)])[0]
        assert (masked[11:19, 11:29] == GREY).all()
        outside = np.ones((40, 40), bool)
        outside[10:21, 10:31] = False
        np.testing.assert_array_equal(masked[outside], plain[outside])

    def test_lie_where_the_frame_lies_in_a_letterbox(self) -> None:
        pixels = np.zeros((20, 40, 3), np.uint8)
        masked = tensor(pixels, card(40, 40), [zone((0.5, 0), (1, 0), (1, 0.25), (0.5, 0.25))], resize="letterbox")[0]
        assert (masked[10:15, 21:] == GREY).all()
        assert (masked[10:30, :19] == 0).all()
        assert (masked[17:30] == 0).all()
        upright = tensor(pixels.transpose(1, 0, 2), card(40, 40), [zone((0, 0), (0.25, 0), (0.25, 1), (0, 1))])[0]
        assert (upright[:, :10] == GREY).all()
        assert (upright[:, 12:] == 0).all()

    def test_several_of_them_and_only_those_of_the_mode(self) -> None:
        pixels = np.zeros((40, 40, 3), np.uint8)
        left, right = (zone((x, 0), (x + 0.2, 0), (x + 0.2, 1), (x, 1)) for x in (0.0, 0.8))
        others = [zone((0.4, 0), (0.6, 0), (0.6, 1), mode=mode) for mode in ("include", "exclude")]
        found = tensor(pixels, card(40, 40), [left, *others, right])[0]
        assert (found[:, :8] == GREY).all()
        assert (found[:, 33:] == GREY).all()
        assert (found[:, 10:31] == 0).all()

    def test_leave_the_cameras_picture_alone(self) -> None:
        pixels = noise(4, 4)
        kept = pixels.copy()
        tensor(pixels, card(), [zone((0, 0), (1, 0), (1, 1), (0, 1))], color="bgr")
        np.testing.assert_array_equal(pixels, kept)

    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=6), MODES)
    @settings(deadline=None)
    def test_any_polygon_paints_only_grey(self, corners: list[tuple[float, float]], mode: Any) -> None:
        pixels = np.zeros((30, 50, 3), np.uint8)
        found = tensor(pixels, card(20, 20), [zone(*corners)], resize=mode)
        assert set(np.unique(found)) <= {0, GREY}
