"""Picture memory that is used again as soon as nobody looks at it any more.

A frame of 1080p is 6 MB: to allocate that for each frame means mmap, page faults and zeroed pages, 30 times a second.
Nobody has to give a frame back. CPython counts the holders of every array, a slice of it counts as one (``base``), and
an array that only the pool holds is free. Used by the camera thread alone.
"""

from __future__ import annotations

import sys

import numpy as np

from agent.records import Pixels


def _holders(arrays: list[Pixels], index: int) -> int:
    return sys.getrefcount(arrays[index])


# Measured, not assumed: how many references the call itself adds differs between versions of Python.
_FREE = _holders([np.empty(0, np.uint8)], 0)


class Pool:
    """Arrays of one shape, at most ``limit``; who holds more frames than that pays for their memory himself."""

    def __init__(self, limit: int = 6) -> None:
        self._limit = limit
        self._arrays: list[Pixels] = []

    def take(self) -> Pixels | None:
        """An array that nobody else holds, or ``None``; its content is whatever was in it."""
        for index in range(len(self._arrays)):
            if _holders(self._arrays, index) == _FREE:
                return self._arrays[index]
        return None

    def keep(self, array: Pixels) -> None:
        """Remember an array for later; the first one of another shape makes all others worthless."""
        if self._arrays and self._arrays[0].shape != array.shape:
            self._arrays.clear()
        if len(self._arrays) < self._limit and all(known is not array for known in self._arrays):
            self._arrays.append(array)
