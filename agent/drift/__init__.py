"""Drift: whether what the camera and the model show is still what it was when all was well. Pure: numpy, no clock.

::

    picture, answers, codes ─> observe         a frame, and what was made of it, as named numbers
    features                                   their names, order and meaning
    learner ─> reference                       blocks of frames, by kind of light, frozen
    dependence, betting                        how long frames remember; from ranks to evidence
    replay                                     what the reference says of the alarm rate: a plan
    detector ─> report                         blocks in, reports out; its state outlives a restart
    stored                                     the reference as a file

Not called by the service yet: docs/drift.md.
"""

from agent.drift.detector import Detector
from agent.drift.features import FEATURES, NAMES, Observation, Schema
from agent.drift.learner import Learner
from agent.drift.observe import Blocks, observe
from agent.drift.reference import Coverage, Reference
from agent.drift.replay import Plan, plan
from agent.drift.report import Evidence, Report
from agent.drift.state import State, fingerprint
from agent.drift.stored import from_bytes, read_reference, to_bytes, write_reference

__all__ = [
    "FEATURES",
    "NAMES",
    "Blocks",
    "Coverage",
    "Detector",
    "Evidence",
    "Learner",
    "Observation",
    "Plan",
    "Reference",
    "Report",
    "Schema",
    "State",
    "fingerprint",
    "from_bytes",
    "observe",
    "plan",
    "read_reference",
    "to_bytes",
    "write_reference",
]
