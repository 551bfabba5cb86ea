"""The parts of a .tflite file that the agent looks at, as plain values.

Slot numbers and codes: tensorflow/lite/schema/schema.fbs, schema version 3.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from agent.errors import ModelError
from agent.model.flat import Buffer, Table
from agent.records import TensorSpec

DTYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float64",
    16: "uint16",
    17: "int4",
}
CUSTOM = 32
"""BuiltinOperator.CUSTOM."""

_MOST_ENDS = 1024
_MOST_AXES = 8
"""More than any real model has; beyond them a file is damaged and is read no further."""


def mapped(path: Path) -> Buffer:
    """The file's bytes, mapped and not read into memory; the map goes with the last view of it.

    Raises:
        ModelError: it cannot be opened, or is empty.
    """
    # The map is not closed by hand: an error on its way out holds frames that still look into it, and close() would
    # raise BufferError over the sentence that the user is to read.
    try:
        if path.is_dir():
            raise ModelError(f"{path}: is a folder; give the .tflite file in it")
        if path.exists() and not path.is_file():
            raise ModelError(f"{path}: is a device or a pipe; give a .tflite file")
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise ModelError(f"{path}: is empty; copy the model again")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; give a .tflite model") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from None


@dataclass(frozen=True, slots=True)
class Operator:
    """One operation: its custom name or builtin code; what it reads and writes is looked up when asked for."""

    builtin: int
    custom: str
    table: Table

    @property
    def inputs(self) -> list[int]:
        """Indices of the tensors that it reads; -1 for an optional one that is not there."""
        return _indices(self.table, 1)

    @property
    def outputs(self) -> list[int]:
        """Indices of the tensors that it writes."""
        return _indices(self.table, 2)

    @property
    def custom_options(self) -> bytes:
        """The options of a custom operation, in its own format."""
        return bytes(self.table.raw(5))


class Graph:
    """The first subgraph of a file, read on demand from its bytes."""

    def __init__(self, data: Buffer) -> None:
        if bytes(data[4:8]) != b"TFL3":
            raise ModelError(f"not a TFLite model: identifier {bytes(data[4:8])!r} where 'TFL3' should be")
        self.root = Table.root(data)
        subgraphs = self.root.tables(2)
        if not subgraphs:
            raise ModelError("not a usable model: it has no graph")
        self.subgraph = subgraphs[0]

    @cached_property
    def inputs(self) -> list[TensorSpec]:
        """The graph's inputs."""
        return [self.tensor(index) for index in _indices(self.subgraph, 1)]

    @cached_property
    def outputs(self) -> list[TensorSpec]:
        """The graph's outputs."""
        return [self.tensor(index) for index in _indices(self.subgraph, 2)]

    @cached_property
    def operators(self) -> list[Operator]:
        """Every operation, in order."""
        codes = [_code(table) for table in self.root.tables(1)]
        return [_operator(table, codes) for table in self.subgraph.tables(3)]

    def tensor(self, index: int) -> TensorSpec:
        """One tensor.

        Raises:
            ModelError: there is no such tensor.
        """
        if not 0 <= index < len(self.tensor_tables):
            raise ModelError(f"damaged model: tensor {index} of {len(self.tensor_tables)}")
        return _tensor(index, self.tensor_tables[index])

    @cached_property
    def tensor_tables(self) -> list[Table]:
        """Every tensor as it stands in the file."""
        return self.subgraph.tables(0)

    def metadata(self, name: str) -> Buffer | None:
        """The bytes of the metadata entry of this name; None when the file has none."""
        buffers = self.root.tables(4)
        for entry in self.root.tables(6):
            place = entry.integer(1, "I")
            if entry.text(0) == name and place < len(buffers):
                return buffers[place].raw(0)
        return None


def _code(table: Table) -> tuple[int, str]:
    # Converters before schema 3a wrote the int8 field alone, newer ones the int32: the larger is the code.
    return max(table.integer(0, "b"), table.integer(3, "i")), table.text(1)


def _operator(table: Table, codes: list[tuple[int, str]]) -> Operator:
    place = table.integer(0, "I")
    if place >= len(codes):
        raise ModelError(f"damaged model: operation code {place} of {len(codes)}")
    return Operator(*codes[place], table)


def _indices(table: Table, slot: int) -> list[int]:
    found = table.vector(slot, "i4")
    if len(found) > _MOST_ENDS:
        raise ModelError(f"damaged model: {len(found)} inputs or outputs in one place")
    return [int(index) for index in found]


def _tensor(index: int, table: Table) -> TensorSpec:
    shape = table.vector(7, "i4")
    shape = shape if len(shape) else table.vector(0, "i4")
    if len(shape) > _MOST_AXES:
        raise ModelError(f"damaged model: tensor {index} has {len(shape)} axes")
    quantization = table.table(4)
    scales = quantization.vector(2, "f4") if quantization else np.empty(0, np.float32)
    zeros = quantization.vector(3, "i8") if quantization else np.empty(0, np.int64)
    per_tensor = len(scales) == 1
    return TensorSpec(
        name=table.text(3),
        index=index,
        shape=tuple(int(size) for size in shape),
        dtype=DTYPES.get(table.integer(1, "b"), "unknown"),
        scale=float(scales[0]) if per_tensor else 0.0,
        zero_point=int(zeros[0]) if per_tensor and len(zeros) else 0,
    )
