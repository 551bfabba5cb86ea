"""``edge-agent parity``: do two ways of running a model see the same things on the same frames?

``match`` pairs the boxes of one frame; ``record`` what is told; ``sample`` turns many frames into intervals and a
verdict; ``compare`` runs both sides, each in a child process; ``show`` prints; ``canary`` is the same in service, one
frame every so often.
"""

from agent.parity.canary import Canary, make_canary
from agent.parity.compare import Side, compare, plan_beside, plan_side
from agent.parity.match import FrameDiff, match
from agent.parity.record import Comparison, Interval, SideReport
from agent.parity.sample import Tolerance, judge
from agent.parity.show import json_text, schema, text

__all__ = [
    "Canary",
    "Comparison",
    "FrameDiff",
    "Interval",
    "Side",
    "SideReport",
    "Tolerance",
    "compare",
    "json_text",
    "judge",
    "make_canary",
    "match",
    "plan_beside",
    "plan_side",
    "schema",
    "text",
]
