"""Settings of the correction of the light; see docs/recalibration.md."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class CorrectionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gives the model the light that it was right in, as the day changes; see docs/recalibration.md."""

    mode: Annotated[
        Literal["off", "advise", "act"],
        Meta(
            description="advise: says what it would do; act: does it; off: neither. A correction that lies over the "
            "model is held back in another light, whatever this says."
        ),
    ] = "off"
    learn_frames: Annotated[
        int,
        Meta(ge=4, le=500, description="Frames that the reference light is learned from, when none is kept."),
    ] = 30
    learn_s: Annotated[
        float,
        Meta(
            ge=1.0,
            le=604_800.0,
            description="And the time over which they are spread, seconds; the model should be right all the while.",
            extra={"unit": "s"},
        ),
    ] = 1800.0
    every_s: Annotated[
        float,
        Meta(
            ge=0.5,
            le=3600.0,
            description="How often a frame is looked at, seconds; no more often than `measure.sensors_s`.",
            extra={"unit": "s"},
        ),
    ] = 5.0
    fit_s: Annotated[
        float,
        Meta(
            ge=1.0,
            le=86_400.0,
            description="The correction changes no more often than this, seconds, unless it has to be let go.",
            extra={"unit": "s"},
        ),
    ] = 60.0
    step_per_min: Annotated[
        float,
        Meta(gt=0.0, le=10_000.0, description="Grey levels that it may move the picture by in a minute, mean."),
    ] = 6.0
    dead_band: Annotated[
        float, Meta(gt=0.0, le=255.0, description="It does not move for less than this many grey levels, mean.")
    ] = 4.0
    max_noise: Annotated[
        float,
        Meta(gt=0.0, le=255.0, description="Grey levels of sensor noise that the corrected picture may have."),
    ] = 24.0
