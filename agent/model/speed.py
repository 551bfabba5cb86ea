"""What runs an operation fast, by rule and not by measurement. Pure.

Which operations a runtime hands to XNNPACK, and which of them edgetpu_compiler takes, is written down by their makers
with conditions that hang on shapes and compiler versions; what is said here is the list without the finer ones. The
truth for a board is `edge-agent bench`, and the compiler's own report.

Sources: XNNPACK, tensorflow/lite/delegates/xnnpack/README.md, compared with what LiteRT 2.3.0 and tflite-runtime 2.14.0
really hand over (tests/test_model_show.py). Edge TPU: https://coral.ai/docs/edgetpu/models-intro/#supported-operations
"""

from __future__ import annotations

from agent.model.net import Net, Op, Tensor

_QUANTIZED = frozenset(
    {
        "ADD",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEPTH_TO_SPACE",
        "DEQUANTIZE",
        "ELU",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PAD",
        "QUANTIZE",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "SLICE",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "STRIDED_SLICE",
        "SUB",
        "SUM",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)
_FLOAT = _QUANTIZED - {"QUANTIZE"} | {
    "AVERAGE_POOL_2D",
    "DIV",
    "HARD_SWISH",
    "MAXIMUM",
    "MINIMUM",
    "PRELU",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "SOFTMAX",
    "SQUARED_DIFFERENCE",
}
_MOST_JOINED = 5
"""Inputs of a CONCATENATION that XNNPACK takes."""

EDGE_TPU: dict[str, str] = {
    "ADD": "",
    "AVERAGE_POOL_2D": "no fused activation",
    "CONCATENATION": "no fused activation; a constant input must be all zeros, one of two",
    "CONV_2D": "the same dilation in x and y",
    "DEPTHWISE_CONV_2D": "the same dilation in x and y",
    "EXPAND_DIMS": "",
    "FULLY_CONNECTED": "weights in the default format, output of one dimension",
    "L2_NORMALIZATION": "",
    "LOGISTIC": "",
    "MAXIMUM": "",
    "MAX_POOL_2D": "no fused activation",
    "MEAN": "not over the batch",
    "MINIMUM": "",
    "MUL": "",
    "PACK": "not over the batch",
    "PAD": "not the batch",
    "PRELU": "one slope a channel (shared_axes [1, 2])",
    "QUANTIZE": "",
    "REDUCE_MAX": "not over the batch",
    "REDUCE_MIN": "not over the batch",
    "RELU": "",
    "RELU6": "",
    "RELU_N1_TO_1": "",
    "RESHAPE": "not for every large size",
    "RESIZE_BILINEAR": "depends on the sizes",
    "RESIZE_NEAREST_NEIGHBOR": "depends on the sizes",
    "RSQRT": "",
    "SLICE": "",
    "SOFTMAX": "one dimension, at most 16000 values",
    "SPACE_TO_DEPTH": "",
    "SPLIT": "not the batch",
    "SQUARED_DIFFERENCE": "",
    "SQUEEZE": "leading dimensions of 1 only",
    "STRIDED_SLICE": "all strides 1",
    "SUB": "",
    "SUM": "not over the batch",
    "TANH": "",
    "TRANSPOSE": "",
    "TRANSPOSE_CONV": "",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "",
}
"""Operations that edgetpu_compiler 16 takes in 8-bit form, with the conditions that its makers name."""


def by_xnnpack(net: Net, op: Op, *, quantized: bool = True) -> bool:
    """Whether the runtime hands this operation to XNNPACK.

    Args:
        net: the file.
        op: one of its operations.
        quantized: the runtime hands over 8-bit operations too: LiteRT does, tflite-runtime 2.14 does not.
    """
    if not op.outputs or op.outputs[0] < 0:
        return False
    ends = [net.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
    dtypes = {tensor.dtype for tensor in ends if not (tensor.is_constant and tensor.dtype == "int32")}
    if op.name == "DEQUANTIZE" and dtypes == {"float16", "float32"}:
        return True
    if dtypes == {"float32"}:
        return op.name in _FLOAT
    if not quantized or not dtypes & {"int8", "uint8"} or dtypes & {"int16", "int64"}:
        return False
    return op.name in _QUANTIZED and not _differs(op, ends)


def _differs(op: Op, ends: list[Tensor]) -> bool:
    """Joined at different scales, or too many at once: XNNPACK copies codes and does not recount them."""
    if op.name != "CONCATENATION":
        return False
    meanings = {(*tensor.scales[:2].tolist(), *tensor.zero_points[:2].tolist()) for tensor in ends}
    return len(meanings) > 1 or len(op.inputs) > _MOST_JOINED


def not_on_edge_tpu(net: Net, op: Op) -> str:
    """Why edgetpu_compiler leaves an operation to the CPU; empty where its rules take it, on conditions or without."""
    if op.name == "edgetpu-custom-op":
        return ""
    if op.name not in EDGE_TPU:
        return "not among its operations"
    ends = [net.tensors[index] for index in (*op.inputs[:1], *op.outputs) if index >= 0]
    if not any(tensor.dtype in {"int8", "uint8"} for tensor in ends):
        return "not in 8-bit form"
    if op.fused and "no fused activation" in EDGE_TPU[op.name]:
        return "a fused activation"
    return ""
