"""Kept frames as a data set: pictures named in the order taken, boxes as COCO has them, and a manifest.

The boxes are what the model answered, not the truth: they are where a person begins to correct, and say so.
The folder can be handed to ``edge-agent recalibrate`` as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent import __version__
from agent.errors import StorageError
from agent.sample import PICTURE, Kept, Record, picture
from agent.samples.text import when

ANNOTATIONS, MANIFEST = "annotations.json", "manifest.json"


@dataclass(slots=True)
class Written:
    """What came of it.

    Attributes:
        frames: pictures in the data set.
        left_out: a sentence by name.
    """

    frames: int = 0
    left_out: dict[str, str] = field(default_factory=dict)


def write_dataset(folder: Path, kept: Sequence[Kept], target: Path) -> Written:
    """Write a folder, whole or not at all.

    Args:
        folder: of the store.
        kept: what is taken along, in the order taken.
        target: the new folder; one that is there must be empty.

    Raises:
        StorageError: it cannot be written, is there and not empty, or no frame has a picture.
    """
    _refuse_full(target)
    beside = target.absolute().with_name(f".{target.absolute().name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        written = _fill(folder, kept, beside)
        if not written.frames:
            raise StorageError(f"{folder}: {_no_picture(written)}")
        with contextlib.suppress(FileNotFoundError):
            target.rmdir()
        beside.replace(target)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return written


def _refuse_full(target: Path) -> None:
    try:
        if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
            raise StorageError(f"{target}: is there already; name a new folder, or an empty one")
    except OSError as error:
        raise StorageError(f"{target}: cannot be read: {error.strerror}") from None


def _no_picture(written: Written) -> str:
    why = next(iter(written.left_out.values()), "")
    return f"no frame with a picture; the first: {why}" if why else "no frame is kept that fits"


def _fill(folder: Path, kept: Sequence[Kept], target: Path) -> Written:
    written, records, pictures = Written(), [], []
    for each in kept:
        try:
            data = picture(folder, each.record)
        except StorageError as error:
            written.left_out[each.name] = str(error)
            continue
        (target / f"{each.name}{PICTURE}").write_bytes(data)
        records.append(each.record)
        pictures.append({"file": f"{each.name}{PICTURE}", "bytes": len(data), "sha256": each.record.picture_sha256})
    written.frames = len(records)
    _write_json(target / ANNOTATIONS, coco(records))
    _write_json(
        target / MANIFEST,
        {
            "v": 1,
            "agent": __version__,
            "pictures": pictures,
            "records": msgspec.to_builtins(records),
            "left_out": written.left_out,
        },
    )
    return written


def coco(records: Sequence[Record]) -> dict[str, Any]:
    """Images, annotations and categories; numbers begin with 1, and the same records give the same ones.

    Only what counted as an object is an annotation. ``score`` and the model's own ``class_id`` stand beside what COCO
    asks for; a class of that number that another model called otherwise is another category.
    """
    boxes = [
        (number, box) for number, record in enumerate(records, 1) for box in record.detections or [] if box.is_object
    ]
    kinds = {kind: number for number, kind in enumerate(sorted({(box.class_id, box.label) for _, box in boxes}), 1)}
    return {
        "info": {"description": "Frames kept on the board. The boxes are the model's answers, not the truth."},
        "images": [_image(number, record) for number, record in enumerate(records, 1)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": kinds[box.class_id, box.label],
                "bbox": [box.xyxy[0], box.xyxy[1], box.xyxy[2] - box.xyxy[0], box.xyxy[3] - box.xyxy[1]],
                "area": (box.xyxy[2] - box.xyxy[0]) * (box.xyxy[3] - box.xyxy[1]),
                "iscrowd": 0,
                "score": box.score,
            }
            for number, (image, box) in enumerate(boxes, 1)
        ],
        "categories": [
            {"id": number, "name": label, "class_id": class_id} for (class_id, label), number in kinds.items()
        ],
    }


def _image(number: int, record: Record) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": f"{record.name}{PICTURE}",
        "width": record.width,
        "height": record.height,
        "date_captured": "" if record.wall_s is None else when(record),
        "answered": record.detections is not None,
        "why": list(record.why),
        "privacy": record.privacy,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
