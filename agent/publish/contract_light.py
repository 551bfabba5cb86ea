"""The data of the event ``corrected``: one change of the correction of the light."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from agent.publish.contract_base import Part

CorrectionCause = Literal["followed", "released", "resumed", "noise", "relearn", "dropped", "off"]


class Corrected(Part, frozen=True, kw_only=True):
    """A change of the correction; a number that is not there is neutral (0 for black, else 1)."""

    why: Annotated[
        CorrectionCause,
        Meta(
            description="followed the light; released: it made the picture worse; resumed: it makes it better "
            "again; noise: it lifted too much of it; relearn: the light is learned anew; dropped: it belonged to "
            "another reference or model; off: by setting."
        ),
    ]
    acted: Annotated[bool, Meta(description="It is done; else it is advice.")]
    noise: Annotated[float, Meta(description="The sensor's noise in the frames as they are, grey levels.")] = 0.0
    black: Annotated[float, Meta(description="In force now: grey level that becomes 0.")] = 0.0
    gain: Annotated[float, Meta(description="In force now: what the light above it is multiplied by.")] = 1.0
    gamma: Annotated[float, Meta(description="In force now: exponent.")] = 1.0
    blue: Annotated[float, Meta(description="In force now: gain of this channel on top.")] = 1.0
    green: Annotated[float, Meta(description="In force now: gain of this channel on top.")] = 1.0
    red: Annotated[float, Meta(description="In force now: gain of this channel on top.")] = 1.0
    previous_black: Annotated[float, Meta(description="The same before.")] = 0.0
    previous_gain: Annotated[float, Meta(description="The same before.")] = 1.0
    previous_gamma: Annotated[float, Meta(description="The same before.")] = 1.0
    previous_blue: Annotated[float, Meta(description="The same before.")] = 1.0
    previous_green: Annotated[float, Meta(description="The same before.")] = 1.0
    previous_red: Annotated[float, Meta(description="The same before.")] = 1.0
    target_black: Annotated[float, Meta(description="What the newest frames ask for.")] = 0.0
    target_gain: Annotated[float, Meta(description="What the newest frames ask for.")] = 1.0
    target_gamma: Annotated[float, Meta(description="What the newest frames ask for.")] = 1.0
    target_blue: Annotated[float, Meta(description="What the newest frames ask for.")] = 1.0
    target_green: Annotated[float, Meta(description="What the newest frames ask for.")] = 1.0
    target_red: Annotated[float, Meta(description="What the newest frames ask for.")] = 1.0
