"""Two files compared without a picture: what of B is not as in A. Pure: bytes in, records out.

``docs/schemas/model-diff.json`` is made from the records.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from agent.errors import ModelError
from agent.model.card import printable
from agent.model.flat import Buffer
from agent.model.graph import mapped
from agent.model.groups import biased
from agent.model.net import Net, Tensor
from agent.model.page import Scales
from agent.model.show import scales_of
from agent.model.twin import real

Kind = Literal["same", "range-patch", "ranges", "weights", "graph"]

_FLOATS = {"float32": "<f4", "float16": "<f2"}


class Side(Struct, frozen=True, kw_only=True):
    """One of the two files."""

    sha256: str
    size_bytes: int
    description: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class ConstantChange(Struct, frozen=True, kw_only=True):
    """A constant that is not the same in both."""

    name: str
    dtype: Annotated[str, Meta(description="In B.")]
    values: int
    changed: Annotated[int | None, Meta(description="Values whose code differs; null where types or shapes differ.")]
    most_codes: Annotated[int | None, Meta(description="The largest difference in codes; null likewise.")]
    most_real: Annotated[float | None, Meta(description="The largest difference in real values; null: not comparable.")]
    is_bias: Annotated[bool, Meta(description="An int32 bias, which counts in units of its input's scale.")]
    means_the_same: Annotated[bool, Meta(description="Differs by no more than the rounding of its own scale.")]


class RangeChange(Struct, frozen=True, kw_only=True):
    """A computed tensor whose scale or zero point is not the same in both."""

    name: str
    before: Scales | None
    after: Scales | None


class Diff(Struct, frozen=True, kw_only=True):
    """All that differs."""

    v: Annotated[int, Meta(description="Of this format.")] = 1
    kind: Kind
    verdict: Annotated[str, Meta(description="What B is to A, in a sentence.")]
    a: Side
    b: Side
    ops_removed: Annotated[dict[str, int], Meta(description="Operation with its activation -> how many fewer in B.")]
    ops_added: Annotated[dict[str, int], Meta(description="The same -> how many more in B.")]
    tensors_removed: tuple[str, ...]
    tensors_added: tuple[str, ...]
    constants: tuple[ConstantChange, ...]
    constants_same: Annotated[int, Meta(description="Constants that are the same in both.")]
    ranges: tuple[RangeChange, ...]
    ranges_same: Annotated[int, Meta(description="Computed tensors with the same scale in both.")]
    metadata: Annotated[tuple[str, ...], Meta(description="Metadata entries that differ, or stand in one alone.")]


def diff(first: Path, second: Path) -> Diff:
    """Compare two files.

    Raises:
        ModelError: one of them cannot be read or is damaged; it is named.
    """
    a, b = _read(first), _read(second)
    return compare(a, b)


def _read(path: Path) -> Net:
    data = mapped(path)
    try:
        net = Net(data)
        _ = net.tensors, net.ops, net.inputs, net.outputs, _entries(net)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    return net


def compare(a: Net, b: Net) -> Diff:
    """The same for two files that are open.

    Raises:
        ModelError: one of them is damaged.
    """
    pairs, removed, added = _pairs(a, b)
    biases = _biases(b)
    stored = [pair for pair in pairs if pair[0].is_constant or pair[1].is_constant]
    computed = [pair for pair in pairs if not (pair[0].is_constant or pair[1].is_constant)]
    constants = [change for one, other in stored if (change := _constant(one, other, other.index in biases))]
    ranges = [moved for one, other in computed if (moved := _range(one, other))]
    fewer, more = _operations(a), _operations(b)
    is_one_graph = not removed and not added and _wiring(a) == _wiring(b) and _forms(pairs)
    kind = _kind(a.data == b.data, is_one_graph, constants, ranges)
    return Diff(
        kind=kind,
        verdict=_verdict(kind, constants, ranges, len(computed), len(stored)),
        a=_side(a),
        b=_side(b),
        ops_removed=dict(sorted((fewer - more).items())),
        ops_added=dict(sorted((more - fewer).items())),
        tensors_removed=tuple(printable(tensor.name) for tensor in removed),
        tensors_added=tuple(printable(tensor.name) for tensor in added),
        constants=tuple(constants),
        constants_same=len(stored) - len(constants),
        ranges=tuple(ranges),
        ranges_same=len(computed) - len(ranges),
        metadata=_metadata(a, b),
    )


def _pairs(a: Net, b: Net) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor], list[Tensor]]:
    """Tensors of both by place where all names agree, else by name; then those of one alone."""
    if [tensor.name for tensor in a.tensors] == [tensor.name for tensor in b.tensors]:
        return list(zip(a.tensors, b.tensors, strict=True)), [], []
    named = {tensor.name: tensor for tensor in reversed(b.tensors)}
    pairs = [(one, named.pop(one.name)) for one in a.tensors if one.name in named]
    met = {one.index for one, _ in pairs}
    of_b = {other.index for _, other in pairs}
    return pairs, [one for one in a.tensors if one.index not in met], [x for x in b.tensors if x.index not in of_b]


def _biases(net: Net) -> set[int]:
    return {ends[2] for op in net.ops if (ends := biased(op)) and ends[2] >= 0}


def _operations(net: Net) -> Counter[str]:
    return Counter(printable(f"{op.name} + {op.fused}" if op.fused else op.name) for op in net.ops)


def _wiring(net: Net) -> list[tuple[object, ...]]:
    ends: list[tuple[object, ...]] = [(net.inputs, net.outputs)]
    return ends + [(op.name, op.fused, op.inputs, op.outputs) for op in net.ops]


def _forms(pairs: list[tuple[Tensor, Tensor]]) -> bool:
    return all(
        (one.shape, one.dtype, one.is_constant) == (other.shape, other.dtype, other.is_constant) for one, other in pairs
    )


def _constant(one: Tensor, other: Tensor, is_bias: bool) -> ConstantChange | None:
    alike = (one.dtype, one.shape) == (other.dtype, other.shape) and len(one.data) == len(other.data)
    scales = np.array_equal(one.scales, other.scales) and np.array_equal(one.zero_points, other.zero_points)
    if alike and scales and one.data == other.data:
        return None
    codes = _code_distance(one, other) if alike else None
    apart, step = _real_distance(one, other)
    return ConstantChange(
        name=printable(other.name),
        dtype=other.dtype,
        values=int(np.prod(other.shape, dtype=np.float64)),
        changed=None if codes is None else int(np.count_nonzero(codes)),
        most_codes=None if codes is None else int(codes.max(initial=0)),
        most_real=apart,
        is_bias=is_bias and other.dtype == "int32",
        means_the_same=apart is not None and apart <= step,
    )


def _code_distance(one: Tensor, other: Tensor) -> npt.NDArray[np.int64] | None:
    kinds = {"int8": "i1", "uint8": "u1", "int32": "<i4", "int64": "<i8"}
    kind = np.dtype(kinds.get(one.dtype, "V1"))
    if kind.kind == "V" or len(one.data) % kind.itemsize:
        return None
    found, now = (np.frombuffer(tensor.data, kind).astype(np.int64) for tensor in (one, other))
    return np.asarray(np.abs(found - now), np.int64)


def _real_distance(one: Tensor, other: Tensor) -> tuple[float | None, float]:
    """The largest distance of two real values (None: there are none to compare), and the coarser step of the two."""
    values = _values(one), _values(other)
    if values[0] is None or values[1] is None or values[0].shape != values[1].shape:
        return None, 0.0
    apart = float(np.abs(values[0] - values[1]).max(initial=0.0))
    step = max(float(one.scales.max(initial=0.0)), float(other.scales.max(initial=0.0)))
    return (apart if np.isfinite(apart) else None), step


def _values(tensor: Tensor) -> npt.NDArray[np.float64] | None:
    if tensor.dtype in _FLOATS:
        if len(tensor.data) % np.dtype(_FLOATS[tensor.dtype]).itemsize:
            return None
        found = np.frombuffer(tensor.data, _FLOATS[tensor.dtype])
        whole = found.size == int(np.prod(tensor.shape, dtype=np.float64)) and min(tensor.shape, default=0) >= 0
        return found.reshape(tensor.shape).astype(np.float64) if whole else None
    if not len(tensor.scales) or tensor.dtype not in {"int8", "uint8", "int32"}:
        return None
    try:
        return real(tensor).astype(np.float64)
    except ModelError:
        return None  # its bytes do not fill its shape: there is nothing to compare


def _range(one: Tensor, other: Tensor) -> RangeChange | None:
    if np.array_equal(one.scales, other.scales) and np.array_equal(one.zero_points, other.zero_points):
        return None
    return RangeChange(name=printable(other.name), before=scales_of(one), after=scales_of(other))


def _kind(is_same: bool, is_one_graph: bool, constants: list[ConstantChange], ranges: list[RangeChange]) -> Kind:
    if is_same:
        return "same"
    if not is_one_graph:
        return "graph"
    if any(not (change.is_bias and change.means_the_same) for change in constants):
        return "weights"
    return "range-patch" if ranges else "ranges"


def _verdict(kind: Kind, constants: list[ConstantChange], ranges: list[RangeChange], computed: int, stored: int) -> str:
    if kind == "same":
        return "B is A, byte for byte."
    if kind == "range-patch":
        return (
            f"B is a range patch of A: the weights are identical, {len(ranges)} of {computed} computed tensors have "
            f"another range, {len(constants)} biases are counted anew and mean the same."
        )
    if kind == "ranges":
        return "B computes what A computes: graph, weights and ranges are identical, other parts of the file are not."
    if kind == "weights":
        other = sum(not (change.is_bias and change.means_the_same) for change in constants)
        return f"B is the graph of A with other weights: {other} of {stored} constants mean something else."
    return "B is another graph than A."


def _side(net: Net) -> Side:
    def named(ends: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(
            printable(f"{net.tensors[i].name} {net.tensors[i].dtype} {list(net.tensors[i].shape)}") for i in ends
        )

    return Side(
        sha256=hashlib.sha256(net.data).hexdigest(),
        size_bytes=len(net.data),
        description=printable(net.graph.root.text(3)),
        inputs=named(net.inputs),
        outputs=named(net.outputs),
    )


def _metadata(a: Net, b: Net) -> tuple[str, ...]:
    one, other = _entries(a), _entries(b)
    return tuple(printable(name) for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name))


def _entries(net: Net) -> dict[str, Buffer]:
    buffers = net.graph.root.tables(4)
    found = {entry.text(0): entry.integer(1, "I") for entry in net.graph.root.tables(6)}
    return {name: buffers[place].raw(0) for name, place in found.items() if place < len(buffers)}
