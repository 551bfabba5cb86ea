"""What is looked at: every feature by its name, in one fixed order. Pure.

A frame's :class:`Observation` is two vectors. ``values`` holds one number a feature; ``profile`` holds the vectors that
only mean something beside those of the reference (where the picture is bright, where its edges lie, the histogram of
scores, the mix of classes, the histograms of quantization codes), one behind the other. A block of frames turns each of
these into one more number, its distance from the reference's. NaN stands for "not looked at" everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from agent.records import FloatArray

Reals = npt.NDArray[np.floating[Any]]
Family = Literal["picture", "answers", "speed", "quantization"]

VERSION = 1
"""Of the features' names, order and meaning; a reference of another version is another language."""

MOST_CLASSES = 1024
MOST_GROUPS = 512
CODE_BINS = 8
"""Bins that a group's 256 codes are counted in."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One number a frame.

    Attributes:
        name: as it is published.
        family: what it is read from.
        less: what it is called when it falls.
        more: what it is called when it rises.
        grain: a difference smaller than this is none, in the feature's own unit.
        is_log: it is a base-2 logarithm; shown to people as its power.
        is_greatest: of a block the greatest frame counts, not the mean.
    """

    name: str
    family: Family
    less: str
    more: str
    grain: float
    is_log: bool = False
    is_greatest: bool = False

    def shown(self, value: float) -> str:
        """The value for people.

        >>> FEATURES[0].shown(41.23), FEATURES[NAMES.index("invoke_s")].shown(-7.0)
        ('41.2', '0.00781')
        """
        return f"{2.0**value if self.is_log else value:.3g}"


@dataclass(frozen=True, slots=True)
class Profile:
    """One vector a frame, and the name of its distance from the reference's.

    Attributes:
        feature: the distance, 0 to 2 for a shape and 0 to 1 for shares.
        is_shape: compared by correlation; else it is a histogram, compared by the share that would have to move.
    """

    feature: Feature
    is_shape: bool


MEASURED: tuple[Feature, ...] = (
    Feature("luma_mean", "picture", "darker", "brighter", 1.5),
    Feature("luma_spread", "picture", "less contrast", "more contrast", 1.0),
    Feature("luma_p05", "picture", "darker shadows", "paler shadows", 1.5),
    Feature("luma_median", "picture", "darker", "brighter", 1.5),
    Feature("luma_p95", "picture", "darker lights", "brighter lights", 1.5),
    Feature("dark_share", "picture", "less black", "more black", 0.01),
    Feature("bright_share", "picture", "less white", "more white", 0.01),
    Feature("sharpness", "picture", "blurred", "sharper", 0.05),
    Feature("noise", "picture", "less noise", "more noise", 0.2),
    Feature("blue", "picture", "less blue", "bluer", 0.01),
    Feature("red", "picture", "less red", "redder", 0.01),
    Feature("saturation", "picture", "paler colours", "stronger colours", 0.01),
    Feature("objects", "answers", "fewer objects", "more objects", 0.1),
    Feature("confidence", "answers", "less sure", "more sure", 0.02),
    Feature("box_size", "answers", "smaller objects", "larger objects", 0.05, is_log=True),
    Feature("box_clipped", "answers", "fewer cut by the edge", "more cut by the edge", 0.02),
    Feature("invoke_s", "speed", "faster", "slower", 0.1, is_log=True),
    Feature("invoke_slowest_s", "speed", "faster at worst", "slower at worst", 0.2, is_log=True, is_greatest=True),
    Feature("saturated_low", "quantization", "less cut off below", "more cut off below", 0.005),
    Feature("saturated_high", "quantization", "less cut off above", "more cut off above", 0.002),
    Feature("utilisation", "quantization", "fewer codes used", "more codes used", 0.01),
)
PROFILES: tuple[Profile, ...] = (
    Profile(Feature("layout_distance", "picture", "nearer to the reference", "another picture", 0.01), True),
    Profile(Feature("edges_distance", "picture", "nearer to the reference", "other edges", 0.01), True),
    Profile(Feature("scores_distance", "answers", "nearer to the reference", "other scores", 0.02), False),
    Profile(Feature("classes_distance", "answers", "nearer to the reference", "other classes", 0.02), False),
    Profile(Feature("codes_distance", "quantization", "nearer to the reference", "other activations", 0.01), False),
)
FEATURES: tuple[Feature, ...] = MEASURED + tuple(profile.feature for profile in PROFILES)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
LUMA = NAMES.index("luma_median")
GRAIN = np.array([feature.grain for feature in FEATURES])
_GREATEST = np.array([feature.is_greatest for feature in MEASURED])

