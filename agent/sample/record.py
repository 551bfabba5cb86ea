"""What is written beside each kept frame: why, what was seen, when, with which model; and what of that is believed."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from agent.errors import StorageError
from agent.records import Detections, FloatArray, Labels, Pixels, StageTimes
from agent.sample.candidate import Reason

MOST_BYTES = 1 << 20
MOST_BOXES = 1000
_MOST_TEXT = 500
NAME = re.compile(r"\d{8}-[0-9a-f]{8}")
"""Number in the order taken, and the first digits of the picture's sha256 (without one: of the record's own facts)."""

Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]
Side = Annotated[float, Meta(ge=-1e6, le=1e6)]
Pixel = Annotated[int, Meta(ge=1, le=1_000_000)]
ClassId = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Lived = Annotated[float, Meta(ge=0, le=1e12)]
Some = Annotated[int, Meta(ge=0, le=1 << 53)]


class SeenBox(msgspec.Struct, frozen=True, kw_only=True):
    """One box."""

    label: Annotated[str, Meta(description="Name of its class.")]
    class_id: Annotated[ClassId, Meta(description="The model's number of it.")]
    score: Annotated[Side, Meta(description="0 to 1.")]
    xyxy: Annotated[
        tuple[Side, Side, Side, Side], Meta(description="Left, top, right, bottom in pixels of the picture.")
    ]
    is_object: Annotated[bool, Meta(description="It scored at least the threshold of its class.")]


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Where the frame's time went, seconds."""

    age_s: Finite
    preprocess_s: Finite
    invoke_s: Finite
    postprocess_s: Finite


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What answered the frame."""

    model: Annotated[str, Meta(description="Name of the model.")] = ""
    model_sha256: Annotated[str, Meta(description="Of the file that ran.")] = ""
    bundle: Annotated[str, Meta(description="Name and version of the bundle; empty: a plain file.")] = ""
    boot: Annotated[str, Meta(description="This start of the agent.")] = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One kept frame."""

    v: Annotated[Literal[1], Meta(description="Version of this record.")] = 1
    name: Annotated[str, Meta(description="Its files are called so, and end in .json and .jpg.")]
    why: Annotated[list[Reason], Meta(min_length=1, description="Why it is kept; the first one's budget paid.")]
    told: Annotated[list[str], Meta(description="Each of these in words.")]
    sequence: Annotated[Some, Meta(description="The camera's number of the frame, in this start.")]
    wall_s: Annotated[Finite | None, Meta(description="Unix time; null: the board did not know the time.")]
    lived_s: Annotated[
        Lived, Meta(description="Seconds that the agent had run on this store, over all starts; never steps.")
    ]
    width: Annotated[Pixel, Meta(description="Pixels of the frame.")]
    height: Annotated[Pixel, Meta(description="Pixels of the frame.")]
    privacy: Annotated[str, Meta(description="The policy that it was written under.")]
    withheld: Annotated[str, Meta(description="Why there is no picture; empty: there is one.")] = ""
    picture_bytes: Annotated[Some, Meta(description="Size of the JPEG file; 0: there is none.")] = 0
    picture_sha256: Annotated[str, Meta(description="Of the JPEG file.")] = ""
    detections: Annotated[
        list[SeenBox] | None,
        Meta(description="Every box that was known, the best 1000; null: no answer, which is not: nothing there."),
    ]
    times: Annotated[Times | None, Meta(description="Where its time went.")] = None
    origin: Annotated[Origin, Meta(description="What answered it.")] = Origin()
    features: Annotated[list[Finite | None], Meta(description="What coverage compares; null: not a number.")]
    tiles: Annotated[
        str,
        Meta(pattern=r"^([0-9a-f]{288})\Z", description="Mean luma of 9 x 16 tiles, row by row, two hex digits each."),
    ]


def encode(record: Record) -> bytes:
    """As the file holds it.

    Raises:
        StorageError: it could not be read again: a number in it is out of its range, or there is too much of it.
    """
    data = msgspec.json.encode(record) + b"\n"
    try:
        decode(data, record.name)
    except ValueError as error:
        raise StorageError(f"frame {record.name} cannot be described: {error}") from None
    return data


def decode(data: bytes, name: str) -> Record:
    """A record that a file holds.

    Raises:
        ValueError: it is damaged, or another's; says how.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"larger than any record ({MOST_BYTES >> 10} KiB)")
    try:
        record = msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if record.name != name:
        raise ValueError(f"belongs to {record.name[:40]!r}")
    if bool(record.picture_bytes) == bool(record.withheld):
        raise ValueError("says both that there is a picture and why there is none, or neither")
    return record


def boxes(found: Detections | None, labels: Labels, are_objects: list[bool]) -> list[SeenBox] | None:
    """The boxes as a record has them, the best thousand; one that lies nowhere is left out."""
    if found is None:
        return None
    rows = zip(found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist(), are_objects, strict=True)
    return [
        SeenBox(
            label=cut(labels.name(class_id)),
            class_id=class_id,
            score=round(score, 4),
            xyxy=(round(box[0], 2), round(box[1], 2), round(box[2], 2), round(box[3], 2)),
            is_object=is_object,
        )
        for box, score, class_id, is_object in rows
        if all(map(math.isfinite, (score, *box)))
    ][:MOST_BOXES]


def times(found: StageTimes | None) -> Times | None:
    """The times as a record has them; None where one of them is no number."""
    if found is None or not math.isfinite(found.age_s + found.total_s):
        return None
    return Times(
        age_s=found.age_s,
        preprocess_s=found.preprocess_s,
        invoke_s=found.invoke_s,
        postprocess_s=found.postprocess_s,
    )


def cut(text: str) -> str:
    """A text that is not the record's own, at most so much of it."""
    return text[:_MOST_TEXT]


def numbers(features: FloatArray) -> list[float | None]:
    """A vector as a record has it: six digits, null for what is no number."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in features.tolist()]


def vector(record: Record) -> FloatArray:
    """The features again, float32 (n,); NaN for null."""
    return np.array([np.nan if value is None else value for value in record.features], np.float32)


def tiles(record: Record) -> Pixels:
    """The tiles again, uint8 (144,)."""
    return np.frombuffer(bytes.fromhex(record.tiles), np.uint8)
