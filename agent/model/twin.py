"""The float twin of a file that exists in quantized form only: the same graph computed in float32.

Its weights stay what quantization rounded them to, so it shows what quantizing the *activations* costs, not all of the
loss. Operations that only changed codes copy (QUANTIZE) or go (DEQUANTIZE); activations that old converters left out
where the output's range clamps already are put back, without which the values grow layer by layer. Pure: bytes in,
bytes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from agent.errors import ModelError
from agent.model import ops
from agent.model.draft import Draft
from agent.model.flat import Buffer
from agent.model.groups import implied, refuse_unknown
from agent.model.net import Net, Op, Tensor

_FLOAT32 = 0
"""TensorType.FLOAT32 of schema.fbs."""

_CAST = 53
"""BuiltinOperator.CAST; from float32 to float32 it copies."""

_CODES = {"int8": "i1", "uint8": "u1", "int32": "<i4"}


def float_twin(data: Buffer) -> bytes:
    """The twin: float32 input, the same outputs, all real values.

    Its input is what the quantized file's codes mean: ``scale * (code - zero_point)``.

    Raises:
        ModelError: the file is not quantized, or has an operation that is not known well enough.
    """
    net = Net(data)
    if not net.is_quantized:
        raise ModelError("is not quantized: it is its own float twin")
    refuse_unknown(net)
    draft = Draft(data)
    _restore_activations(draft, net)
    _drop_recoding(draft, net)
    written: dict[int, Tensor] = {}
    for tensor in net.tensors:
        if len(tensor.scales) and tensor.dtype in _CODES:
            if tensor.is_constant:
                _write_real(draft, net, tensor, written)
            _make_float(draft, tensor)
    return draft.finished()


def with_activations(data: Buffer) -> bytes:
    """The quantized file with the activations written out that an old converter left out; else as it is.

    Without them a file depends on ranges that clamp, and forgets what it computes when they are changed.

    Raises:
        ModelError: it is damaged, or a setting has no place in the file.
    """
    draft = Draft(data)
    _restore_activations(draft, Net(data))
    return draft.finished()


def real(tensor: Tensor) -> npt.NDArray[np.float32]:
    """The values of a quantized constant, float32 of its shape; per channel where it has several scales.

    Raises:
        ModelError: its bytes do not fill its shape.
    """
    kind = np.dtype(_CODES[tensor.dtype])
    if len(tensor.data) != math.prod(tensor.shape) * kind.itemsize or min(tensor.shape, default=0) < 0:
        raise ModelError(
            f"damaged model: {tensor.name[:60]!r} has {len(tensor.data)} bytes for the shape {list(tensor.shape)}"
        )
    codes = np.frombuffer(tensor.data, kind).reshape(tensor.shape)
    many = len(tensor.scales) > 1
    if not np.isfinite(tensor.scales).all():
        raise ModelError(f"damaged model: {tensor.name[:60]!r} has a scale that is no number")
    if many and not (0 <= tensor.axis < codes.ndim and codes.shape[tensor.axis] == len(tensor.scales)):
        raise ModelError(f"damaged model: {tensor.name!r} has {len(tensor.scales)} scales for {list(tensor.shape)}")
    along = [1] * codes.ndim
    if many:
        along[tensor.axis] = -1
    zeros = tensor.zero_points if len(tensor.zero_points) == len(tensor.scales) else np.zeros(len(tensor.scales))
    shifted = codes.astype(np.float64) - zeros.reshape(along)
    values = shifted * tensor.scales.astype(np.float64).reshape(along)
    if np.abs(values).max(initial=0.0) > np.finfo(np.float32).max:
        raise ModelError(f"damaged model: {tensor.name[:60]!r} has values beyond every float32")
    return np.asarray(values, np.float32)


def _write_real(draft: Draft, net: Net, tensor: Tensor, written: dict[int, Tensor]) -> None:
    before = written.setdefault(tensor.buffer, tensor)
    if before is not tensor:
        alike = before.scales.tolist() == tensor.scales.tolist() and before.zero_points.tolist() == (
            tensor.zero_points.tolist()
        )
        if before.dtype != tensor.dtype or not (alike or (net.is_zero(before) and net.is_zero(tensor))):
            raise ModelError(f"{tensor.name!r} and {before.name!r} share their bytes, and mean different values")
        return
    values = np.frombuffer(real(tensor).tobytes(), np.uint8)
    vector, what = draft.append_vector(values), f"the bytes of {tensor.name!r}"
    if tensor.is_apart:
        draft.put_slot(tensor.table_of_data, 1, "Q", vector + 4, what)  # behind the vector's length
        draft.put_slot(tensor.table_of_data, 2, "Q", values.size, what)
    else:
        draft.turn(tensor.table_of_data, 0, vector, what)


def _make_float(draft: Draft, tensor: Tensor) -> None:
    draft.put_slot(tensor.table, 1, "b", _FLOAT32, f"the type of {tensor.name!r}")
    quantization = tensor.table.table(4)
    if quantization is not None:
        draft.shorten(quantization, 2, 4, 0)
        draft.shorten(quantization, 3, 8, 0)


def _restore_activations(draft: Draft, net: Net) -> None:
    for op in net.ops:
        activation = implied(net, net.tensors[op.outputs[0]], op) if op.outputs else ""
        slot = ops.fused_slot(op.name)
        if not activation or slot is None:
            continue
        options = op.table.table(4)
        place = options.slot(slot) if options is not None else None
        if place is not None:
            draft.put(place, "b", ops.CODES[activation])
        else:
            new = draft.append_options(options, slot, ops.CODES[activation])
            draft.turn(op.table, 4, new, f"the options of {op.shown}")


def _drop_recoding(draft: Draft, net: Net) -> None:
    """QUANTIZE and DEQUANTIZE of activations would copy floats to floats.

    QUANTIZE becomes a CAST from float to float, so that its output, which has a scale of its own, can still be read;
    who read the output of a DEQUANTIZE reads its input.
    """
    dropped = [op for op in net.ops if _only_recodes(net, op)]
    quantizing = [op for op in net.ops if op.name == "QUANTIZE"]
    if quantizing and set(quantizing) <= set(dropped):
        _rename(draft, net, quantizing, _CAST)
        dropped = [op for op in dropped if op.name != "QUANTIZE"]
    if not dropped:
        return
    source = {op.outputs[0]: op.inputs[0] for op in dropped}
    made = {op.outputs[0] for op in dropped}

    def origin(index: int) -> int:
        for _ in range(len(dropped) + 1):
            if index not in source:
                return index
            index = source[index]
        raise ModelError(f"damaged model: tensor {index} is made of itself")

    kept = [op for op in net.ops if op not in dropped]
    for op in kept:
        _point(draft, op, origin)
    graph = net.graph.subgraph
    start, count = graph.entries(2, 4)
    for number, index in enumerate(net.outputs[:count]):
        if index in made:
            draft.put(start + 4 * number, "i", origin(index))
    draft.keep_tables(graph, 3, [op.table for op in kept])


def _rename(draft: Draft, net: Net, changed: Sequence[Op], code: int) -> None:
    """Give the operation that all of these are another code; both fields, for readers old and new."""
    tables = net.graph.root.tables(1)
    for place in {op.table.integer(0, "I") for op in changed}:
        for slot, kind in ((0, "b"), (3, "i")):
            if tables[place].slot(slot) is not None:
                draft.put_slot(tables[place], slot, kind, code, "an operation code")


def _only_recodes(net: Net, op: Op) -> bool:
    if op.name not in {"QUANTIZE", "DEQUANTIZE"}:
        return False
    return any(net.tensors[index].is_code for index in (op.inputs[0], op.outputs[0]))


def _point(draft: Draft, op: Op, origin: Callable[[int], int]) -> None:
    start, _ = op.table.entries(1, 4)
    for number, index in enumerate(op.inputs):
        if index >= 0 and origin(index) != index:
            draft.put(start + 4 * number, "i", origin(index))