CELLS = 48
"""Cells of the picture, 6 rows of 8, that layout and edges are averaged over."""
SCORE_EDGES = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0])


@dataclass(frozen=True, slots=True)
class Schema:
    """How long the profile is: it depends on the model.

    Attributes:
        classes: class numbers that are told apart; higher ones count with the last.
        groups: groups of activations that are read; 0: none are.
    """

    classes: int
    groups: int = 0
    slices: tuple[slice, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (1 <= self.classes <= MOST_CLASSES and 0 <= self.groups <= MOST_GROUPS):
            raise ValueError(
                f"{self.classes} classes and {self.groups} groups: 1 to {MOST_CLASSES} and 0 to {MOST_GROUPS} can be"
            )
        ends = np.cumsum([0, CELLS, CELLS, len(SCORE_EDGES) - 1, self.classes, self.groups * CODE_BINS])
        slices = tuple(slice(int(a), int(b)) for a, b in pairwise(ends))
        object.__setattr__(self, "slices", slices)

    @property
    def profile_size(self) -> int:
        """Length of the whole profile."""
        return int(self.slices[-1].stop)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What was seen of one frame, or of a block of frames.

    Attributes:
        values: float32 (21,), in the order of :data:`MEASURED`; NaN where not looked at.
        profile: float32 (:attr:`Schema.profile_size`,); NaN where not looked at.
        width: of the frame, pixels: sharpness and noise of another size are other numbers.
        height: of the frame, pixels.
        frames: frames it stands for.
    """

    values: FloatArray
    profile: FloatArray
    width: int
    height: int
    frames: int = 1


def nothing(schema: Schema) -> tuple[FloatArray, FloatArray]:
    """Values and profile with nothing in them yet."""
    return np.full(len(MEASURED), np.nan, np.float32), np.full(schema.profile_size, np.nan, np.float32)


def pooled(values: Reals, profiles: Reals) -> tuple[FloatArray, FloatArray]:
    """Neighbouring rows as one: means over what is there, the greatest where that counts; NaN where all are.

    Args:
        values: (..., n, 21).
        profiles: (..., n, p).

    Returns:
        The same without the axis n, float32.
    """
    middle = _mean(values)
    with np.errstate(invalid="ignore"):
        greatest = np.fmax.reduce(values, axis=-2)
    return np.where(_GREATEST, greatest, middle).astype(np.float32), _mean(profiles).astype(np.float32)


def _mean(rows: Reals) -> Reals:
    there = np.isfinite(rows)
    counts = there.sum(axis=-2)
    sums = np.where(there, rows, 0.0).sum(axis=-2, dtype=np.float64)
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def statistics(values: Reals, profiles: Reals, template: Reals, schema: Schema) -> Reals:
    """Every feature of blocks, in the order of :data:`FEATURES`.

    Args:
        values: (..., 21).
        profiles: (..., p).
        template: (p,) or (..., p): the reference's own profile.
        schema: how the profile is laid out.

    Returns:
        float64 (..., 26); NaN where a block or the reference has nothing to compare.
    """
    parts: list[Reals] = [np.where(np.isfinite(values), values, np.nan).astype(np.float64)]
    for profile, place in zip(PROFILES, schema.slices, strict=True):
        compare = _apart if profile.is_shape else _moved
        parts.append(compare(profiles[..., place], template[..., place])[..., None])
    return np.concatenate(parts, axis=-1)


def _apart(one: Reals, other: Reals) -> Reals:
    """1 - correlation; NaN where either is flat: a black picture has no layout."""
    a, b = (np.where(np.isfinite(each), each, np.nan).astype(np.float64) for each in (one, other))
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    sizes = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(sizes > 1e-6, 1.0 - (a * b).sum(axis=-1) / sizes, np.nan))


def _moved(one: Reals, other: Reals) -> Reals:
    """Total variation; NaN where either is empty."""
    if one.shape[-1] == 0:
        return np.full(one.shape[:-1], np.nan)
    sums = [each.sum(axis=-1, keepdims=True, dtype=np.float64) for each in (one, other)]
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (np.where(total > 0, each / total, np.nan) for each, total in zip((one, other), sums, strict=True))
        return np.asarray(0.5 * np.abs(a - b).sum(axis=-1))
