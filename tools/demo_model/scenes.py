"""Rendered scenes for training, calibration and judgement. Fixed seeds, so that each set is always the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from agent.camera.rendered import DAY, Knobs, Renderer, Sprites
from agent.records import Detections, Pixels
from tools.demo_model import spec

STRIDE = 200
"""Frames between two scenes: 800 pixels of belt, so that no part is in two of them."""

SCENES_A_SEED = 50
"""Scenes of one belt; the next ones come from another seed."""


def around_day(rng: np.random.Generator) -> Knobs:
    """Domain randomization: a working day with its clouds, not dusk, not a dirty lens."""
    return Knobs(
        light=float(rng.uniform(0.75, 1.35)),
        kelvin=float(round(rng.uniform(4600, 6800), -2)),
        blur=float(rng.uniform(0.3, 1.1)) if rng.uniform() < 0.3 else 0.0,
        noise=float(round(rng.uniform(1, 5), 1)),
        haze=float(round(rng.uniform(0, 0.12), 2)) if rng.uniform() < 0.3 else 0.0,
        shift_x=float(round(rng.uniform(-14, 14))),
        shift_y=float(round(rng.uniform(-10, 10))),
        turn=float(round(rng.uniform(-2, 2) * 4) / 4),
        belt=float(rng.choice([0.0, 0.0625, 0.125])),
        shadow=float(round(rng.uniform(0, 0.6), 1)),
        jpeg=float(rng.integers(60, 98)) if rng.uniform() < 0.25 else 0.0,
    )


def empty_belt(rng: np.random.Generator) -> Knobs:
    """Nothing to find: an empty belt in any light, through any dirt."""
    return replace(
        around_day(rng),
        parts=0.0,
        light=float(rng.uniform(0, 1.4)) if rng.uniform() < 0.8 else 0.0,
        kelvin=float(round(rng.uniform(2800, 6800), -2)),
        noise=float(round(rng.uniform(1, 12), 1)),
        haze=float(round(rng.uniform(0, 0.7), 2)) if rng.uniform() < 0.3 else 0.0,
        blur=float(rng.uniform(0, 3.5)) if rng.uniform() < 0.3 else 0.0,
    )


def training(seed: int, empty: float = 0.0) -> Iterator[tuple[Pixels, Detections]]:
    """Random scenes without end; a share ``empty`` of the belts is. Neighbours share a belt, so shuffle them."""
    rng = np.random.default_rng((spec.TRAIN_SEED, seed))
    sprites = Sprites(limit=8000)
    belts = [Renderer(spec.TRAIN_SEED + number, sprites=sprites) for number in range(12)]
    while True:
        belt = belts[int(rng.integers(len(belts)))]
        slow = empty_belt(rng) if empty and rng.uniform() < empty else around_day(rng)
        index = int(rng.integers(200_000))
        # Knobs that cost a new lens or noise bank are turned once in a while, cheap ones for each frame.
        for _ in range(24 if slow.parts else 6):
            fast = around_day(rng)
            knobs = replace(slow, light=fast.light, blur=fast.blur, jpeg=fast.jpeg) if slow.parts else slow
            yield belt.frame(index, knobs)
            index += int(rng.integers(50, 75))


def mirrored(pixels: Pixels, truth: Detections, way: int) -> tuple[Pixels, Detections]:
    """A scene seen in a mirror: 0 top and bottom change places, 1 left and right, -1 both."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = truth.xyxy.T
    if way != 0:
        left, right = width - right, width - left
    if way != 1:
        top, bottom = height - bottom, height - top
    boxes = np.stack([left, top, right, bottom], axis=1).astype(np.float32)
    return np.asarray(cv2.flip(pixels, way), np.uint8), Detections(boxes, truth.confidence, truth.class_id)


def still(first_seed: int, count: int, knobs: Knobs = DAY) -> Iterator[tuple[Pixels, Detections]]:
    """``count`` scenes with nothing in common but the knobs."""
    sprites = Sprites(limit=8000)
    for number in range(count):
        seed, place = divmod(number, SCENES_A_SEED)
        if place == 0:
            belt = Renderer(first_seed + seed, sprites=sprites)
        yield belt.frame(place * STRIDE, knobs)


def as_input(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """What the network sees: RGB, uint8 (192, 256, 3), made as :mod:`agent.preprocess` makes it."""
    small = cv2.resize(pixels, (spec.WIDTH, spec.HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)
