"""The light of frames, and the correction that takes a known distortion back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.camera.rendered import DAY, Renderer
from agent.recalibrate.light import LEAST_FRAMES, Fit, Light, fit, look
from agent.records import Correction, Pixels
from agent.records.correction import LIMITS
from tests.models import picture

Distortion = Callable[[Pixels], Pixels]


def rounded(values: np.ndarray) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def sensor(pixels: Pixels, light: float, electrons: float = 4300.0, read: float = 3.0) -> Pixels:
    """Shot noise and read noise of a small sensor at a share of the light, linear, rounded to 8 bits."""
    rng = np.random.default_rng(int(pixels.sum()))
    caught = rng.poisson(pixels * (light * electrons / 255)) + rng.normal(0, read, pixels.shape)
    return rounded(caught * 255 / electrons)


DISTORTIONS: dict[str, tuple[Distortion, Correction]] = {
    "a fifth of the light": (lambda pixels: rounded(pixels * 0.2), Correction(gain=5.0)),
    "a twentieth": (lambda pixels: rounded(pixels * 0.05), Correction(gain=20.0)),
    "a fifth, with noise": (lambda pixels: sensor(pixels, 0.2), Correction(gain=5.0)),
    "a twentieth, with noise": (lambda pixels: sensor(pixels, 0.05), Correction(gain=20.0)),
    "gamma 2": (lambda pixels: rounded(255 * (pixels / 255.0) ** 2), Correction(gamma=0.5)),
    "gamma 0.5": (lambda pixels: rounded(255 * (pixels / 255.0) ** 0.5), Correction(gamma=2.0)),
    "black level 20": (lambda pixels: rounded(pixels + 20.0), Correction(black=20.0)),
    "haze": (lambda pixels: rounded(pixels * 0.5 + 90), Correction(black=90.0, gain=2.0)),
    "over-exposed": (lambda pixels: rounded(pixels * 1.5), Correction(gain=1 / 1.5)),
    "yellow": (lambda pixels: rounded(pixels * [0.6, 0.95, 1.0]), Correction(balance=(1.6667, 1.0526, 1.0))),
}


@pytest.fixture(scope="module")
def photos(assets: Path) -> list[Pixels]:
    return [picture(path) for path in sorted((assets / "images/coco_val2017").glob("*.jpg"))[:12]]


@pytest.fixture(scope="module")
def belt() -> list[Pixels]:
    camera = Renderer(3)
    return [camera.frame(60 * number, replace(DAY, noise=1.0))[0][::2, ::2].copy() for number in range(12)]


def restored(found: Fit, frames: list[Pixels]) -> np.ndarray:
    """Typical levels of the corrected frames."""
    assert found.correction is not None, found.reason
    table = found.correction.table()[:, 0]
    return look([np.stack([table[frame[:, :, c], c] for c in range(3)], axis=-1) for frame in frames]).typical()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_known_distortion_is_taken_back(name: str, belt: list[Pixels]) -> None:
    distort, inverse = DISTORTIONS[name]
    reference = look(belt)
    changed = [distort(frame) for frame in belt]
    found = fit(look(changed), reference)
    assert np.abs(restored(found, changed) - reference.typical()).mean() < (5.0 if "twentieth" in name else 2.0)
    assert not found.limited
    assert found.after < 0.1 * found.before
    seen = np.linspace(*np.quantile(np.concatenate([frame.ravel() for frame in changed]), [0.05, 0.9]), 20)
    ours, known = (np.asarray(each.apply(np.repeat(seen, 3).reshape(-1, 3))) for each in (found.correction, inverse))
    assert np.abs(ours - known).mean() < 6.0, "the numbers themselves are the inverse's, where there are pixels"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a fifth of the light", "a twentieth", "a twentieth, with noise"])
def test_strong_ones_are_seen_on_pictures_that_have_nothing_in_common(name: str, photos: list[Pixels]) -> None:
    changed = [DISTORTIONS[name][0](frame) for frame in photos[::2]]
    found = fit(look(changed), look(photos[1::2]))
    assert found.correction is not None
    assert found.after < 0.35 * found.before


@pytest.mark.parametrize("scene", ["photos", "belt"])
def test_frames_as_they_were_are_left_alone(scene: str, request: pytest.FixtureRequest) -> None:
    frames: list[Pixels] = request.getfixturevalue(scene)
    for now, then in ((frames, frames), (frames[::2], frames[1::2])):
        found = fit(look(now), look(then))
        assert found.correction is None
        assert "within what the scene itself varies" in found.reason


def test_corrected_once_there_is_nothing_left_to_correct(belt: list[Pixels]) -> None:
    reference = look(belt)
    dark = [rounded(frame * 0.3) for frame in belt]
    found = fit(look(dark), reference)
    assert found.correction is not None
    table = found.correction.table()[:, 0, 0]
    assert fit(look([table[frame] for frame in dark]), reference).correction is None


def scenes(seed: int, count: int, light: float = 1.0) -> Light:
    """Frames that have nothing in common: each with a darkest and a brightest part of its own."""
    rng = np.random.default_rng(seed)
    low, reach, bend = (rng.uniform(*ends, (count, 1, 1)) for ends in ((5, 60), (40, 180), (0.5, 2.0)))
    levels = low + reach * ((np.arange(64) + 0.5) / 64) ** bend * np.ones((count, 3, 1))
    return Light((light * levels).astype(np.float32), np.zeros(count, np.float32))


@pytest.mark.parametrize("seed", [0, 7, 12])
def test_the_order_of_frames_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    now, then = scenes(seed, 5, 0.6), scenes(seed + 1000, 5)
    straight = fit(now, then)
    for _ in range(4):
        assert fit(now.some(rng.permutation(5)), then.some(rng.permutation(5))) == straight


@pytest.mark.slow
def test_content_that_differs_is_seldom_taken_for_light() -> None:
    found = [fit(scenes(2 * seed, 10), scenes(2 * seed + 1, 10)).correction for seed in range(40)]
    assert sum(each is not None for each in found) <= 2


@given(
    gain=st.floats(0.5, 8.0),
    gamma=st.floats(0.6, 1.6),
    black=st.floats(0.0, 20.0),
    seed=st.integers(0, 99),
)
@settings(max_examples=10, deadline=None)
def test_levels_made_by_any_numbers_are_found_again(gain: float, gamma: float, black: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    then = np.sort(rng.uniform(20, 220, (8, 3, 64)), axis=2)
    now = black + 255 / gain * (then / 255) ** (1 / gamma)
    assume(now.max() < 245)
    zero = np.zeros(8, np.float32)
    found = fit(Light(now.astype(np.float32), zero), Light(then.astype(np.float32), zero))
    if found.correction is None:
        assert found.before < 0.08 * then.mean() + 4.0
        return
    assert found.after <= found.before
    made = found.correction.apply(np.median(now, axis=0).T).T
    assert np.abs(made - np.median(then, axis=0)).mean() < 6.0


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(4, 8), st.floats(0.5, 40.0))
@settings(max_examples=10, deadline=None)
def test_whatever_the_frames_the_correction_is_within_its_limits(seed: int, count: int, max_noise: float) -> None:
    rng = np.random.default_rng(seed)
    one, other = (
        Light(
            np.sort(rng.uniform(0, 255, (count, 3, 64)) ** rng.uniform(0.1, 1), axis=2).astype(np.float32),
            rng.uniform(0, 5, count).astype(np.float32),
        )
        for _ in range(2)
    )
    found = fit(one, other, max_noise)
    assert found.reason
    if found.correction is not None:
        assert LIMITS["gain"][0] <= found.correction.gain <= LIMITS["gain"][1]
        assert found.after < found.before


class TestFile:
    def test_comes_back_in_a_few_hundred_bytes_a_frame(self, belt: list[Pixels]) -> None:
        light = look(belt)
        data = light.to_bytes()
        assert len(data) == 8 + 386 * len(light)
        back = Light.from_bytes(data)
        assert np.abs(back.levels - light.levels).max() <= 1 / 512
        assert np.abs(back.noise - light.noise).max() <= 1 / 512
        assert back.to_bytes() == data
        assert len(Light.from_bytes(look([]).to_bytes())) == 0

    def test_damage_is_refused(self, belt: list[Pixels]) -> None:
        data = look(belt[:2]).to_bytes()
        turned = data[:8] + data[8:][::-1]
        for bad in (b"", data[:-1], data[1:], data[:8] + b"\xff" * 386, turned, b"x" * len(data)):
            with pytest.raises(ValueError, match="no light of frames"):
                Light.from_bytes(bad)


class TestNoise:
    @pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
    def test_of_the_sensor_is_seen_through_the_picture(self, photos: list[Pixels], sigma: float) -> None:
        rng = np.random.default_rng(1)
        noisy = [rounded(0.4 * frame + 60 + rng.normal(0, sigma, frame.shape)) for frame in photos]
        assert np.median(look(noisy).noise) == pytest.approx(sigma, rel=0.25)

    def test_bounds_the_gain(self, belt: list[Pixels]) -> None:
        rng = np.random.default_rng(1)
        dark = look([rounded(0.1 * frame + rng.normal(0, 3.0, frame.shape)) for frame in belt])
        reference, noise = look(belt), float(np.median(dark.noise))
        gains = []
        for max_noise in (6.0, 12.0, 24.0, 1000.0):
            found = fit(dark, reference, max_noise)
            assert found.correction is not None
            assert found.limited == (max_noise < 1000)
            assert ("noise" in found.reason) == found.limited
            gains.append(found.correction.gain)
            curve = found.correction.curve()
            assert np.diff(curve, axis=0)[5:].max() * noise <= max_noise * 1.02
        assert gains == sorted(gains)
        assert gains[0] < 0.5 * gains[-1]

    def test_is_never_amplified_beyond_its_bound_for_nothing(self, belt: list[Pixels]) -> None:
        dark = look([sensor(frame, 0.05) for frame in belt])
        found = fit(dark, look(belt), max_noise=float(dark.noise.min()) / 2)
        assert found.correction is None
        assert found.limited


class TestNothingToSee:
    @pytest.mark.parametrize("level", [0, 90, 255])
    def test_black_or_covered_frames_give_no_correction_and_say_so(self, belt: list[Pixels], level: int) -> None:
        rng = np.random.default_rng(2)
        covered = [rounded(level + rng.normal(0, 2.0, frame.shape)) for frame in belt]
        found = fit(look(covered), look(belt))
        assert found.correction is None
        assert "black or show one colour" in found.reason

    def test_a_few_black_frames_among_others_do_not_move_it(self, belt: list[Pixels]) -> None:
        dark = [rounded(frame * 0.2) for frame in belt]
        some = fit(look([*dark, *[np.zeros_like(frame) for frame in belt[:5]]]), look(belt))
        assert some == fit(look(dark), look(belt))

    def test_a_few_frames_of_something_else_hardly_move_it(self, belt: list[Pixels]) -> None:
        dark = [rounded(frame * 0.2) for frame in belt]
        dark[3][:] = np.random.default_rng(1).integers(0, 256, dark[3].shape, np.uint8)
        found = fit(look(dark), look(belt))
        assert found.correction is not None
        assert found.correction.gain * np.mean(found.correction.balance) == pytest.approx(5.0, rel=0.05)

    def test_too_few_are_no_evidence(self, belt: list[Pixels]) -> None:
        few, all_of_them = look(belt[: LEAST_FRAMES - 1]), look(belt)
        assert "too few kept frames" in fit(few, all_of_them).reason
        assert "too few frames of the reference" in fit(all_of_them, few).reason
        assert "too few kept frames" in fit(look([]), all_of_them).reason

    @pytest.mark.parametrize("shape", [(31, 90, 3), (90, 31, 3), (40, 40), (40, 40, 4), (0, 0, 3)])
    def test_what_is_no_picture_is_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="is no frame"):
            look([np.zeros(shape, np.uint8)])
        with pytest.raises(ValueError, match="is no frame"):
            look([np.zeros((40, 40, 3), np.float32)])
