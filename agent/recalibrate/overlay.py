"""What this board has learned about its model: a range patch, a correction of the light, score thresholds.

The file itself, signed and received, is never changed: what is learned lies over it. The patched file is made from it
at each start, and is used only when it is bit for bit what was proven. One small record for each base file, written
whole or not at all; dropped by ``undo``, and of itself when another base comes. Any fault here means that the base file
runs as it was received, and a line in the log: the parts of a record were proven together.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent import files
from agent.errors import ModelError, StorageError, UnavailableError
from agent.files import write_whole
from agent.model import RangePatch, apply, mapped
from agent.recalibrate import typical
from agent.records import Correction, Learned, Retuned
from agent.wording import no_json

log = logging.getLogger("agent.service")

FOLDER = "overlays"
_MOST_BYTES = 64 * 1024
_NAMED = 16
"""Digits of a hash in the name of a patched file; what is in it is compared whole."""

Gain = tuple[float, float, float]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Score = Annotated[float, Meta(ge=0.0, le=1.0)]
LightDigest = Annotated[
    str,
    Meta(
        pattern=r"^([0-9a-f]{16})?\Z",
        description="Of the correction that it was proven under; empty: of a record that did not say.",
    ),
]


class ProvenPatch(msgspec.Struct, frozen=True, kw_only=True):
    """New ranges, and what proved them."""

    patch: Annotated[RangePatch, Meta(description="What is changed.")]
    agreement: Annotated[float, Meta(description="With the float reference after it, 0 to 1, on held-out frames.")]
    gain: Annotated[Gain, Meta(description="Of agreement: value, low, high (95 %).")]
    frames: Annotated[int, Meta(description="Held-out frames that proved it.")]
    runtime: Annotated[str, Meta(description="Name and version of the runtime that proved it, where known.")] = ""
    light: LightDigest = ""


class ProvenCorrection(msgspec.Struct, frozen=True, kw_only=True):
    """Another light, and what proved it."""

    correction: Annotated[Correction, Meta(description="What is done to a frame before the model sees it.")]
    distance: Annotated[float, Meta(description="From the reference's light after it, grey levels, held-out frames.")]
    gain: Annotated[Gain, Meta(description="How much nearer: value, low, high (95 %), grey levels.")]
    frames: Annotated[int, Meta(description="Held-out frames that proved it.")]
    typical: Annotated[
        str,
        Meta(description="The reference's typical light, 3 x 64 grey levels in base85; empty in older records."),
    ] = ""

    def __post_init__(self) -> None:
        if self.typical:
            typical.unpack(self.typical)


class ProvenThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """A class's score threshold, and what it rests on."""

    given: Annotated[Score, Meta(description="What the settings said; another number there since wins.")]
    threshold: Annotated[Score, Meta(description="Used in its place.")]
    rate: Annotated[float, Meta(description="False positives a frame at it, as far as they could be known.")]
    evidence: Annotated[int, Meta(description="False positives that this rests on.")]
    by: Annotated[Literal["correct", "recalibrate"], Meta(description="The rung that asked for it.")]
    light: LightDigest = ""


