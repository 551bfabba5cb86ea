"""Small files of SQLite on a board that loses power, with a disk that fills, turns read-only or garbles.

``database`` is one file: opened with a check, written whole transactions at a time, moved aside when it is corrupt.
``disk`` is such a file that may not be there: said once, counted, tried again. ``wal`` looks for what SQLite does not
say.
"""

from agent.sqlite.database import FAULTS, Database, is_corrupt
from agent.sqlite.disk import RETRY_S, Disk, DiskCounts

__all__ = ["FAULTS", "RETRY_S", "Database", "Disk", "DiskCounts", "is_corrupt"]
