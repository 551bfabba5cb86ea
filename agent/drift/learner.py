"""Learning a reference: frames in, in order; a frozen :class:`~agent.drift.reference.Reference` out. Pure, one owner.

Memory is bounded whatever the time: frames are kept as means of a few, and when the table is full, of twice as many.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.drift.dependence import correlation_times
from agent.drift.features import LUMA, MEASURED, Observation, Reals, Schema, pooled, statistics
from agent.drift.observe import Blocks
from agent.drift.reference import Condition, Reference
from agent.records import FloatArray

MOST_ROWS = 4096
LEAST_BLOCKS = 60
"""Fewer blocks say nothing about how long they remember."""

_FIRST_FRAMES = 4
"""Frames of a row until the table is full for the first time."""

_SHARE_OF_TIME = 0.25
"""A block is this share of the middle feature's correlation time: shorter ones say the same again, longer ones answer
late. What neighbouring blocks still have in common is counted in the p-values."""

_BLOCK_FRAMES = (8, 16)

_LEAST_CONDITION = 60
"""Blocks on both sides, or the light is not parted."""
_OCTAVES = 1.0
"""Span of light, from the darkest twentieth to the brightest, within which it is one condition."""
_HALVINGS = 2
_OFFSET = 16.0
"""Grey levels on top: noise in the dark is no change of light."""
_FOLDS = 5
_MOST_COUNT = 60_000.0
"""A float16 ends soon after."""


class Learner:
    """Takes frames until :meth:`freeze`.

    A frame of another size begins everything anew: what was learned is of another picture.

    Args:
        model: what the answers come from, the sha256 of its file for one.
        schema: its classes and groups.
        most_rows: size of the table, an even number.
    """

    def __init__(self, model: str, schema: Schema, most_rows: int = MOST_ROWS) -> None:
        self._model, self._schema, self._most = model, schema, most_rows - most_rows % 2
        self._values = np.empty((self._most, len(MEASURED)), np.float32)
        # Half the memory, and no count or luma in it needs more than three digits.
        self._profiles = np.empty((self._most, schema.profile_size), np.float16)
        self._begin((0, 0))

    def _begin(self, size: tuple[int, int]) -> None:
        self._size, self._rows, self._row_frames = size, 0, _FIRST_FRAMES
        self._blocks = Blocks(_FIRST_FRAMES)

    @property
    def frames(self) -> int:
        """Frames learned from so far."""
        return self._rows * self._row_frames

    def add(self, seen: Observation) -> None:
        """One more frame."""
        if (seen.width, seen.height) != self._size:
            self._begin((seen.width, seen.height))
        row = self._blocks.add(seen)
        if row is None:
            return
        self._values[self._rows] = row.values
        self._profiles[self._rows] = np.clip(row.profile, -_MOST_COUNT, _MOST_COUNT)
        self._rows += 1
        if self._rows == self._most:
            self._halve()

    def _halve(self) -> None:
        values, profiles = _merged(self._values, self._profiles, 2)
        self._rows //= 2
        self._values[: self._rows], self._profiles[: self._rows] = values, profiles
        self._row_frames *= 2
        self._blocks = Blocks(self._row_frames)

    def freeze(self) -> Reference:
        """The reference so far; learning may go on.

        Raises:
            ValueError: there are too few frames to say anything.
        """
        values, profiles = self._values[: self._rows], self._profiles[: self._rows]
        rows = _rows_of_a_block(values, self._row_frames) if self._rows else 1
        if self._rows // rows < LEAST_BLOCKS:
            raise ValueError(
                f"{self.frames} frames are no reference: at least {LEAST_BLOCKS * rows * self._row_frames} are needed"
            )
        values, merged = _merged(values, profiles, rows)
        edges = _edges(values[:, LUMA])
        which = np.searchsorted(edges, values[:, LUMA], side="right")
        which[~np.isfinite(values[:, LUMA])] = 0
        conditions = [
            _condition(np.flatnonzero(which == number), values, merged, self._schema)
            for number in range(len(edges) + 1)
        ]
        width, height = self._size
        return Reference(
            self._model,
            self._schema,
            width,
            height,
            rows * self._row_frames,
            self.frames,
            tuple(edges),
            tuple(conditions),
        )


def _merged(values: FloatArray, profiles: npt.NDArray[np.float16], rows: int) -> tuple[FloatArray, FloatArray]:
    many = len(values) // rows
    return pooled(*(each[: many * rows].reshape(many, rows, -1) for each in (values, profiles)))


def _rows_of_a_block(values: FloatArray, row_frames: int) -> int:
    seen = np.isfinite(values).mean(axis=0) >= 0.5
    times = correlation_times(values[:, seen])
    wanted = _SHARE_OF_TIME * row_frames * float(np.median(times)) if len(times) else 1.0
    least, most = _BLOCK_FRAMES
    return max(1, round(min(max(wanted, least), most) / row_frames))


def _edges(luma: FloatArray) -> list[float]:
    """Where kinds of light part: each is halved where that explains most of its spread, if it spans over an octave."""
    octaves = np.log2(np.sort(luma[np.isfinite(luma)].astype(np.float64)) + _OFFSET)
    return [float(2.0**edge - _OFFSET) for edge in _parted(octaves, _HALVINGS)]


def _parted(octaves: Reals, halvings: int) -> list[float]:
    least = _LEAST_CONDITION
    if not halvings or len(octaves) < 2 * least:
        return []
    if np.quantile(octaves, 0.95) - np.quantile(octaves, 0.05) < _OCTAVES:
        return []
    # Otsu, 1979, IEEE Transactions on Systems, Man, and Cybernetics 9:62: the greatest variance between both sides.
    places = np.arange(least, len(octaves) - least + 1)
    places = places[octaves[places] > octaves[places - 1]]  # none between equals
    if not len(places):
        return []
    sums = octaves.cumsum()
    first = sums[places - 1] / places
    second = (sums[-1] - sums[places - 1]) / (len(octaves) - places)
    at = int(places[np.argmax(places * (len(octaves) - places) * (first - second) ** 2)])
    edge = float(0.5 * (octaves[at - 1] + octaves[at]))
    return [*_parted(octaves[:at], halvings - 1), edge, *_parted(octaves[at:], halvings - 1)]


def _condition(chosen: npt.NDArray[np.intp], values: FloatArray, profiles: FloatArray, schema: Schema) -> Condition:
    """Distances of its own blocks are to the mean of others: to their own they would all be too near."""
    values, profiles = values[chosen], profiles[chosen]
    folds = np.arange(len(chosen)) * _FOLDS // len(chosen)
    features = np.empty((len(chosen), len(MEASURED) + len(schema.slices)), np.float32)
    for fold in range(_FOLDS):
        inside = folds == fold
        _, others = pooled(values[~inside], profiles[~inside])
        features[inside] = statistics(values[inside], profiles[inside], others, schema)
    _, template = pooled(values, profiles)
    return Condition(features, chosen.astype(np.int32), template)
