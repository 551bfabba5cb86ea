"""Frozen values that travel down the street, from stage to stage.

Units are in the names; times are seconds on ``time.monotonic`` unless a name says otherwise; boxes are ``xyxy`` in
frame pixels; pixels are BGR, as OpenCV gives them. Checked when made where a wrong value could travel far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""A picture: uint8, (height, width, 3), BGR."""

Tensor = npt.NDArray[Any]
"""A model's tensor, in the model's own dtype and shape."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

MOST_ANCHORS = 200_000
"""More than any SSD has; a specification that lays out more is damaged, and must not cost memory."""

_SWAPPED = np.array([1, 0, 3, 2])
"""From y, x to x, y and back."""

CameraState = Literal["starting", "streaming", "down", "stalled", "frozen", "black", "ended"]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What was found in one frame, best first.

    Attributes:
        xyxy: float32 (n, 4), left, top, right, bottom in frame pixels, clipped to the frame.
        confidence: float32 (n,), 0 to 1.
        class_id: int32 (n,), the model's own class numbers; names come from :class:`Labels`.
    """

    xyxy: FloatArray
    confidence: FloatArray
    class_id: IntArray

    def __post_init__(self) -> None:
        count = len(self.confidence)
        if self.xyxy.shape != (count, 4) or self.class_id.shape != (count,):
            raise ValueError(
                f"boxes {self.xyxy.shape}, scores {count} and classes {self.class_id.shape} do not belong together"
            )

    def __len__(self) -> int:
        return len(self.confidence)

    @classmethod
    def empty(cls) -> Detections:
        """No objects; not to be confused with no answer, which is no ``Detections`` at all."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from the camera.

    Attributes:
        pixels: uint8 (h, w, 3) BGR. Read-only by agreement: the camera reuses the memory once nobody holds the frame.
        captured_s: monotonic time at which the picture was taken, as near as the source can tell.
        sequence: counts the frames that the source gave; a jump is a dropped frame.
        thumbnail: uint8 (36, 64) luma; frozen picture, drift and near-duplicates share it.
        tensor: the model's input, when the pipeline prepares it on the camera thread.
        preprocess_s: what preparing ``tensor`` took.
        name: the file that the frame was read from, for folders and single pictures.
        truth: what is really there; the rendered camera only.
    """

    pixels: Pixels
    captured_s: float
    sequence: int
    thumbnail: Pixels
    tensor: Tensor | None = None
    preprocess_s: float = 0.0
    name: str = ""
    truth: Detections | None = None


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where one frame's time went, in seconds.

    ``age_s`` runs from the capture to the decision: it is what a user of the answer feels. ``total_s`` is the sum of
    the work: preprocess, invoke and postprocess.
    """

    age_s: float
    preprocess_s: float
    invoke_s: float
    postprocess_s: float

    @property
    def total_s(self) -> float:
        """Preprocess, invoke and postprocess together, in seconds."""
        return self.preprocess_s + self.invoke_s + self.postprocess_s


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """One frame's way down the street, finished."""

    frame: Frame
    detections: Detections
    times: StageTimes


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How the camera is, for telemetry and alarms.

    Attributes:
        state: what the camera is doing now.
        reason: one sentence while the state is a fault, else empty.
        frames_total: frames that the source gave.
        dropped_total: frames that a newer one replaced before anybody took them.
        reconnects_total: times that the source was opened again.
        corrupt_total: frames that could not be decoded.
    """

    state: CameraState
    reason: str = ""
    frames_total: int = 0
    dropped_total: int = 0
    reconnects_total: int = 0
    corrupt_total: int = 0


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
        custom_ops: names of the operations that are not built into the runtime.
        heads: anchors and coding that the file itself carries for its raw heads; None when it carries none.
        embedded_labels: lines of the label file packed into the model, empty when there is none.
        mean: per-channel mean of the picture's metadata, when the file has it.
        std: per-channel standard deviation of the same.
        description: one line for people.
    """

    sha256: str
    size_bytes: int
    input: TensorSpec
    boxes: TensorSpec
    scores: TensorSpec
    classes: TensorSpec | None = None
    count: TensorSpec | None = None
    num_classes: int | None = None
    custom_ops: tuple[str, ...] = ()
    heads: Heads | None = None
    embedded_labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    description: str = ""

    @property
    def is_decoded(self) -> bool:
        """The graph ends in ``TFLite_Detection_PostProcess``: boxes come decoded and suppressed."""
        return self.classes is not None


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
class Placement:
    """Where a frame lies in the model's input picture, and the way back.

    Attributes:
        frame_width: pixels of the frame.
        frame_height: pixels of the frame.
        left: first column of the input that shows the frame, relative to the input's width.
        top: first such row, relative to its height.
        width: share of the input's width that shows the frame; 1.0 when stretched.
        height: share of its height.
        size: the frame's width and height, twice, float32 (4,): what boxes are clipped to.
    """

    frame_width: int
    frame_height: int
    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0
    size: FloatArray = field(init=False, repr=False, compare=False)
    _scale: FloatArray = field(init=False, repr=False, compare=False)
    _origin: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once: they are used with every frame, and making an array costs as much as using it.
        size = np.array([self.frame_width, self.frame_height] * 2, np.float32)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "_scale", size / np.array([self.width, self.height] * 2, np.float32))
        object.__setattr__(self, "_origin", np.array([self.left, self.top] * 2, np.float32))

    def to_frame(self, boxes: FloatArray) -> FloatArray:
        """Boxes of the input as boxes of the frame, clipped to it.

        Args:
            boxes: float32 (n, 4) as ymin, xmin, ymax, xmax, relative to the model's input.

        Returns:
            float32 (n, 4), ``xyxy`` in frame pixels.
        """
        placed: FloatArray = boxes.take(_SWAPPED, axis=1)
        placed -= self._origin
        placed *= self._scale
        np.maximum(placed, 0, out=placed)
        return np.minimum(placed, self.size, out=placed)

    def to_input(self, xyxy: FloatArray) -> FloatArray:
        """The inverse of :meth:`to_frame` for boxes inside the frame."""
        placed: FloatArray = (xyxy / self._scale + self._origin).take(_SWAPPED, axis=1)
        return placed


