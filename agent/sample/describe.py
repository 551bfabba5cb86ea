"""From a chosen frame to the bytes that are written: a JPEG, as far as the privacy policy allows one, and a record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import cv2

from agent.errors import StorageError
from agent.records import Labels, Pixels, StageTimes
from agent.sample import record as records
from agent.sample.candidate import Candidate, Choice
from agent.sample.likeness import tiles
from agent.sample.privacy import Privacy, hide, why_not
from agent.sample.reasons import Thresholds
from agent.sample.record import Origin, Record


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A frame that was chosen.

    Attributes:
        pixels: uint8 (h, w, 3) BGR; not changed, and not written but through the privacy policy.
        candidate: what it was chosen by.
        choice: why.
        times: where its time went; None: not known.
        origin: what answered it.
    """

    pixels: Pixels
    candidate: Candidate
    choice: Choice
    times: StageTimes | None = None
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class Rules:
    """How frames are described.

    Attributes:
        privacy: what may be written.
        quality: of the JPEG.
        thresholds: what counts as an object.
        labels: class names.
    """

    privacy: Privacy
    quality: int
    thresholds: Thresholds
    labels: Labels


@dataclass(frozen=True, slots=True)
class When:
    """The moment of keeping: how long agents had run by then, and unix time (None: not known)."""

    lived_s: float
    wall_s: float | None


def describe(taken: Taken, rules: Rules, number: int, when: When) -> tuple[Record, bytes]:
    """The record of a frame, and its JPEG; empty where none may be written.

    Args:
        taken: the frame.
        rules: how.
        number: its place in the order taken.
        when: now.

    Raises:
        StorageError: it cannot be encoded as a JPEG.
    """
    found = taken.candidate.detections
    shown = hide(taken.pixels, found, rules.privacy)
    jpeg = b"" if shown is None else _encoded(shown, rules.quality)
    digest = hashlib.sha256(jpeg).hexdigest() if jpeg else ""
    seen, features = tiles(taken.candidate.thumbnail).tobytes().hex(), records.numbers(taken.candidate.features)
    mark = digest or hashlib.sha256(f"{seen} {features}".encode()).hexdigest()
    record = Record(
        name=f"{number:08d}-{mark[:8]}",
        why=list(taken.choice.why),
        told=list(map(records.cut, taken.choice.told)),
        sequence=taken.candidate.sequence,
        wall_s=when.wall_s,
        lived_s=round(when.lived_s, 3),
        width=taken.pixels.shape[1],
        height=taken.pixels.shape[0],
        privacy=rules.privacy.mode,
        withheld="" if jpeg else why_not(found, rules.privacy),
        picture_bytes=len(jpeg),
        picture_sha256=digest,
        detections=_boxes(taken.candidate, rules),
        times=records.times(taken.times),
        origin=taken.origin,
        features=features,
        tiles=seen,
    )
    return record, jpeg


def _boxes(candidate: Candidate, rules: Rules) -> list[records.SeenBox] | None:
    found = candidate.detections
    return None if found is None else records.boxes(found, rules.labels, rules.thresholds.are_objects(found).tolist())


def _encoded(pixels: Pixels, quality: int) -> bytes:
    try:
        return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
    except cv2.error:
        raise StorageError(f"a picture of {pixels.shape[1]} x {pixels.shape[0]} cannot be written as a JPEG") from None
