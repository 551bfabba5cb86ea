"""Streams of features whose dependence is known: autoregressive, with shifts where a test plants them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import numpy as np

from agent.drift import Detector, Learner, Observation, Plan, Reference, Schema, fingerprint, plan, to_bytes
from agent.drift.features import MEASURED, pooled

SCHEMA = Schema(3)
USUAL = {"luma_median": 118.0, "luma_mean": 120.0, "sharpness": 6.0, "noise": 2.5, "objects": 4.0}
MEMORY = 0.9
"""Of one frame by the next: a correlation time of 19 frames."""
PER = 20_000
MODEL = "0123456789abcdef"
WIDTH, HEIGHT = 64, 48


def features(
    seed: int,
    count: int,
    shift: Mapping[str, float] | None = None,
    *,
    missing: tuple[str, ...] = (),
    memory: float = MEMORY,
) -> tuple[np.ndarray, np.ndarray]:
    """Values and profiles of ``count`` frames; a shift is in units of each feature's own spread between frames."""
    rng = np.random.default_rng(seed)
    middle = np.array([USUAL.get(feature.name, 1.0) for feature in MEASURED])
    spread = np.array([4.0 * feature.grain for feature in MEASURED])
    moved = np.array([(shift or {}).get(feature.name, 0.0) for feature in MEASURED])
    levels = rng.standard_normal((count, len(MEASURED)))
    for number in range(1, count):
        levels[number] = memory * levels[number - 1] + np.sqrt(1 - memory**2) * levels[number]
    values = middle + spread * (levels + moved)
    values[:, [feature.name in missing for feature in MEASURED]] = np.nan
    layout = np.random.default_rng(0).uniform(50, 200, SCHEMA.profile_size)
    profiles = layout + rng.standard_normal((count, len(layout)))
    return values.astype(np.float32), profiles.astype(np.float32)


def as_frames(values: np.ndarray, profiles: np.ndarray) -> Iterator[Observation]:
    return (Observation(*each, WIDTH, HEIGHT) for each in zip(values, profiles, strict=True))


def as_blocks(values: np.ndarray, profiles: np.ndarray, length: int) -> Iterator[Observation]:
    many = len(values) // length
    parts = (each[: many * length].reshape(many, length, -1) for each in (values, profiles))
    return (Observation(*each, WIDTH, HEIGHT, length) for each in zip(*pooled(*parts), strict=True))


def learn(stream: Iterable[Observation]) -> Reference:
    learner = Learner(MODEL, SCHEMA)
    for seen in stream:
        learner.add(seen)
    return learner.freeze()


@cache
def learned() -> Reference:
    return learn(as_frames(*features(1, 12_000)))


@cache
def planned() -> Plan:
    return plan(learned(), PER)


@cache
def identity() -> bytes:
    return fingerprint(to_bytes(learned()))


def detector() -> Detector:
    return Detector(learned(), planned(), identity())
