"""The field benchmark: how fast this board is, for how long, and whether that may be believed.

::

    plan ──> measure ── load, record frames ──> run ── scenarios (one query) ── tally (windows)
                                                 │        observe (the board between windows)
                                              validity, steady, early: pure judgement
                                                 │
                                   result (a record, one JSON) ── store, table

``sweep`` runs many settings, each in a process of its own; ``choice`` finds the best one, ``tune`` writes it into the
configuration.
Everything but sweeping runs on the calling thread.
"""

from agent.bench.frames import Footage, record, take
from agent.bench.measure import Setup, bench
from agent.bench.plan import TITLES, Plan, rules
from agent.bench.result import FORMAT, Result, Window, decode, encode, schema
from agent.bench.run import Progress, Told
from agent.bench.store import ResultFile, read
from agent.bench.table import table

__all__ = [
    "FORMAT",
    "TITLES",
    "Footage",
    "Plan",
    "Progress",
    "Result",
    "ResultFile",
    "Setup",
    "Told",
    "Window",
    "bench",
    "decode",
    "encode",
    "read",
    "record",
    "rules",
    "schema",
    "table",
    "take",
]
