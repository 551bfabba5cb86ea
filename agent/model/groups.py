"""Which activations must keep one common scale, and which values each such group can hold. Pure.

Tensors that an operation joins by copying codes (``ops.SAME``) are one group, **only where they share scale and zero
point in the source file**: a uint8 CONCATENATION of old converters takes different scales, and joining them there
changes scores. A group is *frozen* when something outside the graph, or the kernel, decides its scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent.errors import ModelError
from agent.model import ops
from agent.model.net import CODE_RANGES, Net, Op, Tensor


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors of one scale.

    Attributes:
        tensors: their indices, ascending; never empty.
        dtype: ``int8`` or ``uint8``.
        scale, zero_point: as the file has them.
        floor, ceiling: bounds of what its producers can give: 0 below a ReLU, 6 above a ReLU6, else infinite.
        frozen: why its scale is not to be changed; empty when it may be.
    """

    tensors: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    floor: float
    ceiling: float
    frozen: str = ""


def groups(net: Net) -> tuple[Group, ...]:
    """All groups of a quantized graph, in the order of their first tensor.

    Raises:
        ModelError: the graph is not quantized, is compiled for an accelerator, or has an operation that is not known
            well enough to change a scale around it.
    """
    if not net.is_quantized:
        raise ModelError("is not quantized: there are no ranges to change")
    refuse_unknown(net)
    roots = _joined(net)
    members: dict[int, list[int]] = {}
    for tensor in net.tensors:
        if tensor.is_code:
            _refuse_no_scale(tensor)
            members.setdefault(_root(roots, tensor.index), []).append(tensor.index)
    made_by = {index: op for op in net.ops for index in op.outputs if index >= 0}
    frozen = _frozen(net)
    return tuple(_group(net, sorted(found), made_by, frozen) for _, found in sorted(members.items()))


def refuse_unknown(net: Net) -> None:
    """Refuse what cannot be changed safely.

    Raises:
        ModelError: names every such operation with its position.
    """
    compiled = [op for op in net.ops if op.name == "edgetpu-custom-op"]
    if compiled:
        raise ModelError(
            f"{compiled[0].shown} is compiled for the Edge TPU and cannot be looked into; "
            "patch the CPU version and compile that again: `edge-tools edgetpu`, docs/coral.md"
        )
    strange = [op for op in net.ops if op.name not in ops.KNOWN and op.name not in ops.CUSTOM_READERS]
    strange = [op for op in strange if any(net.tensors[i].is_code for i in (*op.inputs, *op.outputs) if i >= 0)]
    if strange:
        raise ModelError(f"not known how to treat {', '.join(op.shown for op in strange[:6])}: no range is changed")


def _refuse_no_scale(tensor: Tensor) -> None:
    low, high = CODE_RANGES[tensor.dtype]
    zeros = tensor.zero_points.tolist()
    if not 0.0 < float(tensor.scales[0]) < math.inf or len(zeros) > 1 or not all(low <= zero <= high for zero in zeros):
        raise ModelError(
            f"damaged model: {tensor.name[:60]!r} has the scale {tensor.scales[0]:g} and zero point {zeros[:2]}"
        )


def _root(roots: list[int], index: int) -> int:
    while roots[index] != index:
        roots[index] = roots[roots[index]]
        index = roots[index]
    return index


def _joined(net: Net) -> list[int]:
    roots = list(range(len(net.tensors)))

    def join(first: int, second: int) -> None:
        low, high = sorted((_root(roots, first), _root(roots, second)))
        roots[high] = low

    for op in net.ops:
        if op.name in ops.SAME:
            heads: dict[tuple[str, float, tuple[int, ...]], int] = {}
            for tensor in (net.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0):
                if tensor.is_code:
                    join(heads.setdefault(_meaning(tensor), tensor.index), tensor.index)
    for first, second in _common_biases(net):
        join(first, second)
    return roots


def _meaning(tensor: Tensor) -> tuple[str, float, tuple[int, ...]]:
    """What its codes mean; equal for tensors whose codes can be copied from one to the other."""
    return tensor.dtype, float(tensor.scales[0]), tuple(tensor.zero_points.tolist())


