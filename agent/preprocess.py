"""Preprocess: frame -> the model's input tensor.

In: pixels, uint8 (h, w, 3) BGR. Out: a new array of the input's shape and dtype, (1, height, width, channels). Pure:
the same pixels give the same tensor; runs on whatever thread the pipeline puts it.

The value that the network is to see is ``(pixel - mean) / std``; a quantized input takes it as
``round(value / scale + zero_point)``. Both are one look-up table of 256 entries a channel, and no table at all where it
would change nothing, as for the usual uint8 model. A :class:`~agent.records.Correction` of the light goes into the same
table: one look-up a pixel either way. It has a table of its own, for the frame before it is resized, where grey is
painted in or made (letterbox, masks, one channel), since that grey is not of the camera; and where it is steep, since
resizing rounds to whole grey levels, and a gain of 20 would make 20 levels of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from agent.config import ModelConfig, ZoneConfig
from agent.errors import ModelError
from agent.records import Correction, ModelCard, Pixels, Placement, Tensor, TensorSpec

GREY = 127
"""What letterbox bars and masks are painted with, 0-255: the middle, as TensorFlow's object detection pads."""

_STEEP = 2.0
"""A correction that makes more than this many grey levels of one is applied before the picture is resized."""

_TO_MODEL = {"rgb": cv2.COLOR_BGR2RGB, "gray": cv2.COLOR_BGR2GRAY}


