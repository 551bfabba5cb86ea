"""The rendered pictures: the same again, true boxes, and each knob doing what it says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from agent.camera.rendered import CLASSES, CONDITIONS, NEW_CLASS, Knobs, Renderer, Sprites, layout
from agent.camera.rendered.layout import LEAST_VISIBLE, PIECE
from agent.camera.rendered.lens import MARGIN, VIEW, Pose, make_lens
from agent.camera.rendered.light import lamps, tint
from agent.records import Pixels

SPRITES = Sprites(2000)
QUIET = Knobs(noise=0.0, shadow=0.0)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(7, sprites=SPRITES)


def look(renderer: Renderer, knobs: Knobs = QUIET, index: int = 120) -> Pixels:
    return renderer.frame(index, knobs)[0]


def luma(pixels: Pixels) -> float:
    return float(pixels.mean())


def sharpness(pixels: Pixels) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.CV_32F).var())


def test_the_same_again_in_any_order() -> None:
    knobs = Knobs(light=0.6, haze=0.2, occlusion=0.2, torn=0.5, new_class=0.3)
    first, second = Renderer(11), Renderer(11, sprites=SPRITES)
    forward = {index: first.frame(index, knobs) for index in (0, 1, 90, 500)}
    for index in (500, 0, 90, 1):
        pixels, truth = second.frame(index, knobs)
        assert (pixels == forward[index][0]).all()
        assert (truth.xyxy == forward[index][1].xyxy).all()
        assert (truth.class_id == forward[index][1].class_id).all()


def test_another_seed_is_another_scene(renderer: Renderer) -> None:
    assert (look(Renderer(8, sprites=SPRITES)) != look(renderer)).mean() > 0.5


def test_neighbours_differ_and_parts_move_with_the_belt(renderer: Renderer) -> None:
    _, now = renderer.frame(300, QUIET)
    _, then = renderer.frame(303, QUIET)
    inside = (now.xyxy[:, 0] > 40) & (now.xyxy[:, 2] < 600)
    moved = 0
    for box, class_id in zip(now.xyxy[inside], now.class_id[inside], strict=True):
        near = np.abs(then.xyxy[:, 1] - box[1]) + np.abs(then.xyxy[:, 0] - (box[0] - 12)) < 6
        moved += bool((near & (then.class_id == class_id)).any())
    assert moved == int(inside.sum()) > 3


def test_boxes_are_tight_around_what_is_seen() -> None:
    """Against masks that took the pixels' way through the lens, where boxes take the points' way."""
    renderer = Renderer(21, sprites=SPRITES)
    checked = 0
    for index, knobs in ((0, QUIET), (240, QUIET), (400, Knobs(shift_x=30, shift_y=-20, turn=8))):
        _, truth = renderer.frame(index, knobs)
        for mask, class_id in _masks(renderer, index, knobs):
            rows, columns = np.nonzero(mask)
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            if edges[0] < 2 or edges[1] < 2 or edges[2] > 638 or edges[3] > 478:
                continue
            gap = np.abs(truth.xyxy - np.array(edges)).max(axis=1)
            assert gap.min() < 1.8, f"class {class_id} at {edges}"
            assert truth.class_id[gap.argmin()] == class_id
            checked += 1
    assert checked > 25


def _masks(renderer: Renderer, index: int, knobs: Knobs) -> list[tuple[Pixels, int]]:
    """Every part's visible pixels in the picture, as the map of the lens carries them."""
    lens = renderer._lens_at(knobs)
    first, start = divmod(4 * index, PIECE)
    pieces = [renderer._piece(number, 0.0, layout.Supply()) for number in range(first, first + 5)]
    found = []
    for place, piece in enumerate(pieces):
        for number, class_id in enumerate(piece.class_id):
            strip = np.zeros((600, 5 * PIECE), np.uint8)
            strip[:, place * PIECE : (place + 1) * PIECE] = 255 * (piece.owner == number)
            seen = strip[:, start : start + VIEW + 2 * MARGIN]
            mask = cv2.remap(seen, lens.map_x, lens.map_y, cv2.INTER_LINEAR) > 127
            if mask.any():
                found.append((mask, int(class_id)))
    return found


