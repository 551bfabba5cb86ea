"""A photometric correction as a value: its limits, its table, its way over the wire; and in the input tensor."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.config import ModelConfig, ZoneConfig
from agent.preprocess import GREY, Preprocessor
from agent.records import Correction
from agent.records.correction import LIMITS, MOST_BYTES
from tests.test_preprocess import card, noise

BALANCES = st.floats(*LIMITS["balance"])
CORRECTIONS = st.builds(
    Correction,
    black=st.floats(*LIMITS["black"]),
    gain=st.floats(*LIMITS["gain"]),
    gamma=st.floats(*LIMITS["gamma"]),
    balance=st.tuples(BALANCES, BALANCES, BALANCES),
)

GENTLE = st.tuples(*[st.floats(0.25, 1.1)] * 3)


class TestRecord:
    @given(CORRECTIONS)
    def test_its_table_never_turns_light_and_dark_around(self, correction: Correction) -> None:
        table = correction.table()
        assert (table.shape, table.dtype) == ((256, 1, 3), np.uint8)
        assert (np.diff(table.astype(int), axis=0) >= 0).all()
        assert np.abs(table[:, 0] - correction.curve()).max() <= 0.5

    @given(CORRECTIONS)
    def test_it_comes_back_from_json_in_a_few_bytes(self, correction: Correction) -> None:
        data = correction.to_json()
        assert len(data) <= MOST_BYTES == 300
        assert Correction.from_json(data) == correction

    def test_it_does_what_its_sentence_says(self) -> None:
        found = Correction(black=20, gain=2.0, gamma=0.5, balance=(1.0, 1.5, 0.5)).curve()[100]
        np.testing.assert_allclose(found, 255 * (2.0 * np.array([1.0, 1.5, 0.5]) * 80 / 255).clip(0, 1) ** 0.5)

    def test_neutral_numbers_are_the_identity_and_others_are_not(self) -> None:
        assert Correction().is_identity
        assert Correction(gain=1.0001).is_identity, "no pixel changes"
        changed = (Correction(black=1.0), Correction(gain=1.1), Correction(gamma=0.9), Correction(balance=(1, 1, 1.1)))
        assert not any(correction.is_identity for correction in changed)

    @pytest.mark.parametrize("name", ["black", "gain", "gamma"])
    @pytest.mark.parametrize("value", [-0.01, 1e9, float("nan"), float("inf")])
    def test_a_number_beyond_its_limits_is_refused_by_name(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=rf"^{name} \S+ is not within "):
            Correction(**{name: value})

    @pytest.mark.parametrize("balance", [(1.0, 1.0), (1.0, 1.0, 9.0), (float("nan"), 1.0, 1.0)])
    def test_so_is_a_balance(self, balance: Any) -> None:
        with pytest.raises(ValueError, match=r"^balance "):
            Correction(balance=balance)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"null",
            b"[]",
            b"\xff\xfe",
            b'{"gain": 2.0',
            b'{"gain": "2"}',
            b'{"gain": true}',
            b'{"gain": NaN}',
            b'{"gain": 1e999}',
            b'{"gain": 41}',
            b'{"balance": [1, 1]}',
            b'{"balance": 1}',
            b'{"gains": 2.0}',
            b'{"gain": 2.0, "black": 0' + b" " * MOST_BYTES + b"}",
        ],
    )
    def test_what_is_no_correction_is_refused(self, data: bytes) -> None:
        with pytest.raises(ValueError, match=r"correction|is not within"):
            Correction.from_json(data)


class TestInTheTensor:
    @given(CORRECTIONS, st.sampled_from(["rgb", "bgr"]), st.integers(0, 9))
    @settings(max_examples=50, deadline=None)
    def test_it_is_as_if_the_picture_had_been_so(self, correction: Correction, color: Any, seed: int) -> None:
        pixels = noise(8, 8, seed)
        ready = Preprocessor(card(8, 8), ModelConfig(color=color))
        ready.correct(correction)
        plain = Preprocessor(card(8, 8), ModelConfig(color=color))
        np.testing.assert_array_equal(ready(pixels), plain(cv2.LUT(pixels, correction.table())))

    @given(st.builds(Correction, gain=st.floats(0.1, 1.2), gamma=st.floats(1.0, 1.5), balance=GENTLE))
    @settings(max_examples=50, deadline=None)
    def test_with_the_models_numbers_it_is_one_table_rounded_once(self, correction: Correction) -> None:
        assume(not correction.is_identity)
        pixels = noise(8, 8)
        config = ModelConfig(color="rgb", mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0])
        made = card(8, 8, dtype="int8", scale=0.02, zero_point=-3)
        ready = Preprocessor(made, config)
        ready.correct(correction)
        curve = correction.curve()
        real = np.stack([curve[pixels[:, :, channel], channel] for channel in (2, 1, 0)], axis=-1)
        expected = np.clip((real - config.mean) / config.std / 0.02 - 3, -128, 127)
        assert np.abs(ready(pixels)[0] - expected).max() <= 0.5 + 1e-6

    @pytest.mark.parametrize("gain", [1.5, 20.0])
    @pytest.mark.parametrize("resize", ["stretch", "letterbox"])
    def test_masks_and_bars_stay_grey(self, resize: Any, gain: float) -> None:
        zone = ZoneConfig(name="wall", polygon=[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)], mode="mask")
        ready = Preprocessor(card(40, 40), ModelConfig(resize=resize), [zone])
        ready.correct(Correction(gain=gain))
        found = ready(np.full((20, 40, 3), 6, np.uint8))[0]
        seen = round(6 * gain)
        assert (found[20, :18] == GREY).all()
        assert (found[20, 22:] == seen).all()
        assert (found[2, 22:] == (seen if resize == "stretch" else GREY)).all()

    def test_one_grey_channel_is_made_of_corrected_colours(self) -> None:
        ready = Preprocessor(card(8, 8, channels=1), ModelConfig(color="gray"))
        ready.correct(Correction(balance=(0.5, 1.0, 2.0)))
        pixels = np.full((8, 8, 3), (40, 80, 60), np.uint8)
        assert abs(int(ready(pixels)[0, 0, 0, 0]) - (0.114 * 20 + 0.587 * 80 + 0.299 * 120)) <= 1

    def test_a_steep_one_comes_before_the_resize_which_rounds(self) -> None:
        pixels = np.full((16, 16, 3), 10, np.uint8)
        pixels[:, ::2] = 11
        ready = Preprocessor(card(8, 8), ModelConfig())
        ready.correct(Correction(gain=10.0))
        assert abs(int(ready(pixels)[0, 4, 4, 0]) - 105) <= 1, "half way between 100 and 110"

    def test_none_and_the_identity_give_the_picture_back(self) -> None:
        pixels = noise(8, 8)
        ready = Preprocessor(card(8, 8), ModelConfig())
        plain = ready(pixels)
        for correction in (Correction(gain=3.0), Correction(), Correction(gain=3.0), None):
            ready.correct(correction)
            assert ready.correction is correction
        np.testing.assert_array_equal(ready(pixels), plain)
        ready.correct(Correction())
        np.testing.assert_array_equal(ready(pixels), plain)

    def test_no_frame_is_made_of_two_corrections(self) -> None:
        ready = Preprocessor(card(64, 64), ModelConfig(resize="letterbox"), None)
        pixels, stop = np.full((64, 64, 3), 10, np.uint8), threading.Event()
        turns = (Correction(gain=2.0), Correction(gain=5.0), None)

        def turn() -> None:
            while not stop.is_set():
                for correction in turns:
                    ready.correct(correction)

        turner = threading.Thread(target=turn, daemon=True)
        turner.start()
        seen = [np.unique(ready(pixels)).tolist() for _ in range(2000)]
        stop.set()
        turner.join()
        assert all(values in ([10], [20], [50]) for values in seen)