def _common_biases(net: Net) -> list[tuple[int, int]]:
    """Data inputs of operations that read the same bias: their scales can only change together.

    Equal bytes are one buffer in a file, whatever they mean; zeros mean zero at every scale and bind nobody.
    """
    first: dict[tuple[int, bool, float], int] = {}
    found = []
    for op in net.ops:
        ends = biased(op)
        if ends is None or ends[2] < 0:
            continue
        data, bias = net.tensors[ends[0]], net.tensors[ends[2]]
        if data.is_code and bias.buffer:
            shared = (bias.index, True) if net.is_zero(bias) else (bias.buffer, False)
            before = first.setdefault((*shared, float(data.scales[0])), data.index)
            if before != data.index:
                found.append((before, data.index))
    return found


def biased(op: Op) -> tuple[int, int, int] | None:
    """Tensor indices of data, weights and bias (-1: none) of an operation with weights; None for the others."""
    places = ops.BIASED.get(op.name)
    if places is None:
        return None
    data, weights, bias = (op.inputs[place] if place < len(op.inputs) else -1 for place in places)
    return data, weights, bias


def _frozen(net: Net) -> dict[int, str]:
    """Tensors whose scale somebody else decides, with the reason."""
    found = dict.fromkeys(net.inputs, "the graph's input: its range is the picture's")
    for op in net.ops:
        if op.name in ops.FIXED:
            found |= dict.fromkeys(op.outputs, f"the kernel of {op.name} demands it")
        if op.name == "QUANTIZE" and op.inputs[0] in net.inputs:
            found |= dict.fromkeys(op.outputs, "the graph's input: its range is the picture's")
        if op.name in ops.SAME and any(i >= 0 and _is_code_constant(net.tensors[i]) for i in op.inputs):
            found |= dict.fromkeys(op.outputs, f"{op.name} mixes it with a constant")
    return found


def _is_code_constant(tensor: Tensor) -> bool:
    return tensor.is_constant and tensor.dtype in {"int8", "uint8"} and len(tensor.scales) == 1


def _group(net: Net, found: list[int], made_by: dict[int, Op], frozen: dict[int, str]) -> Group:
    head = net.tensors[found[0]]
    reasons = [frozen[index] for index in found if index in frozen]
    bounds = [_bounds(net, index, made_by.get(index)) for index in found]
    return Group(
        tensors=tuple(found),
        dtype=head.dtype,
        scale=float(head.scales[0]),
        zero_point=int(head.zero_points[0]) if len(head.zero_points) else 0,
        floor=min((low for low, _ in filter(None, bounds)), default=-math.inf),
        ceiling=max((high for _, high in filter(None, bounds)), default=math.inf),
        frozen=reasons[0] if reasons else "",
    )


def _bounds(net: Net, index: int, op: Op | None) -> tuple[float, float] | None:
    """What the tensor's producer lets through; None where it only passes on what others of the group give."""
    if op is None:
        return None
    if op.name in ops.SAME and not op.fused and any(i >= 0 and net.tensors[i].is_code for i in op.inputs):
        return None if _passes_on(net, op, index) else (-math.inf, math.inf)
    activation = op.fused or (op.name if op.name in ops.BOUNDS else "") or implied(net, net.tensors[index], op)
    return ops.BOUNDS.get(activation, (-math.inf, math.inf))


def _passes_on(net: Net, op: Op, index: int) -> bool:
    ends = [net.tensors[i] for i in op.inputs if i >= 0 and net.tensors[i].is_code]
    return all(_meaning(tensor) == _meaning(net.tensors[index]) for tensor in ends)


def implied(net: Net, tensor: Tensor, op: Op) -> str:
    """The activation that an old converter left out because the output's range clamps already; empty for none.

    A range of exactly [0, 6] is a ReLU6 in every file; a lower end of exactly 0 is a ReLU in a file of TOCO's.
    """
    if op.fused or op.name in ops.SAME or ops.fused_slot(op.name) is None or not tensor.is_code:
        return ""  # what only copies codes cannot leave its range, and a float CONCATENATION refuses an activation
    low, high = tensor.range
    if low == 0.0 and math.isclose(high, 6.0, rel_tol=1e-4):
        return "RELU6"
    return "RELU" if low == 0.0 and net.is_legacy else ""
