"""What comes in, as data: the topics that a device reads, and what is sent there.

A device also reads its own ``state`` and alarms, to repair what is stale; those are in :mod:`agent.publish.topics`.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.publish import contract
from agent.publish.contract import Part

TO_ALL = "$all"
"""Stands where a device's name would: a request to every board of a site. No device can be called that."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """One topic that is written by others.

    Attributes:
        pattern: below ``edge/v1/{site}``; ``{device}``, ``{op}`` and ``{id}`` stand for one word each.
        name: what the channel is called in the AsyncAPI document.
        retain: whoever writes it leaves it with the broker; what is retained on another one is ignored.
        payload: the record that is expected.
        description: one sentence for people.
    """

    pattern: str
    name: str
    retain: bool
    payload: type[Part]
    description: str


INBOUND = (
    Inbound("{device}/desired", "desired", True, contract.Desired, "What a board is to be; empty: nothing special."),
    Inbound("{device}/cmd/{op}/{id}", "cmd", False, contract.Request, "A request to one board."),
    Inbound(
        f"{TO_ALL}/cmd/{{op}}/{{id}}", "cmd-to-all", False, contract.Request, "A request to every board of a site."
    ),
)
