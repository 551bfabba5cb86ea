"""Tiny .tflite files written on the spot, for what no real file at hand shows.

Slot numbers and codes: tensorflow/lite/schema/schema.fbs, schema version 3. The usual graph copies the picture's bytes
into two raw heads by RESHAPE, so that a test knows every number of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}
RESHAPE = 22
CUSTOM = 32
POSTPROCESS = "TFLite_Detection_PostProcess"


@dataclass(frozen=True)
class Tensor:
    """One tensor; with ``data`` it is a constant."""

    name: str
    shape: Sequence[int]
    dtype: str = "float32"
    scale: Sequence[float] = ()
    zero_point: Sequence[int] = ()
    data: bytes = b""


@dataclass(frozen=True)
class Op:
    """One operation over tensor indices; ``settings``: its BuiltinOptions type, and slot -> 32-bit value."""

    builtin: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    custom: str = ""
    options: bytes = b""
    settings: tuple[int, dict[int, int]] | None = None


@dataclass(frozen=True)
class Tiny:
    """A whole model."""

    tensors: Sequence[Tensor]
    ops: Sequence[Op]
    inputs: Sequence[int]
    outputs: Sequence[int]
    metadata: dict[str, bytes] = field(default_factory=dict)
    description: str = "tiny"

    def write(self, path: Path) -> Path:
        path.write_bytes(_Writer().model(self))
        return path


def heads(
    rows: int = 2, cols: int = 6, *, dtype: str = "uint8", scale: float = 0.5, zero_point: int = 0, **changes: object
) -> Tiny:
    """A picture whose bytes are the boxes and the scores, (1, rows * cols * 3 / 4, 4) each."""
    anchors = rows * cols * 3 // 4
    quantized = {"dtype": dtype, "scale": (scale,), "zero_point": (zero_point,)} if dtype != "float32" else {}
    shape = np.array([1, anchors, 4], np.int32).tobytes()
    parts = {
        "tensors": [
            Tensor("picture", (1, rows, cols, 3), **quantized),  # type: ignore[arg-type]
            Tensor("shape", (3,), "int32", data=shape),
            Tensor("boxes", (1, anchors, 4), **quantized),  # type: ignore[arg-type]
            Tensor("scores", (1, anchors, 4), **quantized),  # type: ignore[arg-type]
        ],
        "ops": [Op(RESHAPE, (0, 1), (2,)), Op(RESHAPE, (0, 1), (3,))],
        "inputs": (0,),
        "outputs": (2, 3),
    }
    return Tiny(**(parts | changes))  # type: ignore[arg-type]


def mismatched(path: Path) -> Path:
    """Heads of which one has twice as many anchors as the other."""
    tiny = heads()
    shape = replace(tiny.tensors[1], data=np.array([1, 18, 2], np.int32).tobytes())
    tensors = [*tiny.tensors[:3], replace(tiny.tensors[3], shape=(1, 18, 2)), shape]
    return replace(tiny, tensors=tensors, ops=[tiny.ops[0], Op(RESHAPE, (0, 4), (3,))]).write(path)


def decoded(options: bytes | None = None, *, custom: str = POSTPROCESS, **changes: object) -> Tiny:
    """What ends in a custom operation with four outputs, as a converter writes it; its inputs are constants."""
    boxes, scores = np.zeros((1, 2, 4), np.float32), np.array([[[0.1, 0.9], [0.1, 0.2]]], np.float32)
    anchors = np.array([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]], np.float32)
    usual = {
        "max_detections": 2,
        "max_classes_per_detection": 1,
        "nms_score_threshold": 0.0,
        "nms_iou_threshold": 0.5,
        "num_classes": 1,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    parts = {
        "tensors": [
            Tensor("picture", (1, 4, 4, 3), "uint8", (1 / 128,), (128,)),
            Tensor("encoded", boxes.shape, data=boxes.tobytes()),
            Tensor("predictions", scores.shape, data=scores.tobytes()),
            Tensor("anchors", anchors.shape, data=anchors.tobytes()),
            *(Tensor(name, ()) for name in ("found:0", "found:1", "found:2", "found:3")),
        ],
        "ops": [Op(CUSTOM, (1, 2, 3), (4, 5, 6, 7), custom, flexbuffers.Dumps(usual) if options is None else options)],
        "inputs": (0,),
        "outputs": (4, 5, 6, 7),
    }
    return Tiny(**(parts | changes))  # type: ignore[arg-type]


def normalization(mean: Sequence[float], std: Sequence[float]) -> bytes:
    """TFLITE_METADATA that says mean and std of the picture (metadata_schema.fbs)."""
    return _Writer().normalization(mean, std)


class _Writer:
    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def model(self, tiny: Tiny) -> bytes:
        constants = [tensor.data for tensor in tiny.tensors]
        buffers = [b"", *constants, *tiny.metadata.values()]
        operators = [
            self._table(
                u8={3: op.settings[0]} if op.settings else {},
                u32={0: number},
                offsets={1: self._ints(op.inputs), 2: self._ints(op.outputs), **self._raw(op), **self._settings(op)},
            )
            for number, op in enumerate(tiny.ops)
        ]
        subgraph = self._table(
            offsets={
                0: self._tables([self._tensor(tensor, place + 1) for place, tensor in enumerate(tiny.tensors)]),
                1: self._ints(tiny.inputs),
                2: self._ints(tiny.outputs),
                3: self._tables(operators),
            }
        )
        root = self._table(
            u32={0: 3},
            offsets={
                1: self._tables([self._code(op) for op in tiny.ops]),
                2: self._tables([subgraph]),
                3: self._builder.CreateString(tiny.description),
                4: self._tables([self._table(offsets={0: self._bytes(data)} if data else {}) for data in buffers]),
                6: self._tables(
                    [
                        self._table(u32={1: 1 + len(constants) + place}, offsets={0: self._builder.CreateString(name)})
                        for place, name in enumerate(tiny.metadata)
                    ]
                ),
            },
        )
        self._builder.Finish(root, b"TFL3")
        return bytes(self._builder.Output())

    def normalization(self, mean: Sequence[float], std: Sequence[float]) -> bytes:
        options = self._table(offsets={0: self._floats(mean), 1: self._floats(std)})
        unit = self._table(u8={0: 1}, offsets={1: options})
        tensor = self._table(offsets={4: self._tables([unit])})
        subgraph = self._table(offsets={2: self._tables([tensor])})
        self._builder.Finish(self._table(offsets={3: self._tables([subgraph])}), b"M001")
        return bytes(self._builder.Output())

    def _tensor(self, tensor: Tensor, buffer: int) -> int:
        quantization = {}
        if tensor.scale:
            values = {2: self._floats(tensor.scale), 3: self._longs(tensor.zero_point)}
            quantization = {4: self._table(offsets=values)}
        return self._table(
            u8={1: TYPES[tensor.dtype]},
            u32={2: buffer if tensor.data else 0},
            offsets={0: self._ints(tensor.shape), 3: self._builder.CreateString(tensor.name), **quantization},
        )

    def _code(self, op: Op) -> int:
        custom = {1: self._builder.CreateString(op.custom)} if op.custom else {}
        return self._table(u8={0: op.builtin}, u32={2: 1, 3: op.builtin}, offsets=custom)

    def _raw(self, op: Op) -> dict[int, int]:
        return {5: self._bytes(op.options)} if op.options else {}

    def _settings(self, op: Op) -> dict[int, int]:
        return {4: self._table(u32=op.settings[1])} if op.settings else {}

    def _table(
        self,
        *,
        u8: dict[int, int] | None = None,
        u32: dict[int, int] | None = None,
        offsets: dict[int, int] | None = None,
    ) -> int:
        builder = self._builder
        builder.StartObject(9)
        for slot, value in (offsets or {}).items():
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        for slot, value in (u32 or {}).items():
            builder.PrependUint32Slot(slot, value, 0)
        for slot, value in (u8 or {}).items():
            builder.PrependUint8Slot(slot, value, 0)
        return int(builder.EndObject())

    def _tables(self, places: Sequence[int]) -> int:
        self._builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self._builder.PrependUOffsetTRelative(place)
        return int(self._builder.EndVector())

    def _bytes(self, data: bytes) -> int:
        self._builder.StartVector(1, len(data), 16)
        for byte in reversed(data):
            self._builder.PrependByte(byte)
        return int(self._builder.EndVector())

    def _ints(self, values: Sequence[int]) -> int:
        return int(self._builder.CreateNumpyVector(np.array(values, np.int32)))

    def _longs(self, values: Sequence[int]) -> int:
        return int(self._builder.CreateNumpyVector(np.array(values, np.int64)))

    def _floats(self, values: Sequence[float]) -> int:
        return int(self._builder.CreateNumpyVector(np.array(values, np.float32)))
