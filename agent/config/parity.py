"""Settings of the canary: a second way of running the model, asked about one frame every so often. Off by default."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ParityConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Compares the model in service with a second way of running it; see docs/parity.md."""

    every_s: Annotated[
        float,
        Meta(
            ge=0.0,
            le=604_800.0,
            extra={"unit": "s"},
            description="One frame is asked of the second way so often, in a child process; 0: never.",
        ),
    ] = 0.0
    backend: Annotated[
        Literal["auto", "litert", "tflite-runtime"], Meta(description="What runs it the second way.")
    ] = "auto"
    delegate: Annotated[
        str, Meta(description="edgetpu, or the path of an external delegate's .so; empty: the CPU.")
    ] = ""
    delegate_options: Annotated[
        dict[str, str], Meta(description='Options handed to that delegate, such as device = "usb:0".')
    ] = {}
    model: Annotated[
        str, Meta(description="Another .tflite with the same labels, such as the float one; empty: the one in service.")
    ] = ""
    num_threads: Annotated[int, Meta(ge=1, le=64, description="Threads of one invoke there.")] = 1
    timeout_s: Annotated[
        float,
        Meta(
            gt=0.0,
            le=600.0,
            extra={"unit": "s"},
            description="Loading and answering may take so long each; then the child is killed.",
        ),
    ] = 30.0
    window: Annotated[int, Meta(ge=16, le=4096, description="The verdict is over so many frames, the newest ones.")] = (
        512
    )
    tolerance: Annotated[
        float,
        Meta(ge=0.0, le=1.0, description="Share of boxes that one side alone may see; beyond it an alarm is raised."),
    ] = 0.05
