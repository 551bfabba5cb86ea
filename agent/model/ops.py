"""What each operation of a quantized graph asks of the scales of its tensors.

Codes: BuiltinOperator of tensorflow/lite/schema/schema.fbs. Rules: the TensorFlow Lite 8-bit quantization
specification (tensorflow.org/lite/performance/quantization_spec, "Operator specifications"), checked against the
kernels: ``SAME`` operations only copy codes, ``FIXED`` ones have an output scale that the kernel itself demands.
"""

from __future__ import annotations

SAME = frozenset(
    {
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "MAX_POOL_2D",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "SPACE_TO_DEPTH",
        "PAD",
        "BATCH_TO_SPACE_ND",
        "SPACE_TO_BATCH_ND",
        "TRANSPOSE",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SPLIT",
        "MAXIMUM",
        "MINIMUM",
        "SLICE",
        "TILE",
        "EXPAND_DIMS",
        "PACK",
        "UNPACK",
        "RESIZE_NEAREST_NEIGHBOR",
        "MIRROR_PAD",
        "SPLIT_V",
    }
)
"""Codes pass through unchanged: data inputs and outputs share one scale, wherever the source file has them share it."""

FIXED = frozenset({"LOGISTIC", "SOFTMAX", "TANH", "L2_NORMALIZATION"})
"""The kernel demands the output's scale (1/256 or 1/128): it is never touched."""

FREE = frozenset(
    {
        "ADD",
        "SUB",
        "MUL",
        "MEAN",
        "SUM",
        "RELU",
        "RELU_N1_TO_1",
        "RELU6",
        "PRELU",
        "LEAKY_RELU",
        "HARD_SWISH",
        "QUANTIZE",
        "DEQUANTIZE",
    }
)
"""Rescaled by the kernel from any input scale to any output scale."""

BIASED: dict[str, tuple[int, int, int]] = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""Places among the inputs of data, weights and bias; the bias is int32 of scale data scale x weight scale."""

SHAPELESS = frozenset({"SHAPE"})
"""Reads no codes at all."""

KNOWN = SAME | FIXED | FREE | SHAPELESS | set(BIASED)

CUSTOM_READERS = frozenset({"TFLite_Detection_PostProcess"})
"""Custom operations that look up the scales of their inputs when they run."""

_FUSED_SLOT: dict[str, int] = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "TRANSPOSE_CONV": 3,
    "FULLY_CONNECTED": 0,
    "CONCATENATION": 1,
    "ADD": 0,
    "SUB": 0,
    "MUL": 0,
    "AVERAGE_POOL_2D": 5,
    "MAX_POOL_2D": 5,
    "L2_NORMALIZATION": 0,
}

ACTIVATIONS = {0: "", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH"}
CODES = {name: code for code, name in ACTIVATIONS.items()}

BOUNDS: dict[str, tuple[float, float]] = {
    "RELU": (0.0, float("inf")),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "TANH": (-1.0, 1.0),
}
"""What an activation lets through."""


def least_inputs(name: str) -> int:
    """How many inputs a known operation has at least, every one of them there; 0 for one that is not known."""
    if name in BIASED:
        return max(BIASED[name][:2]) + 1
    return int(name in KNOWN)


def fused_slot(name: str) -> int | None:
    """The slot of an operation's options in which its fused activation stands; None when it has none."""
    return _FUSED_SLOT.get(name)
