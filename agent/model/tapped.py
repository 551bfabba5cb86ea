"""A file whose intermediates can be read: they become outputs of its graph. Pure: bytes in, bytes out.

A runtime may compute in place what nobody else reads: tflite-runtime 2.14 lets ADD, SUB and MUL overwrite their first
input, and ``experimental_preserve_all_tensors`` does not keep it from that; what is read there then is the sum. An
output of the graph is never overwritten. Nothing else in the file changes, and the old outputs stay the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.errors import ModelError
from agent.model.draft import Draft
from agent.model.flat import Buffer
from agent.model.net import Net

_OUTPUTS = 2
"""Slot of SubGraph.outputs in schema.fbs."""


def tapped(data: Buffer, wanted: Sequence[int]) -> bytes:
    """The file with tensors ``wanted`` among its outputs.

    Raises:
        ModelError: the file is damaged, or has no such tensor.
    """
    net = Net(data)
    strange = [index for index in wanted if not 0 <= index < len(net.tensors)]
    if strange:
        raise ModelError(f"there is no tensor {strange[0]} to read; the file has {len(net.tensors)}")
    outputs = list(dict.fromkeys((*net.outputs, *wanted)))
    if len(outputs) == len(net.outputs):
        return bytes(data)
    draft = Draft(data)
    new = draft.append_vector(np.array(outputs, np.int32))
    draft.turn(net.graph.subgraph, _OUTPUTS, new, "the list of outputs")
    return draft.finished()