@dataclass(frozen=True, slots=True)
class Normalization:
    """``(pixel - mean) / std`` per channel, and where the numbers come from."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """What a picture goes through; swapped as one, so that no frame is made of two.

    ``camera`` is for the camera's picture, uint8 (256, 1, 3) in its order; ``model`` comes last, in the model's.
    """

    camera: npt.NDArray[np.uint8] | None
    model: Tensor | None
    correction: Correction | None = None


class Preprocessor:
    """Makes the input tensor of one model.

    Args:
        card: the model's own description.
        config: resize, colour, mean and std.
        zones: those with mode ``mask`` are painted over.

    Raises:
        ModelError: colour and channels contradict each other, or mean and std do not fit the channels.
    """

    def __init__(self, card: ModelCard, config: ModelConfig, zones: list[ZoneConfig] | None = None) -> None:
        _, self.height, self.width, self._channels = card.input.shape
        if (config.color == "gray") != (self._channels == 1):
            raise ModelError(f'model.color: "{config.color}" does not suit an input of {self._channels} channels')
        self.normalization = normalization(card, config)
        self._spec = card.input
        self._tables = _Tables(None, look_up_table(card.input, self.normalization))
        self._dtype = np.dtype(card.input.dtype)
        self._letterbox = config.resize == "letterbox"
        self._convert = _TO_MODEL.get(config.color)
        self._masks = [np.array(zone.polygon, np.float64) for zone in zones or [] if zone.mode == "mask"]

    @property
    def correction(self) -> Correction | None:
        """The correction in force; None: none."""
        return self._tables.correction

    def correct(self, correction: Correction | None) -> None:
        """Put a correction in force, from the next frame on; from any thread. None takes it back."""
        if correction is None or correction.is_identity:
            self._tables = _Tables(None, look_up_table(self._spec, self.normalization), correction)
            return
        curve = correction.curve()
        if np.diff(curve, axis=0).max() > _STEEP or self._letterbox or self._masks or self._channels == 1:
            plain = look_up_table(self._spec, self.normalization)
            self._tables = _Tables(correction.table(), plain, correction)
            return
        order = curve[:, ::-1] if self._convert is not None else curve
        self._tables = _Tables(None, look_up_table(self._spec, self.normalization, order), correction)

    def place(self, frame_height: int, frame_width: int) -> Placement:
        """Where a frame of this size lies in the input."""
        if not self._letterbox:
            return Placement(frame_width, frame_height)
        left, top, width, height = self._inner(frame_height, frame_width)
        return Placement(
            frame_width,
            frame_height,
            left=left / self.width,
            top=top / self.height,
            width=width / self.width,
            height=height / self.height,
        )

    def __call__(self, pixels: Pixels) -> Tensor:
        """The input tensor, (1, height, width, channels), freshly made."""
        tables = self._tables  # read once: another thread may swap it meanwhile
        if tables.camera is not None:
            pixels = np.asarray(cv2.LUT(pixels, tables.camera), np.uint8)
        picture: Tensor = self._resized(pixels)
        if self._masks:
            self._paint(picture, self.place(*pixels.shape[:2]))
        if self._convert is not None:
            picture = cv2.cvtColor(picture, self._convert, dst=picture if self._channels == 3 else None)
        if tables.model is not None:
            picture = cv2.LUT(picture, tables.model)
        return picture.reshape(1, self.height, self.width, self._channels)

    def _resized(self, pixels: Pixels) -> npt.NDArray[np.uint8]:
        out = np.empty((self.height, self.width, 3), np.uint8)
        if not self._letterbox:
            cv2.resize(pixels, (self.width, self.height), dst=out, interpolation=cv2.INTER_LINEAR)
            return out
        left, top, width, height = self._inner(*pixels.shape[:2])
        out[:] = GREY
        out[top : top + height, left : left + width] = cv2.resize(pixels, (width, height))
        return out

    def _inner(self, frame_height: int, frame_width: int) -> tuple[int, int, int, int]:
        """Left, top, width and height of the frame inside a letterboxed input, in its pixels."""
        scale = min(self.width / frame_width, self.height / frame_height)
        width = max(1, min(self.width, round(frame_width * scale)))
        height = max(1, min(self.height, round(frame_height * scale)))
        return (self.width - width) // 2, (self.height - height) // 2, width, height

    def _paint(self, picture: npt.NDArray[np.uint8], placed: Placement) -> None:
        size = np.array([self.width, self.height])
        for mask in self._masks:
            corners = mask * [placed.width, placed.height] + [placed.left, placed.top]
            cv2.fillPoly(picture, [np.round(corners * size).astype(np.int32)], (GREY, GREY, GREY))


def normalization(card: ModelCard, config: ModelConfig) -> Normalization:
    """Mean and std by setting; else what the input implies; else the field's habit, which is said.

    A quantized input takes the pixels as they are (uint8) or less 128 (int8): its scale and zero point were chosen for
    that, and the metadata of the same file says it again, rounded. A float input goes by the model's metadata, and
    without any takes -1 to 1.
    """
    if config.mean or config.std:
        return Normalization(tuple(config.mean) or (0.0,), tuple(config.std) or (1.0,), "model.mean and model.std")
    if card.input.dtype != "float32":
        lowest = np.iinfo(card.input.dtype).min
        zero = float(card.input.zero_point - lowest)
        return Normalization((zero,), (1 / card.input.scale,), "the input's scale and zero point")
    if card.mean and card.std:
        return Normalization(card.mean, card.std, "the model's metadata")
    return Normalization(
        (127.5,), (127.5,), "assumed: -1 to 1; set model.mean and model.std if it was trained otherwise"
    )


def look_up_table(spec: TensorSpec, norm: Normalization, curve: npt.NDArray[np.float64] | None = None) -> Tensor | None:
    """From pixel value to input value, (256, 1, channels) of the input's dtype; None where it changes nothing.

    Args:
        spec: the input.
        norm: what the network is to see of a pixel.
        curve: what the pixels become before that, float64 (256, channels), in the model's order; None: themselves.

    Raises:
        ModelError: mean and std do not fit the input's channels.
    """
    channels = spec.shape[3]
    for name, values in (("mean", norm.mean), ("std", norm.std)):
        if len(values) not in {1, channels}:
            raise ModelError(f"{name} {list(values)} does not fit an input of {channels} channels ({norm.origin})")
    if 0 in norm.std or not np.isfinite([*norm.mean, *norm.std]).all():
        raise ModelError(f"mean {list(norm.mean)} and std {list(norm.std)} are no numbers to divide by ({norm.origin})")
    mean = np.broadcast_to(np.array(norm.mean, np.float64), channels)
    std = np.broadcast_to(np.array(norm.std, np.float64), channels)
    pixels = np.arange(256.0).reshape(256, 1, 1) if curve is None else curve.reshape(256, 1, channels)
    real: npt.NDArray[np.float64] = (pixels - mean) / std
    if spec.dtype == "float32":
        return real.astype(np.float32)
    limits = np.iinfo(spec.dtype)
    table = np.clip(np.rint(real / spec.scale + spec.zero_point), limits.min, limits.max).astype(spec.dtype)
    unchanged = spec.dtype == "uint8" and bool((table == np.arange(256).reshape(256, 1, 1)).all())
    return None if unchanged else np.asarray(table)
