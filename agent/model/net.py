"""A quantized graph as plain values: its tensors with their scales, its operations with their activations. Read only.

In: a file's bytes. Out: :class:`Net`. What the runtime would refuse is not looked for here; what this package has to
understand to change a scale is, and an operation that it does not know is named with its position.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from agent.errors import ModelError
from agent.model import ops
from agent.model.flat import Buffer, Table
from agent.model.graph import DTYPES, Graph
from agent.model.names import name_of

_MOST_AXES = 8
_MOST_TENSORS = 1 << 14
_MOST_TOLD = 4
"""Times the file's size that names and scales of all tensors may have together: several may share what stands once,
and a hostile file lets thousands share a large one."""

CODE_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}
"""Lowest and highest code of the types that activations have here."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor.

    Attributes:
        index: its place in the graph.
        name: its name.
        shape: its shape.
        dtype: numpy's name.
        scales: float32 (n,): one, one a channel, or none.
        zero_points: int64 (n,): the same; may be shorter than ``scales`` when all are 0.
        axis: the channel axis of ``scales``, when there are several.
        buffer: number of the buffer that holds its bytes; 0 for "none".
        data: its bytes when it is a constant; empty when it is not.
        at: the byte of the file at which they begin.
        is_apart: they stand behind the flatbuffer, and its buffer says where.
        table, table_of_data: where the file describes it, and where its buffer.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int64]
    axis: int
    buffer: int
    data: Buffer
    at: int
    is_apart: bool
    table: Table
    table_of_data: Table

    @property
    def is_constant(self) -> bool:
        """Its bytes stand in the file."""
        return len(self.data) > 0

    @property
    def is_code(self) -> bool:
        """An 8-bit activation with one scale."""
        return self.dtype in CODE_RANGES and len(self.scales) == 1 and not self.is_constant

    @property
    def range(self) -> tuple[float, float]:
        """The real values of its lowest and highest code."""
        low, high = CODE_RANGES[self.dtype]
        zero = int(self.zero_points[0]) if len(self.zero_points) else 0
        scale = float(self.scales[0])
        return (low - zero) * scale, (high - zero) * scale


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: ``position`` in the graph, its name, tensor indices (-1: an optional input that is not there)."""

    position: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    fused: str
    table: Table

    @property
    def shown(self) -> str:
        """For a message."""
        return f"operation {self.position} ({self.name})"


class Net:
    """A file's first graph.

    Raises:
        ModelError: it is damaged, or has more than one graph.
    """

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self.graph = Graph(data)
        self._zeros: dict[int, bool] = {}
        if len(self.graph.root.tables(2)) > 1:
            raise ModelError("has several graphs; only models with one can be changed")

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Tensor indices of the graph's inputs."""
        return tuple(spec.index for spec in self.graph.inputs)

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Tensor indices of the graph's outputs."""
        return tuple(spec.index for spec in self.graph.outputs)

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in order.

        Raises:
            ModelError: one is damaged, or together they describe more than the file can hold.
        """
        buffers = self.graph.root.tables(4)
        found: list[Tensor] = []
        met: set[int] = set()
        left = _MOST_TOLD * len(self.data) + (1 << 16)
        for index, table in enumerate(self.graph.tensor_tables):
            tensor = _tensor(index, table, buffers, self.data)
            left -= len(tensor.name) + tensor.scales.nbytes + tensor.zero_points.nbytes + 4 * len(tensor.shape)
            left -= 0 if tensor.buffer in met else len(tensor.data)
            met.add(tensor.buffer)
            if left < 0 or index >= _MOST_TENSORS:
                raise ModelError(f"damaged model: tensor {index} of a list that tells more than the file holds")
            found.append(tensor)
        return tuple(found)

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """All operations, in order, each with ends that exist."""
        found = []
        left = _MOST_TOLD * len(self.data) + (1 << 16)
        for position, raw in enumerate(self.graph.operators):
            name = name_of(raw.builtin, raw.custom)
            op = Op(position, name, tuple(raw.inputs), tuple(raw.outputs), _fused(name, raw.table), raw.table)
            _check_ends(op, len(self.tensors))
            left -= 4 * (len(op.inputs) + len(op.outputs))
            if left < 0:
                raise ModelError(f"damaged model: {op.shown} of a list that tells more than the file holds")
            found.append(op)
        return tuple(found)

    @cached_property
    def is_quantized(self) -> bool:
        """Its activations are 8-bit codes."""
        return any(tensor.is_code for tensor in self.tensors)

    def is_zero(self, tensor: Tensor) -> bool:
        """A constant of nothing but zeros, which mean 0 at every scale."""
        if tensor.buffer not in self._zeros:
            self._zeros[tensor.buffer] = not np.frombuffer(tensor.data, np.uint8).any()
        return self._zeros[tensor.buffer] and not tensor.zero_points.any()

    @cached_property
    def is_legacy(self) -> bool:
        """Written by TOCO, which leaves activations out where the output's range clamps already."""
        return "TOCO" in self.graph.root.text(3)


def _bytes_of(index: int, buffer: Table, most: int) -> tuple[int, int, bool]:
    """Where a buffer's bytes begin, how many there are, and whether that is behind the flatbuffer.

    Today's converters and quantizers write larger constants there (schema.fbs, Buffer.offset and Buffer.size).
    """
    at, size = buffer.entries(0, 1)
    apart, apart_size = buffer.integer(1, "Q"), buffer.integer(2, "Q")
    if size or apart <= 1:
        return at, size, False
    if apart + apart_size > most:
        raise ModelError(
            f"damaged model: tensor {index} has {apart_size} bytes at byte {apart} of {most}; is the file complete?"
        )
    return apart, apart_size, True


def _tensor(index: int, table: Table, buffers: list[Table], whole: Buffer) -> Tensor:
    shape = table.vector(0, "i4")
    if len(shape) > _MOST_AXES:
        raise ModelError(f"damaged model: tensor {index} has {len(shape)} axes")
    quantization = table.table(4)
    place = table.integer(2, "I")
    if place >= len(buffers):
        raise ModelError(f"damaged model: tensor {index} names buffer {place} of {len(buffers)}")
    at, size, is_apart = _bytes_of(index, buffers[place], len(whole))
    return Tensor(
        index=index,
        name=table.text(3),
        shape=tuple(int(size) for size in shape),
        dtype=DTYPES.get(table.integer(1, "b"), "unknown"),
        scales=np.asarray(quantization.vector(2, "f4") if quantization else [], np.float32),
        zero_points=np.asarray(quantization.vector(3, "i8") if quantization else [], np.int64),
        axis=quantization.integer(6, "i") if quantization else 0,
        buffer=place,
        data=whole[at : at + size],
        at=at,
        is_apart=is_apart,
        table=table,
        table_of_data=buffers[place],
    )


def _check_ends(op: Op, count: int) -> None:
    for index in (*op.inputs, *op.outputs):
        if not -1 <= index < count:
            raise ModelError(f"damaged model: {op.shown} names tensor {index} of {count}")
    least = ops.least_inputs(op.name)
    if len(op.inputs) < least or -1 in op.inputs[:least] or (least and (not op.outputs or -1 in op.outputs)):
        raise ModelError(f"damaged model: {op.shown} lacks an input or an output")


def _fused(name: str, table: Table) -> str:
    slot = ops.fused_slot(name)
    options = table.table(4) if slot is not None else None
    if options is None or slot is None:
        return ""
    code = options.integer(slot, "b")
    if code not in ops.ACTIVATIONS:
        raise ModelError(f"damaged model: {name} has the activation {code}, which there is not")
    return ops.ACTIVATIONS[code]
