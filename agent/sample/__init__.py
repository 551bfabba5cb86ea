"""Which frames to keep, and the store that keeps them: for repair, for training, for a person to look at.

::

    Candidate ─> Sampler ─> Choice          pure: four policies with budgets, on command, no near-duplicates
      reasons (cover), budget, likeness
    Taken ─> Store ─> a JPEG and a record   privacy, describe (record), retention, tenure
    shelf.read                              the folder again, for whoever looks at it

Settings: ``[sample]``. What each part promises is in docs/sampling.md.
"""

from agent.sample.candidate import REASONS, Candidate, Choice, Reason
from agent.sample.describe import Rules, Taken
from agent.sample.likeness import features
from agent.sample.privacy import Privacy, hide, plan
from agent.sample.reasons import Thresholds
from agent.sample.record import Origin, Record, SeenBox
from agent.sample.retention import Held, age_s
from agent.sample.sampler import Remembered, Sampler
from agent.sample.shelf import PICTURE, RECORD, Kept, Shelf, picture, read
from agent.sample.store import Store

__all__ = [
    "PICTURE",
    "REASONS",
    "RECORD",
    "Candidate",
    "Choice",
    "Held",
    "Kept",
    "Origin",
    "Privacy",
    "Reason",
    "Record",
    "Remembered",
    "Rules",
    "Sampler",
    "SeenBox",
    "Shelf",
    "Store",
    "Taken",
    "Thresholds",
    "age_s",
    "features",
    "hide",
    "picture",
    "plan",
    "read",
]
