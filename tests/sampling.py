"""Frames to choose from and a store to keep them in, on clocks of the test."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agent.config import SampleConfig
from agent.records import Detections, FloatArray, Labels, Pixels, StageTimes
from agent.sample import (
    Candidate,
    Choice,
    Origin,
    Privacy,
    Reason,
    Rules,
    Store,
    Taken,
    Thresholds,
    features,
    read,
)

LABELS = Labels({0: "person", 1: "cat", 2: "dog"})
HALF = np.array([0.5, 0.5, 0.5, 0.5], np.float32)
"""Every class at 0.5."""


def found(*boxes: tuple[int, float], size: tuple[int, int] = (160, 120)) -> Detections:
    """Boxes by class and score, side by side in the left half of the picture."""
    width, height = size
    xyxy = [(10 + 5 * place, 10, width // 2, height // 2 + place) for place in range(len(boxes))]
    return Detections(
        np.array(xyxy, np.float32).reshape(-1, 4),
        np.array([score for _, score in boxes], np.float32),
        np.array([class_id for class_id, _ in boxes], np.int32),
    )


def small(pixels: Pixels) -> Pixels:
    """The thumbnail, as the camera makes it."""
    return np.asarray(cv2.cvtColor(cv2.resize(pixels, (64, 36)), cv2.COLOR_BGR2GRAY), np.uint8)


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Pixels:
    """A picture unlike that of another seed: coarse patches and some noise."""
    draw = np.random.default_rng(seed)
    patches = draw.integers(0, 256, (9, 16, 3), np.uint8)
    picture = cv2.resize(patches, size, interpolation=cv2.INTER_NEAREST).astype(np.int16)
    return np.asarray(np.clip(picture + draw.normal(0, 4, picture.shape), 0, 255), np.uint8)


def candidate(
    at_s: float = 0.0,
    seed: int = 0,
    detections: Detections | None = None,
    vector: FloatArray | None = None,
    **more: Any,
) -> Candidate:
    """A frame of :func:`scene`."""
    thumbnail = small(scene(seed))
    return Candidate(
        at_s=at_s,
        sequence=int(at_s),
        thumbnail=thumbnail,
        features=features(thumbnail) if vector is None else vector,
        detections=detections,
        **more,
    )


def taken(
    seed: int = 0,
    reason: Reason = "coverage",
    detections: Detections | None = None,
    size: tuple[int, int] = (160, 120),
    vector: FloatArray | None = None,
) -> Taken:
    """A chosen frame."""
    pixels = scene(seed, size)
    made = Candidate(
        float(seed), seed, small(pixels), features(small(pixels)) if vector is None else vector, detections
    )
    return Taken(
        pixels,
        made,
        Choice((reason,), ("so it is",)),
        StageTimes(age_s=0.05, preprocess_s=0.001, invoke_s=0.02, postprocess_s=0.002),
        Origin(model="ssd", model_sha256="ab" * 32, bundle="parts-1.0.0", boot="b001"),
    )


@dataclasses.dataclass
class Shop:
    """A store in a folder; clock, wall clock and free space are the test's."""

    folder: Path
    config: SampleConfig = dataclasses.field(default_factory=lambda: SampleConfig(min_free_bytes=0))
    privacy: Privacy = dataclasses.field(default_factory=lambda: Privacy("full"))
    now_s: float = 1000.0
    wall_s: float | None = 1_800_000_000.0
    free: int = 1 << 40

    def store(self) -> Store:
        """A new one, not opened."""
        return Store(
            self.folder,
            self.config,
            Rules(self.privacy, 92, Thresholds(HALF), LABELS),
            clock=lambda: self.now_s,
            wall=lambda: self.wall_s,
            free=lambda _: self.free,
        )

    def opened(self) -> Store:
        """A new one that owns the folder."""
        store = self.store()
        store.open()
        return store


def bounded(folder: Path, **settings: object) -> Shop:
    """A shop with these settings, on a disk with room."""
    return Shop(folder, SampleConfig(**({"min_free_bytes": 0} | settings)))  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    """What a reader lists."""
    return [kept.name for kept in read(folder).kept]
