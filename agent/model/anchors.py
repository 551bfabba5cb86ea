"""Anchors of an SSD with raw heads, from their specification.

SSD: Liu et al., 2016, arXiv 1512.02325, section 2.2. The order is the usual one: map by map, row by row, cell by cell,
and in each cell the anchors in the order of ``sizes``.
"""

from __future__ import annotations

import msgspec
import numpy as np

from agent.errors import ModelError
from agent.model.graph import Graph
from agent.records import AnchorMap, FloatArray, Heads

METADATA = "edge-agent.heads"
"""Name of the metadata entry in which a .tflite file carries its own :class:`~agent.records.Heads`, as JSON."""


def anchors(heads: Heads) -> FloatArray:
    """All anchors, float32 (n, 4) as centre x, centre y, width, height, relative to the input picture.

    >>> anchors(Heads(maps=(AnchorMap(rows=1, cols=2, sizes=((0.5, 1.0),)),))).tolist()
    [[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]]
    """
    return np.concatenate([_of_map(item) for item in heads.maps]).astype(np.float32)


def heads_in(graph: Graph) -> Heads | None:
    """The specification that the file itself carries; None when it carries none.

    Raises:
        ModelError: the entry is damaged.
    """
    packed = graph.metadata(METADATA)
    if packed is None:
        return None
    try:
        return msgspec.json.decode(bytes(packed), type=Heads)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"its metadata {METADATA!r} is damaged: {error}") from None


def _of_map(item: AnchorMap) -> FloatArray:
    step_x, step_y = item.step or (1 / item.cols, 1 / item.rows)
    rows, cols, sizes = np.meshgrid(
        np.arange(item.rows), np.arange(item.cols), np.arange(len(item.sizes)), indexing="ij"
    )
    size = np.asarray(item.sizes, np.float32)[sizes.ravel()]
    centre = np.stack([(cols.ravel() + 0.5) * step_x, (rows.ravel() + 0.5) * step_y], axis=1)
    return np.concatenate([centre, size], axis=1).astype(np.float32)