def test_parts_that_cover_each_other_can_still_be_told() -> None:
    shares = {}
    for piles in (0.0, 1.0):
        covered = total = 0
        for number in range(25):
            lying, owner = layout._place(layout._picks(3, number, layout.Supply()), piles, SPRITES)
            counts = np.bincount(owner[owner >= 0], minlength=len(lying))
            areas = np.array([part.sprite.mask.sum() for part in lying])
            assert (counts >= LEAST_VISIBLE * areas).all()
            covered += int((counts < areas).sum())
            total += len(lying)
        shares[piles] = covered / total
    assert shares[1.0] > max(0.3, 1.5 * shares[0.0]), "scenes without piles would be too easy"


def test_a_part_that_leaves_is_in_the_truth_until_too_little_is_seen(renderer: Renderer) -> None:
    index, (_, truth) = 120, renderer.frame(120, QUIET)
    inside = (truth.xyxy[:, 0] > 5) & (truth.xyxy[:, 1] > 60) & (truth.xyxy[:, 3] < 420)
    at = int(np.where(inside, truth.xyxy[:, 0], 999).argmin())
    box, class_id, last_width = truth.xyxy[at], truth.class_id[at], 0.0
    for step in range(1, 60):
        _, later = renderer.frame(index + step, QUIET)
        rows = np.abs(later.xyxy[:, [1, 3]] - box[[1, 3]]).max(axis=1)
        near = (rows < 6) & (later.class_id == class_id) & (later.xyxy[:, 0] <= box[0])
        if not near.any():
            break
        last_width = float((later.xyxy[near, 2] - later.xyxy[near, 0]).min())
    assert 0.3 <= last_width / float(box[2] - box[0]) < 0.55


def test_the_lens_bends_corners_inwards() -> None:
    lens = make_lens(640, 480, Pose())
    edge = np.array([[8, 84], [400, 84], [792, 84]], np.float32)
    left, middle, right = lens.project(edge)
    assert left[1] > middle[1] + 2
    assert right[1] > middle[1] + 2
    assert left[0] > 2
    assert right[0] < 637


def test_every_class_occurs_and_no_stranger_unless_asked(renderer: Renderer) -> None:
    seen = {int(number) for index in range(0, 2000, 200) for number in renderer.frame(index, QUIET)[1].class_id}
    assert seen == set(range(len(CLASSES)))


def test_a_pause_empties_the_belt() -> None:
    renderer = Renderer(3)
    usual, fewer, none = (renderer.frame(120, replace(QUIET, parts=share))[1] for share in (1.0, 0.5, 0.0))
    assert len(usual) > len(fewer) > len(none) == 0


def test_new_class_brings_strangers_and_leaves_the_others() -> None:
    renderer = Renderer(7, sprites=SPRITES)
    usual, strange = renderer.frame(120, QUIET)[1], renderer.frame(120, Knobs(noise=0, shadow=0, new_class=1.0))[1]
    assert set(strange.class_id.tolist()) == {NEW_CLASS}
    mixed = renderer.frame(120, Knobs(noise=0, shadow=0, new_class=0.3))[1]
    assert NEW_CLASS in mixed.class_id
    assert len(mixed) > 0.5 * len(usual)


def test_light_scales_the_picture(renderer: Renderer) -> None:
    day, half, dark = (luma(look(renderer, Knobs(noise=0, shadow=0, light=light))) for light in (1.0, 0.5, 0.1))
    assert half == pytest.approx(day / 2, rel=0.06)
    assert dark == pytest.approx(day / 10, rel=0.12)