class Overlay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="v", tag=2):
    """One record."""

    base_sha256: Annotated[Sha256, Meta(description="Of the file that it lies over.")]
    ranges: Annotated[ProvenPatch | None, Meta(description="Absent: the file's own.")] = None
    light: Annotated[ProvenCorrection | None, Meta(description="Absent: as the camera gives it.")] = None
    thresholds: Annotated[dict[str, ProvenThreshold], Meta(description="By class name.")] = {}

    @property
    def is_empty(self) -> bool:
        """Nothing of it changes anything."""
        return self.ranges is None and self.light is None and not self.thresholds

    @property
    def is_of_one_light(self) -> bool:
        """Patch and thresholds were proven under the correction that is in the record, as far as they say."""
        digest = light_digest(self.light.correction if self.light else None)
        said = {each.light for each in self.thresholds.values()} | {self.ranges.light if self.ranges else ""}
        return said <= {"", digest}

    def learned(self) -> Learned:
        """What is put in force besides the patched file."""
        return Learned(
            correction=self.light.correction if self.light else None,
            typical=self.light.typical if self.light else "",
            thresholds={name: Retuned(each.given, each.threshold) for name, each in self.thresholds.items()},
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        if self.ranges is not None:
            yield f"a range patch of this board (agreement {self.ranges.agreement:.3f})"
        if self.light is not None:
            yield f"a correction of the light of this board ({words(self.light.correction)}), for one light only"
        if self.thresholds:
            moved = (f"{name} {each.given:.2f} -> {each.threshold:.2f}" for name, each in self.thresholds.items())
            yield f"score thresholds of this board: {', '.join(moved)}"


class _First(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """The record of the first version: a range patch alone."""

    patch: RangePatch
    agreement: float
    gain: Gain
    frames: int

    def upgraded(self) -> Overlay:
        ranges = ProvenPatch(patch=self.patch, agreement=self.agreement, gain=self.gain, frames=self.frames)
        return Overlay(base_sha256=self.patch.base_sha256, ranges=ranges)


def light_digest(correction: Correction | None) -> str:
    """Which correction something was proven under, 16 hexadecimal digits; none and a neutral one are the same."""
    said = correction or Correction()
    numbers = (float(number) + 0.0 for number in (said.black, said.gain, said.gamma, *said.balance))
    return hashlib.sha256(struct.pack("<6d", *numbers)).hexdigest()[:16]


def words(correction: Correction) -> str:
    """A correction's numbers that do something, in words."""
    said = [f"black {correction.black:g}"] if correction.black else []
    said += [f"gain {correction.gain:.2f}"] if correction.gain != 1 else []
    said += [f"gamma {correction.gamma:.2f}"] if correction.gamma != 1 else []
    blue, green, red = correction.balance
    said += [f"blue x{blue:.2f}, green x{green:.2f}, red x{red:.2f}"] if correction.balance != (1, 1, 1) else []
    return ", ".join(said) or "none"


def decode(data: bytes) -> Overlay:
    """A record of any version.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is none.
    """
    found = msgspec.json.decode(data, type=_First | Overlay)
    return found.upgraded() if isinstance(found, _First) else found


def read(state: Path, base_sha256: str) -> Overlay | None:
    """The record for this base; None when there is none.

    Raises:
        StorageError: it cannot be read.
        ModelError: it is damaged, is for another base, or its parts were proven in another light.
    """
    path = _path(state, base_sha256)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        overlay = decode(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = no_json(error, Overlay)
        raise ModelError(f"{path}: is damaged: {why}; remove it with `edge-agent recalibrate --undo`") from None
    if overlay.base_sha256 != base_sha256 or (overlay.ranges and overlay.ranges.patch.base_sha256 != base_sha256):
        raise ModelError(f"{path}: is for another file; remove it with `edge-agent recalibrate --undo`")
    if not overlay.is_of_one_light:
        raise ModelError(
            f"{path}: its parts were proven in another light; remove it with `edge-agent recalibrate --undo`"
        )
    return overlay


def write(state: Path, overlay: Overlay) -> Path:
    """Put a record in force for the next start: whole or not at all, whenever the power goes.

    Raises:
        StorageError: it cannot be written, or is so large that it would not be read.
    """
    path, data = _path(state, overlay.base_sha256), msgspec.json.encode(overlay)
    if len(data) > _MOST_BYTES:
        raise StorageError(
            f"{path}: the record would take {len(data)} bytes, {_MOST_BYTES} are the most: "
            f"it has thresholds of {len(overlay.thresholds)} classes; name fewer in model.classes"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def remove(state: Path, base_sha256: str) -> bool:
    """Take the record away; False when there was none.

    Raises:
        StorageError: it cannot be removed.
    """
    path = _path(state, base_sha256)
    try:
        return files.remove(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class InForce:
    """What lies over a base file, ready to be run.

    Attributes:
        overlay: the record.
        path: the file to run: the patched one, or the base where no patch is in the record.
        learned: everything else of the record.
    """

    overlay: Overlay
    path: Path
    learned: Learned


def in_force(state: Path, base: Path, base_sha256: str) -> InForce | None:
    """What lies over ``base``; None where nothing, or nothing usable, does."""
    try:
        overlay = read(state, base_sha256)
        if overlay is None:
            return None
        path = _patched(state, base, overlay.ranges.patch) if overlay.ranges else base
    except (ModelError, StorageError) as error:
        log.warning("what this board learned is not used: %s", error)
        return None
    except OSError as error:
        log.warning("what this board learned is not used: %s: %s", error.filename, error.strerror)
        return None
    learned = overlay.learned()
    for note in learned.notes:
        log.info("over the model lies %s", note)
    return InForce(overlay, path, learned)


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """One recalibration at a time.

    Raises:
        UnavailableError: another one is at work.
        StorageError: the folder cannot be written.
    """
    folder = state / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("wb")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnavailableError(f"{folder}: another recalibration is at work; try again when it is done") from None
        yield


def _path(state: Path, base_sha256: str) -> Path:
    return state / FOLDER / f"{base_sha256}.json"


def _patched(state: Path, base: Path, patch: RangePatch) -> Path:
    made = apply(mapped(base), patch)
    mine = patch.base_sha256[:_NAMED]
    path = state / FOLDER / f"{mine}.{patch.result_sha256[:_NAMED]}.tflite"
    if not (path.is_file() and path.read_bytes() == made):  # what lies there already is compared, not believed
        write_whole(path, made, safely=False)
        _clear(state, mine, path)
    return path


def _clear(state: Path, mine: str, kept: Path) -> None:
    """Files that older patches of the same base made; not while a recalibration may be looking at one.

    Those of other bases stay: several models may share one state folder, each with its own.
    """
    with contextlib.suppress(UnavailableError, StorageError), alone(state):
        for other in kept.parent.glob(f"{mine}.*.tflite"):
            if other != kept:
                other.unlink(missing_ok=True)
