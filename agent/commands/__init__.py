"""Commands from afar: a closed list of operations, each answered exactly once; never a shell.

``desk`` decides who is served, ``ledger`` remembers what became of each, ``errands`` is the thread that does the work;
``operation`` is the list, and the rest are the operations themselves.
"""

from agent.commands.benching import Benching, BenchResults
from agent.commands.desk import Commands, share
from agent.commands.diag import Diag, Tail
from agent.commands.errands import Errands
from agent.commands.ledger import Ledger
from agent.commands.operation import KINDS, Operation, offered
from agent.commands.pictures import Pictures
from agent.commands.small import LogLevels, Rebirth, Relearn, Restart
from agent.commands.snapshot import JPEG_BYTES, Snapshots, encode

__all__ = [
    "JPEG_BYTES",
    "KINDS",
    "BenchResults",
    "Benching",
    "Commands",
    "Diag",
    "Errands",
    "Ledger",
    "LogLevels",
    "Operation",
    "Pictures",
    "Rebirth",
    "Relearn",
    "Restart",
    "Snapshots",
    "Tail",
    "encode",
    "offered",
    "share",
]
