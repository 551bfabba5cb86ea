"""What a detector remembers, as a record and as bytes: it goes on after a restart where it stood. Pure."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from agent.drift.features import FEATURES, VERSION, Reals

BETS = 2 * len(FEATURES)
_MAGIC = b"DRIFTST" + bytes([VERSION])
_HEAD = struct.Struct("<16sqqqq")
_ARRAYS = 5
_SIZE = len(_MAGIC) + _HEAD.size + _ARRAYS * 8 * BETS + 4
_MOST_LEVEL = 1e30


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where a detector stands.

    Attributes:
        reference: fingerprint of what it compares with; a state of another reference means nothing.
        blocks: blocks judged so far.
        alarmed_at: block at which the alarm was raised; -1: there is none.
        calm: blocks since the e-value fell below the level at which an alarm ends.
        warned_at: block at which it was given; -1: there is none.
        level: (52,) of the e-detector: that each feature rose, then that it fell.
        cusum: (52,).
        since: (52,) block at which each feature was last like the reference, later by the blocks that did not show it.
        sums: (52,) of the feature since then.
        climb: (52,) logarithm of what the bets since then won; it tells when that began.
    """

    reference: bytes
    blocks: int
    alarmed_at: int
    calm: int
    warned_at: int
    level: Reals
    cusum: Reals
    since: Reals
    sums: Reals
    climb: Reals

    def __post_init__(self) -> None:
        if len(self.reference) != 16 or any(each.shape != (BETS,) for each in self._arrays):
            raise ValueError("arrays of another length")
        if not all(np.isfinite(each).all() for each in self._arrays):
            raise ValueError("a level is no number")
        positive = np.stack([self.level, self.cusum, self.since, self.climb])
        if not ((positive >= 0) & (positive <= _MOST_LEVEL)).all():
            raise ValueError("a level is out of range")
        if self.blocks < 0 or self.calm < 0 or not (self.since <= self.blocks).all():
            raise ValueError("a block is counted that has not been yet")
        if not all(-1 <= at <= self.blocks for at in (self.alarmed_at, self.warned_at)):
            raise ValueError("an alarm of a block that has not been yet")

    @property
    def _arrays(self) -> tuple[Reals, ...]:
        return self.level, self.cusum, self.since, self.sums, self.climb

    def to_bytes(self) -> bytes:
        """As a file: magic word, head, five arrays, checksum; little-endian."""
        head = _HEAD.pack(self.reference, self.blocks, self.alarmed_at, self.calm, self.warned_at)
        body = head + b"".join(np.asarray(each, "<f8").tobytes() for each in self._arrays)
        return _MAGIC + body + struct.pack("<I", zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """The inverse of :meth:`to_bytes`.

        Raises:
            ValueError: it is no such file, was cut or damaged, or is of another version.
        """
        if data[: len(_MAGIC)] != _MAGIC or len(data) != _SIZE:
            raise ValueError(f"no state of a drift detector of version {VERSION}: {len(data)} bytes, {data[:8]!r}")
        body = data[len(_MAGIC) : -4]
        if zlib.crc32(body) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("its checksum is wrong")
        reference, blocks, alarmed_at, calm, warned_at = _HEAD.unpack_from(body)
        arrays = np.frombuffer(body, "<f8", offset=_HEAD.size).reshape(_ARRAYS, BETS).astype(np.float64)
        return cls(reference, blocks, alarmed_at, calm, warned_at, *arrays)


def fresh(reference: bytes) -> State:
    """Nothing has been seen yet."""
    zeros = [np.zeros(BETS) for _ in range(_ARRAYS)]
    return State(reference, 0, -1, 0, -1, *zeros)


def fingerprint(data: bytes) -> bytes:
    """16 bytes that stand for a reference's file."""
    return hashlib.sha256(data).digest()[:16]
