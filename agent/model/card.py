"""What a .tflite file is as a detector: its picture input, its boxes and scores, found by operation, name and shape.

The order of the outputs differs between converters (TF1 exports boxes, classes, scores, count; TF2 another order), so
the outputs of ``TFLite_Detection_PostProcess`` are taken from the operation itself, and raw heads by their shapes.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from flatbuffers import flexbuffers

from agent.errors import ModelError
from agent.model.anchors import heads_in
from agent.model.arena import least_arena_bytes
from agent.model.flat import Buffer, Table
from agent.model.graph import Graph, Operator, mapped
from agent.records import ModelCard, TensorSpec

POSTPROCESS = "TFLite_Detection_PostProcess"
EDGETPU = "edgetpu-custom-op"

_BOX_WORDS = re.compile(r"box|loc|reg", re.IGNORECASE)
_LABEL_BYTES = 1 << 20
"""Label files are a few kilobytes; a packed one that unfolds beyond this is not read."""

_PACKINGS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The others unfold without a limit."""

_MOST_CHANNELS = 4
_MOST_PIXELS = 8192
_MOST_CLASSES = 100_000
"""Beyond what detectors are made with: such a number is damage, and must not cost memory."""


def describe(path: Path) -> ModelCard:
    """Read and check one file.

    Raises:
        ModelError: it cannot be read, is damaged, or is no single-picture detector; the message says which.
    """
    data = mapped(path)
    try:
        return card_of(path, data, Graph(data))
    except ModelError as error:
        raise ModelError(f"{path}: {error}{_edgetpu_note(data)}") from None


def _edgetpu_note(data: Buffer) -> str:
    compiled = bytes(data[4:8]) == b"TFL3" and re.search(EDGETPU.encode(), data)
    return "; besides, the file is compiled for the Edge TPU" if compiled else ""


def card_of(path: Path, data: Buffer, graph: Graph) -> ModelCard:
    """The card of a file that is open already; errors as :func:`describe`, without the path."""
    picture = _picture(graph)
    decoded = next((op for op in graph.operators if op.custom == POSTPROCESS), None)
    found = _decoded(graph, decoded) if decoded else _raw(graph)
    mean, std = _normalization(graph)
    return ModelCard(
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        input=picture,
        boxes=found["boxes"],
        scores=found["scores"],
        classes=found.get("classes"),
        count=found.get("count"),
        num_classes=_num_classes(decoded) if decoded else None,
        regular_nms=bool(decoded and _option(decoded, "use_regular_nms")),
        custom_ops=tuple(sorted({op.custom for op in graph.operators if op.custom})),
        heads=heads_in(graph),
        embedded_labels=_embedded_labels(path),
        mean=mean,
        std=std,
        description=printable(graph.root.text(3)),
        arena_bytes=_arena_bytes(graph),
    )


def short(name: str) -> str:
    """A tensor's name for a message: old converters join every fused layer's name into one."""
    return printable(name.split(";", maxsplit=1)[0][-60:])