@dataclass(frozen=True, slots=True)
class Labels:
    """Class names by the model's class number; a number without a name is shown as ``class 7``."""

    names: dict[int, str] = field(default_factory=dict)

    def name(self, class_id: int) -> str:
        """The name of one class."""
        return self.names.get(class_id) or f"class {class_id}"

    def ids(self, name: str) -> list[int]:
        """Every class number that carries this name."""
        return [class_id for class_id, label in self.names.items() if label == name]


@dataclass(frozen=True, slots=True)
class SketchBins:
    """A log-bucket histogram on its way to the wire: bucket ``offset + i`` holds ``counts[i]`` values.

    Bucket ``k`` covers (g^(k-1), g^k] with g = (1 + a) / (1 - a), a = ``relative_accuracy`` (DDSketch, Masson, Rim and
    Lee, VLDB 2019, arXiv 1908.10693). One fixed schema for every board, so that adding the counts merges exactly.
    """

    offset: int
    counts: tuple[int, ...]
    zero_count: int = 0
    relative_accuracy: float = 0.01


@dataclass(frozen=True, slots=True)
class StageStats:
    """One stage's times over a window, in seconds; percentiles from the sketch, ``max_s`` and ``mean_s`` exact."""

    count: int
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float
    mean_s: float
    bins: SketchBins


@dataclass(frozen=True, slots=True)
class PerfReport:
    """One window of the pipeline.

    Attributes:
        started_s: monotonic time of the window's begin.
        duration_s: its length.
        frames: frames that got an answer.
        fps: ``frames / duration_s``.
        dropped: frames that a newer one replaced in this window.
        detections: objects found, summed over frames.
        stages: ``age``, ``preprocess``, ``invoke``, ``postprocess``, ``total``; a stage without a value is absent.
    """

    started_s: float
    duration_s: float
    frames: int
    fps: float
    dropped: int
    detections: int
    stages: dict[str, StageStats]


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """This process and the memory around it; ``None`` is "not there", never zero.

    Attributes:
        rss_bytes: resident memory of this process.
        pss_bytes: the same with shared pages divided among their users.
        peak_rss_bytes: the highest ``rss_bytes`` since the start.
        available_bytes: memory that the board could still give.
        cpu_percent: processor time of this process since the last reading; 100 is one core.
        board_cpu_percent: the same of everything on the board; 100 is all cores busy.
        threads: threads of this process.
    """

    rss_bytes: int | None = None
    pss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    available_bytes: int | None = None
    cpu_percent: float | None = None
    board_cpu_percent: float | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class ThermalReading:
    """Heat, clock and power; ``None`` is "not there", never zero.

    Attributes:
        soc_celsius: the processor's temperature.
        accelerator_celsius: a Coral PCIe/M.2 (``apex``), where there is one.
        frequency_hz: the processor's clock now.
        frequency_max_hz: the highest it may take.
        throttle_bits: the Raspberry Pi firmware's word: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
            temperature limit, now; 16 to 19 the same since boot.
        under_voltage: under-volted now.
        throttled: throttled or capped now.
    """

    soc_celsius: float | None = None
    accelerator_celsius: float | None = None
    frequency_hz: float | None = None
    frequency_max_hz: float | None = None
    throttle_bits: int | None = None
    under_voltage: bool | None = None
    throttled: bool | None = None


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """How one collector did: its own success and duration."""

    name: str
    ok: bool
    duration_s: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class BoardReading:
    """All slow sensors, read once."""

    taken_s: float
    process: ProcessReading
    thermal: ThermalReading
    sensors: tuple[SensorStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """What this machine is; fixed while the agent runs."""

    model: str
    machine: str
    cores: int
    memory_bytes: int | None
    os: str
    kernel: str
    python: str


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What runs the model."""

    backend: str
    version: str
    num_threads: int
    delegate: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model runs."""

    name: str
    version: str
    sha256: str
    input: str
    num_classes: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The last-value card: how the agent itself is."""

    uptime_s: float
    fps: float | None
    camera: CameraStatus
    board: BoardReading
    blind_s: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is, for the birth message; fixed until the model or the configuration changes."""

    agent_version: str
    config_sha256: str
    board: BoardInfo
    runtime: RuntimeInfo | None = None
    model: ModelInfo | None = None
    commands: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """Something that the board is asked to do; ``service`` dispatches it.

    Attributes:
        op: one of a closed list of operations.
        id: names the request; its replies carry it.
        expires_s: unix time after which it must not be begun; None: never.
        args: what the operation takes; None when the request was no request.
    """

    op: str
    id: str
    expires_s: float | None = None
    args: dict[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a command: ``accepted``, ``running``, then exactly one of the others.

    Attributes:
        command: what was asked.
        status: how it went.
        code: a stable word for programs.
        message: one sentence for a person.
        data: what was asked for.
    """

    command: Command
    status: Literal["accepted", "running", "succeeded", "failed", "rejected", "expired"]
    code: str = "ok"
    message: str = ""
    data: dict[str, str | int | float | bool | None] = field(default_factory=dict)