def test_colour_of_the_light(renderer: Renderer) -> None:
    def redness(kelvin: float) -> float:
        mean = look(renderer, Knobs(noise=0, shadow=0, kelvin=kelvin)).mean(axis=(0, 1))
        return float(mean[2] / mean[0])

    assert redness(2800) > 1.5 * redness(5500) > 2.0 * redness(10000)
    assert tint(5500).tolist() == [1.0, 1.0, 1.0]


def test_a_day_goes_round(renderer: Renderer) -> None:
    knobs = Knobs(noise=0, shadow=0, cycle_s=60.0)
    noon, midnight, noon_again = (luma(renderer.frame(120, knobs, time_s)[0]) for time_s in (0.0, 30.0, 60.0))
    assert midnight == pytest.approx(noon / 10, rel=0.12)
    assert noon_again == noon


@pytest.mark.parametrize("sigma", [0.6, 2.0, 5.0])
def test_blur_is_a_gaussian_of_that_width(renderer: Renderer, sigma: float) -> None:
    sharp, soft = look(renderer), look(renderer, Knobs(noise=0, shadow=0, blur=sigma))
    assert sharpness(soft) < 0.75 * sharpness(sharp)
    ideal = cv2.GaussianBlur(sharp, (0, 0), sigma)
    assert cv2.norm(soft[40:-40, 40:-40], ideal[40:-40, 40:-40], cv2.NORM_L1) / ideal[40:-40, 40:-40].size < 1.5


@pytest.mark.parametrize("sigma", [2.0, 10.0, 25.0])
def test_noise_has_that_strength_and_is_never_twice_the_same(renderer: Renderer, sigma: float) -> None:
    haze = Knobs(noise=0, shadow=0, haze=0.5)
    clean = look(renderer, haze).astype(np.float32)
    noisy = look(renderer, Knobs(noise=sigma, shadow=0, haze=0.5)).astype(np.float32)
    assert float((noisy - clean).std()) == pytest.approx(sigma, rel=0.12)
    assert abs(float((noisy - clean).mean())) < 0.3
    again = look(renderer, Knobs(noise=sigma, shadow=0, haze=0.5), index=121).astype(np.float32)
    still = look(renderer, haze, index=121).astype(np.float32)
    correlation = np.corrcoef((noisy - clean).ravel(), (again - still).ravel())[0, 1]
    assert abs(correlation) < 0.1


def test_gain_turns_darkness_into_noise(renderer: Renderer) -> None:
    def spread(gain: float) -> float:
        dim = Knobs(noise=3.0, shadow=0, light=0.5, haze=0.5, gain=gain)
        clean = look(renderer, Knobs(noise=0, shadow=0, light=0.5, haze=0.5)).astype(np.float32)
        return float((look(renderer, dim).astype(np.float32) - clean).std())

    assert spread(1.0) == pytest.approx(2 * spread(0.0), rel=0.1)


def test_haze_takes_contrast_and_adds_white(renderer: Renderer) -> None:
    clear, veiled = look(renderer), look(renderer, Knobs(noise=0, shadow=0, haze=0.5))
    assert sharpness(veiled) < 0.35 * sharpness(clear)
    assert luma(veiled) > 1.2 * luma(clear)


def test_a_knock_moves_picture_and_boxes_together(renderer: Renderer) -> None:
    _, before = renderer.frame(120, QUIET)
    pixels, after = renderer.frame(120, Knobs(noise=0, shadow=0, shift_x=24, shift_y=-16))
    grey = [cv2.cvtColor(each, cv2.COLOR_BGR2GRAY).astype(np.float32) for each in (look(renderer), pixels)]
    moved, _ = cv2.phaseCorrelate(grey[0], grey[1], cv2.createHanningWindow((640, 480), cv2.CV_32F))
    assert moved == pytest.approx((24, -16), abs=1.5)
    low, high = before.xyxy[:, :2].min(axis=1), before.xyxy[:, 2:] - [560, 400]
    middle = before.xyxy[(low > 80) & (high < 0).all(axis=1)]
    for box in middle:
        assert np.abs(after.xyxy - (box + np.array([24, -16, 24, -16]))).max(axis=1).min() < 3.0
    assert len(middle) > 2


