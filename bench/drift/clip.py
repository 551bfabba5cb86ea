"""A sanity check on a real camera: people of a clip's second half were never seen by a reference of its first half.

Both streams are runs of 150 to 400 consecutive frames, drawn with replacement: the reference 20,000 frames, the other
one 80,000. It is one clip of 1,394 frames, so that a false alarm would be repeated.
"""

from __future__ import annotations

import cv2
import numpy as np

from agent.camera.eye import thumbnail
from agent.drift import Blocks, Detector, Learner, Observation, observe, plan
from agent.records import Frame
from bench.common import CLIP
from bench.drift.streams import SCHEMA

LEARNED, JUDGED = 20_000, 80_000


def main(per: int) -> None:
    """Print one paragraph; nothing but a word where the clip is not there."""
    if not CLIP.exists():
        print(f"\nclip: {CLIP.name} is not there")
        return
    seen = features()
    half = len(seen) // 2
    known, fresh = runs(half, LEARNED, 1), half + runs(len(seen) - half, JUDGED, 2)
    learner = Learner("clip", SCHEMA)
    for number in known:
        learner.add(seen[number])
    reference = learner.freeze()
    planned = plan(reference, per)
    detector, alarms, warnings, before = Detector(reference, planned, bytes(16)), 0, 0, "normal"
    blocks = Blocks(reference.block_frames)
    for number in fresh:
        block = blocks.add(seen[number])
        if block is None:
            continue
        standing = detector.update(block).standing
        alarms += standing == "alarm" and before != "alarm"
        warnings += standing == "warning" and before == "normal"
        before = standing
    independent = "/".join(f"{each:.0f}" for each in reference.coverage.independent)
    print(
        f"\nclip: {CLIP.name}, second half against first: {alarms} alarms and {warnings} warnings in {JUDGED} frames; "
        f"blocks of {reference.block_frames}, worth {independent}; threshold {planned.threshold:.0f}"
    )


def features() -> list[Observation]:
    """Of every frame of the clip."""
    film, seen = cv2.VideoCapture(str(CLIP)), []
    while True:
        there, pixels = film.read()
        if not there:
            return seen
        seen.append(observe(SCHEMA, Frame(pixels, 0.0, len(seen), thumbnail(pixels))))


def runs(count: int, frames: int, seed: int) -> np.ndarray:
    """Numbers of frames in runs, so many."""
    rng, parts, total = np.random.default_rng(seed), [], 0
    while total < frames:
        length = min(int(rng.integers(150, 401)), count)
        begin = int(rng.integers(0, count - length + 1))
        parts.append(np.arange(begin, begin + length))
        total += length
    return np.concatenate(parts)[:frames]
