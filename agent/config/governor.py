"""Settings of the thermal governor; see docs/thermal.md."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class GovernorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keeps the board below the temperature at which it throttles, by taking fewer frames; see docs/thermal.md."""

    mode: Annotated[
        Literal["off", "advise", "act"],
        Meta(description="advise: says what it would do; act: does it; off: neither."),
    ] = "advise"
    target_celsius: Annotated[
        Annotated[float, Meta(ge=30.0, le=100.0)] | None,
        Meta(
            description="The processor is kept below it, degrees Celsius; unset: 1 below where this board throttles.",
            extra={"unit": "Cel"},
        ),
    ] = None
    accelerator_celsius: Annotated[
        float,
        Meta(
            ge=30.0,
            le=100.0,
            description="A Coral on PCIe or M.2 is kept below it, degrees Celsius.",
            extra={"unit": "Cel"},
        ),
    ] = 82.0
    hysteresis_celsius: Annotated[
        float,
        Meta(
            ge=0.5,
            le=20.0,
            description="Only this far below the target it takes more frames again, degrees Celsius.",
            extra={"unit": "Cel"},
        ),
    ] = 2.0
    tolerance: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="While one invoke takes at most this part longer than on the cool board, heat alone is no "
            "reason; 0: the temperature alone decides.",
        ),
    ] = 0.1
    lowest_fps: Annotated[
        float,
        Meta(ge=0.2, le=1000.0, description="Never fewer frames a second than this.", extra={"unit": "1/s"}),
    ] = 1.0
    lowest_share: Annotated[
        float, Meta(ge=0.05, le=1.0, description="Never fewer than this part of the frames that it takes when cool.")
    ] = 0.6
    step_s: Annotated[
        float,
        Meta(
            ge=5.0,
            le=600.0,
            description="Least time between two changes, seconds; a board that throttles is helped at once.",
            extra={"unit": "s"},
        ),
    ] = 20.0
