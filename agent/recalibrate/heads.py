"""Where a graph's boxes and class scores come out, before anything decodes them. Pure."""

from __future__ import annotations

from agent.errors import ModelError
from agent.model import Group, Net, ops
from agent.records import ModelCard

_PASSING = ops.SAME | ops.FIXED | {"DEQUANTIZE", "QUANTIZE"}


def heads(net: Net, card: ModelCard) -> tuple[int, int]:
    """The tensors of boxes and of class scores, joined, before LOGISTIC and decoding.

    Args:
        net: the graph.
        card: what :func:`agent.model.describe` said of it.

    Raises:
        ModelError: one of them has no scale.
    """
    decoder = next((op for op in net.ops if op.name in ops.CUSTOM_READERS), None)
    ends = decoder.inputs[:2] if decoder else (card.boxes.index, card.scores.index)
    boxes, scores = (_before_fixed(net, index) for index in ends)
    return boxes, scores


def _before_fixed(net: Net, index: int) -> int:
    made_by = {output: op for op in net.ops for output in op.outputs}
    while (op := made_by.get(index)) is not None and op.name in ops.FIXED | {"DEQUANTIZE", "QUANTIZE"}:
        index = op.inputs[0]
    if not net.tensors[index].is_code:
        raise ModelError(f"its head {net.tensors[index].name!r} is not quantized: there is nothing to compare")
    return index


def is_head(net: Net, group: Group) -> bool:
    """What the group holds goes out of the graph and into no further weights."""
    inside, changed = set(group.tensors), True
    while changed:
        changed = False
        for op in net.ops:
            if inside & set(op.inputs) and not set(op.outputs) <= inside:
                if op.name not in _PASSING and op.name not in ops.CUSTOM_READERS:
                    return False
                inside |= set(op.outputs)
                changed = True
    return True
