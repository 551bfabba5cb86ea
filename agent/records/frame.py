"""What travels with a frame: the picture, what was found on it, how long it took, and the way between boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agent.records.arrays import FloatArray, IntArray, Pixels, Tensor

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
