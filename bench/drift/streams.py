"""Feature streams of rendered belts, made once and kept: rendering takes minutes, judging seconds.

Only the picture's features: no model runs. Frames are rendered at 320 x 240.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from agent.camera.eye import thumbnail
from agent.camera.rendered import DAY, Knobs, Renderer
from agent.drift import Observation, Schema, observe
from agent.drift.features import VERSION
from agent.records import Frame

WIDTH, HEIGHT = 320, 240
SCHEMA = Schema(7)
SEVERITIES = (1, 2, 3, 5)

CORRUPTIONS: dict[str, dict[int, Knobs]] = {
    "dark": {1: Knobs(light=0.8), 2: Knobs(light=0.65), 3: Knobs(light=0.5), 5: Knobs(light=0.25)},
    "bright": {1: Knobs(light=1.2), 2: Knobs(light=1.35), 3: Knobs(light=1.6), 5: Knobs(light=2.2)},
    "noise": {1: Knobs(noise=5.0), 2: Knobs(noise=8.0), 3: Knobs(noise=14.0), 5: Knobs(noise=26.0)},
    "blur": {1: Knobs(blur=0.7), 2: Knobs(blur=1.2), 3: Knobs(blur=2.0), 5: Knobs(blur=4.0)},
    "fog": {1: Knobs(haze=0.1), 2: Knobs(haze=0.2), 3: Knobs(haze=0.35), 5: Knobs(haze=0.6)},
    "colour": {1: Knobs(kelvin=5000), 2: Knobs(kelvin=4600), 3: Knobs(kelvin=4000), 5: Knobs(kelvin=3200)},
}
"""Six drifts in four severities; the first is as little as a person would notice side by side."""


@dataclass(frozen=True)
class Scene:
    """What is rendered: a stream of frames that follow each other.

    Attributes:
        seed: which belt.
        begin: number of its first frame.
        frames: how many.
        knobs: as they stand; light, parts and belt wander about them where ``wander`` is above 0.
        day_frames: length of a day in which light falls to a tenth and comes back; 0: none.
        wander: how far clouds and supply come and go, 0 to 1.
    """

    seed: int
    begin: int
    frames: int
    knobs: Knobs = DAY
    day_frames: int = 0
    wander: float = 1.0


@dataclass(frozen=True)
class Stream:
    """The features of a scene: float32 (frames, 21) and (frames, p)."""

    values: np.ndarray
    profiles: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def part(self, begin: int, end: int) -> Stream:
        """Some consecutive frames."""
        return Stream(self.values[begin:end], self.profiles[begin:end])

    def observations(self) -> Iterator[Observation]:
        """One by one."""
        for values, profile in zip(self.values, self.profiles, strict=True):
            yield Observation(values, profile, WIDTH, HEIGHT)


def made(scene: Scene, folder: Path) -> Stream:
    """From the folder, or rendered and put there."""
    name = hashlib.sha256(f"{VERSION} {WIDTH}x{HEIGHT} {scene}".encode()).hexdigest()[:20]
    path = folder / f"{name}.npz"
    if not path.exists():
        stream = render(scene)
        folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{name}.npz")
        with beside.open("wb") as file:
            np.savez(file, values=stream.values, profiles=stream.profiles)
        beside.replace(path)
        return stream
    with np.load(path) as kept:
        return Stream(kept["values"], kept["profiles"])


def all_made(scenes: list[Scene], folder: Path, workers: int) -> list[Stream]:
    """The same for many, in processes of their own."""
    if workers < 2:
        return [made(scene, folder) for scene in scenes]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(made, scenes, [folder] * len(scenes)))


def render(scene: Scene) -> Stream:
    cv2.setNumThreads(1)
    renderer = Renderer(scene.seed, WIDTH, HEIGHT)
    seen = []
    for number in range(scene.begin, scene.begin + scene.frames):
        pixels, _ = renderer.frame(number, _knobs(scene, number), number)
        seen.append(observe(SCHEMA, Frame(pixels, 0.0, number, thumbnail(pixels))))
    return Stream(np.stack([each.values for each in seen]), np.stack([each.profile for each in seen]))


def _knobs(scene: Scene, number: int) -> Knobs:
    """Clouds pass and the line runs fuller and emptier, slowly, the same way for each frame's number."""
    knobs = replace(scene.knobs, cycle_s=float(scene.day_frames)) if scene.day_frames else scene.knobs
    cloud = _slow(scene.seed, 1, number, 240)
    supply = 0.75 + 0.25 * np.sign(_slow(scene.seed, 2, number, 900))
    wandering = replace(knobs, light=float(np.clip(knobs.light * (1 + 0.06 * scene.wander * cloud), 0, 2.5)))
    return wandering if scene.wander <= 0 else replace(wandering, parts=float(supply))


def _slow(seed: int, which: int, number: int, every: int) -> float:
    """Gaussian values each ``every`` frames, straight lines between; at most 2 from zero."""
    first, along = divmod(number, every)
    ends = [np.random.default_rng((seed, 40 + which, place)).standard_normal() for place in (first, first + 1)]
    return float(np.clip(ends[0] + (ends[1] - ends[0]) * along / every, -2, 2))
