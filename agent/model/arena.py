"""How much memory the tensors between a model's operations take at once, from the file alone.

The runtime's interface does not tell how large its arena is. This is the least that it can be: the greatest sum of
tensors alive at one moment, in the order of the file, inputs and outputs kept. Scratch memory of the kernels, weights
that a delegate packs anew and the delegate's own memory come on top: what the process really takes is its resident
memory.
"""

from __future__ import annotations

from agent.model.graph import Graph
from agent.records import TensorSpec

BYTES = {
    "float32": 4, "float16": 2, "int32": 4, "uint8": 1, "int64": 8, "bool": 1, "int16": 2, "complex64": 8, "int8": 1,
    "float64": 8, "uint16": 2,
}  # fmt: skip

MOST_OPERATORS = 20_000
MOST_BYTES = 1 << 40
"""Beyond it a shape is damaged."""


def least_arena_bytes(graph: Graph) -> int | None:
    """The greatest sum of live tensors, bytes; None for graphs whose sizes are not fixed or not known.

    Raises:
        ModelError: the file is damaged.
    """
    operators = graph.operators
    if len(operators) > MOST_OPERATORS:
        return None
    kept = {spec.index for spec in (*graph.inputs, *graph.outputs)}
    born = dict.fromkeys((spec.index for spec in graph.inputs), 0)
    dies: dict[int, int] = {}
    for place, operator in enumerate(operators):
        for index in operator.outputs:
            born.setdefault(index, place)
            dies[index] = place
        dies |= {index: place for index in operator.inputs if index in born}
    sizes = {index: _size(graph.tensor(index)) for index in born}
    if not operators or None in sizes.values():
        return None
    steps = [0] * (len(operators) + 1)
    for index, place in born.items():
        size = sizes[index] or 0
        steps[place] += size
        steps[len(operators) if index in kept else dies.get(index, place) + 1] -= size
    alive = most = 0
    for step in steps:
        alive += step
        most = max(most, alive)
    return most if most <= MOST_BYTES else None


def _size(spec: TensorSpec) -> int | None:
    """Bytes of a tensor; one of a size that only a run tells (-1) counts as the smallest that it can be."""
    size = BYTES.get(spec.dtype)
    for axis in spec.shape:
        size = None if size is None else size * max(abs(axis), 1)
    return size
