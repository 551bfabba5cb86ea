"""The .tflite file as data: read and checked with flatbuffers and numpy alone, never run here.

``describe`` says what the file is as a detector, ``read_labels`` names its classes, ``anchors`` lays out the anchors of
a file that does not decode its own boxes. A hostile file costs a :class:`~agent.errors.ModelError`, never more.
"""

from agent.model.anchors import anchors
from agent.model.card import describe
from agent.model.labels import read_labels

__all__ = ["anchors", "describe", "read_labels"]
