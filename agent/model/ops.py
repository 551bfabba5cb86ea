"""What each operation of a quantized graph asks of the scales of its tensors.

Codes: BuiltinOperator of tensorflow/lite/schema/schema.fbs. Rules: the TensorFlow Lite 8-bit quantization
specification (tensorflow.org/lite/performance/quantization_spec, "Operator specifications"), checked against the
kernels: ``SAME`` operations only copy codes, ``FIXED`` ones have an output scale that the kernel itself demands.
"""

from __future__ import annotations

NAMES: dict[int, str] = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    11: "L2_NORMALIZATION",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    19: "RELU",
    20: "RELU_N1_TO_1",
    21: "RELU6",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    25: "SOFTMAX",
    26: "SPACE_TO_DEPTH",
    28: "TANH",
    32: "CUSTOM",
    34: "PAD",
    37: "BATCH_TO_SPACE_ND",
    38: "SPACE_TO_BATCH_ND",
    39: "TRANSPOSE",
    40: "MEAN",
    41: "SUB",
    43: "SQUEEZE",
    45: "STRIDED_SLICE",
    49: "SPLIT",
    54: "PRELU",
    55: "MAXIMUM",
    57: "MINIMUM",
    65: "SLICE",
    67: "TRANSPOSE_CONV",
    69: "TILE",
    70: "EXPAND_DIMS",
    74: "SUM",
    77: "SHAPE",
    83: "PACK",
    88: "UNPACK",
    97: "RESIZE_NEAREST_NEIGHBOR",
    98: "LEAKY_RELU",
    100: "MIRROR_PAD",
    102: "SPLIT_V",
    114: "QUANTIZE",
    117: "HARD_SWISH",
}

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


def fused_slot(name: str) -> int | None:
    """The slot of an operation's options in which its fused activation stands; None when it has none."""
    return _FUSED_SLOT.get(name)


def name_of(builtin: int, custom: str) -> str:
    """An operation's name; a number where this table has no name for it."""
    return custom or NAMES.get(builtin, f"builtin {builtin}")
