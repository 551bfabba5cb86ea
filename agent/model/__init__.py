"""The .tflite file as data: read and checked with flatbuffers and numpy alone, never run here.

``describe`` says what the file is as a detector, ``read_labels`` names its classes, ``anchors`` lays out the anchors of
a file that does not decode its own boxes. ``groups`` says which activations share a scale, ``make`` and ``apply`` give
them other ones (a range patch), ``float_twin`` computes the same graph in float32, ``tapped`` lets its intermediates be
read. ``show`` and ``diff`` tell a person what is in a file, and what differs in two. A hostile file costs a
:class:`~agent.errors.ModelError`, never more.
"""

from agent.model.anchors import anchors
from agent.model.card import describe
from agent.model.diff import Diff, compare, diff
from agent.model.graph import mapped
from agent.model.groups import Group, groups
from agent.model.labels import read_labels
from agent.model.net import Net
from agent.model.page import Page
from agent.model.patch import RangePatch, Scale, apply, make, range_of, rescale, scale_for
from agent.model.schema import schema_of
from agent.model.show import show
from agent.model.tapped import tapped
from agent.model.twin import float_twin, with_activations

__all__ = [
    "Diff",
    "Group",
    "Net",
    "Page",
    "RangePatch",
    "Scale",
    "anchors",
    "apply",
    "compare",
    "describe",
    "diff",
    "float_twin",
    "groups",
    "make",
    "mapped",
    "range_of",
    "read_labels",
    "rescale",
    "scale_for",
    "schema_of",
    "show",
    "tapped",
    "with_activations",
]
