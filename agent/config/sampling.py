"""Settings of the frames worth keeping: what is hidden, how much is kept, and of what. Off by default."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=10_000)]
Budget = tuple[Count, Count, Count]
"""Frames in a minute, in an hour, in a day."""

EVERY_CLASS = "*"


class SampleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The frames worth keeping; see docs/sampling.md."""

    privacy: Annotated[
        Literal["off", "statistics", "blur", "mask", "full"],
        Meta(
            description="off: nothing is kept; statistics: records without pictures; blur, mask: what is private is "
            "made unrecognizable, or painted grey, before anything is written; full: pictures as they are."
        ),
    ] = "off"
    private_classes: Annotated[
        list[str],
        Meta(description='Classes whose boxes are private, by name; ["*"]: every class; []: none, zones only.'),
    ] = msgspec.field(default_factory=lambda: [EVERY_CLASS])
    private_zones: Annotated[
        list[str], Meta(description="Names of [[zones]], of any mode, that are private whatever is in them.")
    ] = []
    private_score: Annotated[
        float, Meta(ge=0.0, le=1.0, description="A box from this score on is hidden, whether it counts as an object.")
    ] = 0.1
    private_margin: Annotated[
        float, Meta(ge=0.0, le=1.0, description="A hidden box is widened by this part of its sides, on each side.")
    ] = 0.1
    folder: Annotated[str, Meta(description="Where frames are kept; empty: samples in the state folder.")] = ""
    max_bytes: Annotated[
        int,
        Meta(ge=1_000_000, le=10**13, description="Most disk for kept frames, bytes.", extra={"unit": "bytes"}),
    ] = 256 << 20
    max_age_s: Annotated[
        float,
        Meta(
            ge=60.0,
            le=1e9,
            description="A frame that was kept for longer is removed; how that is counted: docs/sampling.md.",
            extra={"unit": "s"},
        ),
    ] = 30 * 86_400.0
    min_free_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=10**13,
            description="With less free on that disk nothing more is kept, and what is kept gives way.",
            extra={"unit": "bytes"},
        ),
    ] = 512 << 20
    picture_quality: Annotated[int, Meta(ge=50, le=100, description="Of the JPEG files, 50 to 100.")] = 92
    coverage: Annotated[
        Budget,
        Meta(description="Most frames a minute, an hour and a day that show what no kept one shows; 0: none."),
    ] = (4, 30, 120)
    evidence: Annotated[
        Budget, Meta(description="The same for frames of drift, of disagreement, of low scores, of a rare class.")
    ] = (4, 30, 120)
    threshold: Annotated[
        Budget, Meta(description="The same for frames with a score near its threshold, above or just below it.")
    ] = (2, 12, 60)
    audit: Annotated[Budget, Meta(description="The same for frames taken at random times.")] = (1, 4, 48)
    coverage_frames: Annotated[
        int, Meta(ge=2, le=1024, description="So many frames are to stand for everything that was seen.")
    ] = 64
    near_margin: Annotated[
        float, Meta(ge=0.0, le=0.5, description="A score this far from its threshold, at most, is near it.")
    ] = 0.1
    low_score: Annotated[
        float, Meta(ge=0.0, le=1.0, description="A frame whose best object scores lower is evidence; 0: never.")
    ] = 0.6
    rare_share: Annotated[
        float,
        Meta(ge=0.0, le=0.5, description="A class seen in a smaller part of the frames than this is rare; 0: never."),
    ] = 0.01
    audit_every_s: Annotated[
        float,
        Meta(ge=1.0, le=30 * 86_400.0, description="Mean time between two random frames.", extra={"unit": "s"}),
    ] = 1800.0
    duplicate_luma: Annotated[
        float,
        Meta(
            ge=0.0,
            le=255.0,
            description="A frame is a near-duplicate while no tile of it (a sixteenth of the width, a ninth of the "
            "height) differs by more grey levels from a kept one.",
        ),
    ] = 6.0
    seed: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="Of the random times: the same seed and frames, the same choice.")
    ] = 0

    @property
    def hides_boxes(self) -> bool:
        """Boxes are blurred or masked, so that a frame without an answer cannot be shown."""
        return self.privacy in {"blur", "mask"} and bool(self.private_classes)