@pytest.mark.parametrize("share", [0.1, 0.35])
def test_occlusion_covers_that_share_and_hides_parts(renderer: Renderer, share: float) -> None:
    clear, truth = renderer.frame(120, QUIET)
    covered, left = renderer.frame(120, Knobs(noise=0, shadow=0, occlusion=share))
    changed = (np.abs(clear.astype(int) - covered.astype(int)).max(axis=2) > 8).mean()
    assert changed == pytest.approx(share, abs=0.08)
    assert len(left) < len(truth)


def test_belt_changes_its_colour_and_nothing_else(renderer: Renderer) -> None:
    dark, dark_truth = renderer.frame(120, QUIET)
    pale, pale_truth = renderer.frame(120, Knobs(noise=0, shadow=0, belt=1.0))
    assert luma(pale) > 1.5 * luma(dark)
    assert pale.mean(axis=(0, 1))[0] > 1.2 * pale.mean(axis=(0, 1))[2]
    assert (dark_truth.xyxy == pale_truth.xyxy).all()


def test_shadows_darken_and_wander(renderer: Renderer) -> None:
    clear, shaded = look(renderer), look(renderer, Knobs(noise=0, shadow=1.0))
    ratio = shaded.astype(np.float32).mean(axis=2) / np.maximum(clear.astype(np.float32).mean(axis=2), 1)
    assert ratio.max() < 1.02
    assert ratio.min() < 0.5
    later = look(renderer, Knobs(noise=0, shadow=1.0), index=220)
    ratio_later = later.astype(np.float32).mean(axis=2) / np.maximum(look(renderer, index=220).mean(axis=2), 1)
    assert np.corrcoef(ratio.ravel(), ratio_later.ravel())[0, 1] < 0.9


def test_a_torn_frame_is_right_above_and_wrong_below(renderer: Renderer) -> None:
    whole, torn = look(renderer), look(renderer, Knobs(noise=0, shadow=0, torn=1.0))
    rows = (whole != torn).any(axis=(1, 2))
    first = int(rows.argmax())
    assert 90 < first < 390
    assert rows[first:].mean() > 0.95
    torn_share = np.mean(
        [(look(renderer, Knobs(noise=0, shadow=0, torn=0.4), i) != look(renderer, QUIET, i)).any() for i in range(60)]
    )
    assert 0.2 < torn_share < 0.6


def test_jpeg_leaves_its_blocks(renderer: Renderer) -> None:
    def blockiness(pixels: Pixels) -> float:
        steps = np.abs(np.diff(pixels.astype(np.float32).mean(axis=2), axis=1)).mean(axis=0)
        return float(steps[7::8].mean() / steps.mean())

    assert blockiness(look(renderer, Knobs(noise=0, shadow=0, jpeg=12))) > 1.3 * blockiness(look(renderer))


def test_black_is_black_and_alive(renderer: Renderer) -> None:
    pixels, truth = renderer.frame(5, Knobs(black=1.0))
    assert np.percentile(pixels, 99) < 16
    assert len(truth) == 0
    assert (pixels != renderer.frame(6, Knobs(black=1.0))[0]).any()


def test_the_conditions_are_told_apart_by_eye(renderer: Renderer) -> None:
    day, dusk, night = (luma(look(renderer, CONDITIONS[name])) for name in ("day", "dusk", "night"))
    assert day > 1.5 * dusk > 3.0 * night > 3.0


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720)])
def test_other_sizes_show_the_same_belt(width: int, height: int) -> None:
    pixels, truth = Renderer(7, width, height, sprites=SPRITES).frame(120, QUIET)
    assert pixels.shape == (height, width, 3)
    usual = Renderer(7, sprites=SPRITES).frame(120, QUIET)[1]
    scale = np.array([width / 640, height / 480] * 2)
    assert truth.xyxy / scale == pytest.approx(usual.xyxy, abs=3.0)
    assert lamps(width, height).shape == (height, width, 1)
