"""Settings of what is measured, and of the limits at which something is said or done."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class MeasureConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How telemetry is taken, and its limits; see docs/measure.md."""

    window_s: Annotated[
        float, Meta(ge=1.0, le=3600.0, description="Length of one telemetry window, seconds.", extra={"unit": "s"})
    ] = 10.0
    sensors_s: Annotated[
        float,
        Meta(
            ge=0.5,
            le=3600.0,
            description="How often memory, temperature and clocks are read, seconds.",
            extra={"unit": "s"},
        ),
    ] = 5.0
    sys_root: Annotated[
        str, Meta(description="Folder in front of /sys, /proc and /dev; / on a board, a recorded tree in tests.")
    ] = "/"
    p99_limit_s: Annotated[
        float,
        Meta(
            ge=0.0,
            le=3600.0,
            description="Alarm latency while the 99th percentile of the work on a frame is above it in three windows "
            "in a row, until it is below four fifths of it in three; 0: no limit.",
            extra={"unit": "s"},
        ),
    ] = 0.0
    hung_s: Annotated[
        float,
        Meta(
            ge=1.0,
            le=3600.0,
            description="No answer for this long though frames come, or the main thread does not come back: "
            "alarm latency, blind time.",
            extra={"unit": "s"},
        ),
    ] = 10.0
    growth_limit_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Alarm memory-growth while private memory grows faster an hour, with its whole 95 % interval "
            "over the last hours; 0: no limit.",
            extra={"unit": "bytes"},
        ),
    ] = 2 * 2**20
    growth_hold_s: Annotated[
        float,
        Meta(ge=0.0, le=604_800.0, description="And for at least this long.", extra={"unit": "s"}),
    ] = 3600.0
    memory_limit_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Resident memory above which the agent ends itself between two frames, exit code 75, to be "
            "started anew; after ten minutes at the earliest, later each time; 0: never.",
            extra={"unit": "bytes"},
        ),
    ] = 0
    state_s: Annotated[
        float,
        Meta(
            ge=60.0,
            le=86_400.0,
            description="How often blind seconds are saved in the state folder, beside each change; after a "
            "crash the time without an agent counts from there. An SD card dies of writes.",
            extra={"unit": "s"},
        ),
    ] = 600.0
