"""What is known of a model: its tensors, its anchors, its answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from agent.records.arrays import FloatArray

MOST_ANCHORS = 200_000
"""More than any SSD has; a specification that lays out more is damaged, and must not cost memory."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model, as the file states it.

    Attributes:
        name: the tensor's name in the graph.
        index: its place in the subgraph's tensor table.
        shape: its shape; -1 where the file leaves it open.
        dtype: numpy's name: ``uint8``, ``int8``, ``float32``...
        scale: real = scale * (q - zero_point); 0.0 when the tensor is not quantized.
        zero_point: see ``scale``.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class AnchorMap:
    """Anchors of one feature map: ``rows`` x ``cols`` cells, each with one anchor per entry of ``sizes``.

    Attributes:
        rows: cells from top to bottom.
        cols: cells from left to right.
        sizes: (width, height) of each anchor, relative to the input picture.
        step: (x, y) distance of two cells' centres, relative to the picture; (1/cols, 1/rows) when not given.
    """

    rows: int
    cols: int
    sizes: tuple[tuple[float, float], ...]
    step: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1 or not self.sizes:
            raise ValueError(f"{self.rows} x {self.cols} cells of {len(self.sizes)} anchors lay out nothing")
        for side in (*(side for size in self.sizes for side in size), *(self.step or ())):
            if not 0 < side < math.inf:
                raise ValueError(f"{side} is no size or step of an anchor; they are above 0, relative to the picture")


@dataclass(frozen=True, slots=True)
class Heads:
    """How to read raw SSD heads (boxes and class scores that no operation of the graph has decoded).

    Attributes:
        maps: the feature maps, in the order of the output's anchors.
        box_order: ``yxhw`` (TensorFlow's box coder) or ``xywh`` (the SSD paper, Caffe, PyTorch).
        variances: centre x, centre y, width, height; TensorFlow's scale factors 10, 10, 5, 5 are 0.1, 0.1, 0.2, 0.2.
        score_activation: what still has to be done to the class scores.
        background: class 0 is the background and is no object.
    """

    maps: tuple[AnchorMap, ...]
    box_order: Literal["yxhw", "xywh"] = "yxhw"
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    score_activation: Literal["none", "sigmoid", "softmax"] = "sigmoid"
    background: bool = False

    def __post_init__(self) -> None:
        many = sum(item.rows * item.cols * len(item.sizes) for item in self.maps)
        if not 1 <= many <= MOST_ANCHORS:
            raise ValueError(f"the maps lay out {many} anchors; 1 to {MOST_ANCHORS} can be")
        if not all(0 < variance < math.inf for variance in self.variances):
            raise ValueError(f"variances {list(self.variances)} must be above 0")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the .tflite file says of itself: enough to run it as a detector.

    Attributes:
        sha256: of the whole file.
        size_bytes: of the whole file.
        input: the one picture input.
        boxes: boxes of the post-processing operation, or the raw box head.
        scores: its scores, or the raw class head.
        classes: class numbers; None for raw heads.
        count: how many detections are valid; None for raw heads.
        num_classes: object classes, the background not counted; None when the file does not say.
        regular_nms: the post-processing operation suppresses class by class.
        custom_ops: names of the operations that are not built into the runtime.
        heads: anchors and coding that the file itself carries for its raw heads; None when it carries none.
        embedded_labels: lines of the label file packed into the model, empty when there is none.
        mean: per-channel mean of the picture's metadata, when the file has it.
        std: per-channel standard deviation of the same.
        description: one line for people.
        arena_bytes: least memory of the tensors between its operations; None when the file leaves it open.
    """

    sha256: str
    size_bytes: int
    input: TensorSpec
    boxes: TensorSpec
    scores: TensorSpec
    classes: TensorSpec | None = None
    count: TensorSpec | None = None
    num_classes: int | None = None
    regular_nms: bool = False
    custom_ops: tuple[str, ...] = ()
    heads: Heads | None = None
    embedded_labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    description: str = ""
    arena_bytes: int | None = None

    @property
    def is_decoded(self) -> bool:
        """The graph ends in ``TFLite_Detection_PostProcess``: boxes come decoded and suppressed."""
        return self.classes is not None

    def lost_class(self, num_threads: int) -> int | None:
        """The class whose objects the runtime loses with so many threads; None when it loses none.

        Regular suppression shares the classes among threads and leaves one out: tensorflow/tensorflow issue 56058,
        still so in LiteRT 2.3.0 and tflite-runtime 2.14 (seen with 6 classes and 2 to 5 threads).
        """
        is_shared = self.regular_nms and self.num_classes is not None and 1 < num_threads < self.num_classes
        return num_threads if is_shared else None


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """A model's answer, found by name and shape; arrays are copies, free to keep.

    With ``classes`` and ``count``: what ``TFLite_Detection_PostProcess`` gives, float32 boxes (1, n, 4) as ymin, xmin,
    ymax, xmax relative to the input, classes (1, n), scores (1, n), count (1,). Without: raw heads, dequantized to
    float32, boxes (1, anchors, 4) and scores (1, anchors, classes).
    """

    boxes: FloatArray
    scores: FloatArray
    classes: FloatArray | None = None
    count: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What runs the model."""

    backend: str
    version: str
    num_threads: int
    delegate: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model runs.

    ``learned`` says what the board has laid over it, one sentence each.
    """

    name: str
    version: str
    sha256: str
    input: str
    num_classes: int | None = None
    arena_bytes: int | None = None
    learned: tuple[str, ...] = ()
