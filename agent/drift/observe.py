"""From a frame and what was made of it to an observation; and from observations to blocks. Pure, one owner."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from agent.drift.answers import answer_profile, answer_values, speed_values
from agent.drift.codes import code_profile, code_values
from agent.drift.features import CELLS, MEASURED, Observation, Schema, nothing, pooled
from agent.drift.picture import picture_profile, picture_values
from agent.records import Detections, FloatArray, Frame

_PLACES = {
    family: slice(min(at), max(at) + 1)
    for family in ("picture", "answers", "speed", "quantization")
    if (at := [number for number, feature in enumerate(MEASURED) if feature.family == family])
}


def observe(
    schema: Schema,
    frame: Frame,
    *,
    detections: Detections | None = None,
    scores: FloatArray | None = None,
    invoke_s: float | None = None,
    counts: npt.NDArray[Any] | None = None,
) -> Observation:
    """Everything that can be said of one frame; what is not given is NaN.

    Args:
        schema: the model's classes and groups.
        frame: as the camera took it, before any correction of the light.
        detections: its objects; None: no answer, which is not the same as no objects.
        scores: every score of the model, before any threshold.
        invoke_s: what the invoke took, seconds.
        counts: integers (groups, 256), how often each code was used.

    Raises:
        ValueError: ``counts`` are of another shape than the schema says.
    """
    values, profile = nothing(schema)
    height, width = frame.pixels.shape[:2]
    values[_PLACES["picture"]] = picture_values(frame)
    profile[: 2 * CELLS] = picture_profile(frame)
    if detections is not None:
        values[_PLACES["answers"]] = answer_values(detections, width, height)
        profile[schema.slices[2].start : schema.slices[3].stop] = answer_profile(detections, scores, schema)
    if invoke_s is not None:
        values[_PLACES["speed"]] = speed_values(invoke_s)
    if counts is not None:
        values[_PLACES["quantization"]] = code_values(counts)
        profile[schema.slices[4]] = code_profile(counts, schema)
    return Observation(values, profile, width, height)


class Blocks:
    """Collects frames into blocks of a given length.

    A frame of another size ends the block that was begun: it would be of two kinds.

    Args:
        frames: of one block.
    """

    def __init__(self, frames: int) -> None:
        if frames < 1:
            raise ValueError(f"blocks of {frames} frames hold nothing")
        self._frames = frames
        self._held: list[Observation] = []

    def add(self, seen: Observation) -> Observation | None:
        """The block that this frame completes, else None."""
        if self._held and (seen.width, seen.height) != (self._held[0].width, self._held[0].height):
            self._held = []
        self._held.append(seen)
        if len(self._held) < self._frames:
            return None
        block, self._held = as_block(self._held), []
        return block


def as_block(held: list[Observation]) -> Observation:
    """Frames of one size as one observation."""
    values, profile = pooled(np.stack([each.values for each in held]), np.stack([each.profile for each in held]))
    return Observation(values, profile, held[0].width, held[0].height, sum(each.frames for each in held))