def printable(text: str) -> str:
    """A text of the file without what would move a terminal's cursor or break a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _picture(graph: Graph) -> TensorSpec:
    if len(graph.inputs) != 1:
        names = ", ".join(short(tensor.name) for tensor in graph.inputs[:6]) or "none"
        raise ModelError(f"takes {len(graph.inputs)} inputs ({names}); only models with one picture as input can run")
    picture = graph.inputs[0]
    name, shape = short(picture.name), list(picture.shape)
    if len(shape) != 4 or shape[0] not in {1, -1} or shape[3] not in {1, 3}:
        raise ModelError(f"input {name!r} is {shape}; a picture is [1, height, width, 1 or 3]")
    if min(shape[1:3]) < 1:
        raise ModelError(f"input {name!r} leaves its size open: {shape}; export it with one size")
    if max(shape[1:3]) > _MOST_PIXELS:
        raise ModelError(f"input {name!r} is {shape}; more than {_MOST_PIXELS} pixels a side is no picture of a camera")
    if picture.dtype not in {"uint8", "int8", "float32"}:
        raise ModelError(f"input {name!r} is {picture.dtype}; uint8, int8 and float32 can run")
    _quantized("input", picture)
    return picture


def _quantized(role: str, tensor: TensorSpec) -> None:
    """Refuse an integer tensor whose real values nobody can tell.

    Raises:
        ModelError: it has no scale, one for each channel, or a zero point that its type cannot hold.
    """
    if tensor.dtype == "float32":
        return
    if not 0 < tensor.scale < math.inf:
        raise ModelError(
            f"its {role} {short(tensor.name)!r} is {tensor.dtype} without one scale; the file lost its quantization"
        )
    limits = np.iinfo(tensor.dtype)
    if not limits.min <= tensor.zero_point <= limits.max:
        raise ModelError(f"damaged model: zero point {tensor.zero_point} of its {role} {short(tensor.name)!r}")


def _decoded(graph: Graph, op: Operator) -> dict[str, TensorSpec]:
    if len(op.outputs) < 4:
        raise ModelError(f"its {POSTPROCESS} has {len(op.outputs)} outputs where 4 are needed")
    roles = dict(zip(("boxes", "classes", "scores", "count"), map(graph.tensor, op.outputs), strict=False))
    offered = {tensor.index for tensor in graph.outputs}
    for role, tensor in roles.items():
        if tensor.index not in offered:
            raise ModelError(
                f"does not give its detection {role}: output {short(tensor.name)!r} of {POSTPROCESS} ends inside"
            )
        if tensor.dtype != "float32":
            raise ModelError(f"damaged model: its detection {role} are {tensor.dtype}; {POSTPROCESS} gives float32")
    return roles


def _raw(graph: Graph) -> dict[str, TensorSpec]:
    outputs = graph.outputs
    said = ", ".join(f"{short(tensor.name)} {list(tensor.shape)}" for tensor in outputs[:6]) or "none"
    if len(outputs) != 2:
        raise ModelError(f"is no SSD detector: its outputs are {said}; needed are boxes and class scores")
    four = [tensor for tensor in outputs if tensor.shape[-1:] == (4,)]
    if not four:
        raise ModelError(f"is no SSD detector: none of its outputs ({said}) has 4 numbers a box")
    named = [tensor for tensor in four if _BOX_WORDS.search(tensor.name)] if len(four) > 1 else four
    if len(named) != 1:
        raise ModelError(f"cannot tell boxes from scores: both outputs ({said}) have 4 numbers; name one of them boxes")
    boxes = named[0]
    scores = next(tensor for tensor in outputs if tensor is not boxes)
    for role, tensor in (("boxes", boxes), ("scores", scores)):
        if len(tensor.shape) not in {3, 4}:
            raise ModelError(f"is no SSD detector: its {role} are {list(tensor.shape)}, not [1, anchors, numbers]")
        if tensor.dtype not in {"uint8", "int8", "int16", "float32"}:
            raise ModelError(f"its {role} are {tensor.dtype}; uint8, int8, int16 and float32 can be read")
        _quantized(role, tensor)
    return {"boxes": boxes, "scores": scores}


def _arena_bytes(graph: Graph) -> int | None:
    """A figure for people must not be why a model is refused."""
    try:
        return least_arena_bytes(graph)
    except ModelError:
        return None


def _num_classes(op: Operator) -> int | None:
    number = _option(op, "num_classes")
    return number if number is not None and 0 < number <= _MOST_CLASSES else None


def _option(op: Operator, name: str) -> int | None:
    # One key is looked up; unfolding all of it would follow a hostile file's loops for ever.
    try:
        value = flexbuffers.GetRoot(op.custom_options).AsMap[name]
        return int(value.AsBool) if value.IsBool else int(value.AsInt)
    except (ValueError, LookupError, ArithmeticError, TypeError, AssertionError, struct.error):
        return None


def _embedded_labels(path: Path) -> tuple[str, ...]:
    # TFLite metadata appends associated files to the model as a zip archive.
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [entry for entry in archive.infolist() if entry.filename.endswith(".txt")]
            if len(texts) != 1 or texts[0].file_size > _LABEL_BYTES or texts[0].compress_type not in _PACKINGS:
                return ()
            return tuple(archive.read(texts[0]).decode("utf-8-sig", "replace").splitlines())
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, RuntimeError, EOFError, ValueError):
        return ()


def _normalization(graph: Graph) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the first NormalizationOptions of the input (metadata_schema.fbs, identifier M001)."""
    packed = graph.metadata("TFLITE_METADATA")
    if packed is None or bytes(packed[4:8]) != b"M001":
        return (), ()
    for subgraph in Table.root(packed).tables(3)[:1]:
        for tensor in subgraph.tables(2)[:1]:
            for unit in tensor.tables(4):
                options = unit.table(1)
                if unit.integer(0, "B") == 1 and options is not None:
                    mean, std = options.vector(0, "f4"), options.vector(1, "f4")
                    if max(len(mean), len(std)) > _MOST_CHANNELS:
                        raise ModelError(f"damaged metadata: mean and std of {max(len(mean), len(std))} channels")
                    return tuple(map(float, mean)), tuple(map(float, std))
    return (), ()
