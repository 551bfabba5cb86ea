"""``edge-agent doctor``: what this machine is, and which of the field's known traps it is in, each with its mend.

``record`` what is said; ``scene`` what is looked at; ``software``, ``power``, ``storage``, ``network``, ``system`` and
``accelerator`` the checks; ``examine`` runs them, each failing alone; ``show`` prints; ``archive`` is ``--capture``.
Starts nothing and mends nothing; a broker gets one probe message, a bundle is unpacked as at a start.
"""

from agent.doctor.archive import write_archive
from agent.doctor.examine import CHECKS, examine
from agent.doctor.record import Check, Diagnosis, Finding, Trap
from agent.doctor.scene import Scene, Tried, look_around
from agent.doctor.show import json_text, schema, text

__all__ = [
    "CHECKS",
    "Check",
    "Diagnosis",
    "Finding",
    "Scene",
    "Trap",
    "Tried",
    "examine",
    "json_text",
    "look_around",
    "schema",
    "text",
    "write_archive",
]
