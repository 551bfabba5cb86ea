"""What is odd about a file, mostly habits of older converters that newer tools stumble over. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from agent.model.flat import Buffer
from agent.model.groups import biased, implied
from agent.model.net import Net

_SIGNATURES = 7
"""Slot of Model.signature_defs in schema.fbs."""


def quirks(net: Net) -> tuple[str, ...]:
    """A sentence for each oddity.

    Raises:
        ModelError: the file is damaged.
    """
    return tuple(said for look in _LOOKS if (said := look(net)))


def _old_codes(net: Net) -> str:
    codes = net.graph.root.tables(1)
    old = [code for code in codes if code.integer(0, "b") and not code.integer(3, "i")]
    if not old:
        return ""
    return (
        f"{len(old)} of {len(codes)} operation codes stand in the old byte alone (before TensorFlow 2.4): "
        "ai-edge-quantizer 0.10 takes them all for ADD"
    )


def _toco(net: Net) -> str:
    return "written by TOCO, the converter of TensorFlow 1" if net.is_legacy else ""


def _signatures(net: Net) -> str:
    has = net.graph.root.entries(_SIGNATURES, 4)[1]
    return "" if has else "has no signature: tools that find inputs by signature refuse it"


def _metadata(net: Net) -> str:
    has = net.graph.metadata("TFLITE_METADATA") is not None
    return "" if has else "has no TFLite metadata: labels and normalization have to be given"


def _implied(net: Net) -> str:
    found = Counter(implied(net, net.tensors[op.outputs[0]], op) for op in net.ops if op.outputs and op.outputs[0] >= 0)
    found.pop("", None)
    said = " and ".join(f"{count} {name}" for name, count in sorted(found.items()))
    return f"{said} left out where the output's range clamps already: a float copy must put them back" if said else ""


def _weights(net: Net) -> str:
    ends = [ends for op in net.ops if (ends := biased(op))]
    weights = {ends[1] for ends in ends if ends[1] >= 0 and net.tensors[ends[1]].dtype == "uint8"}
    return f"{len(weights)} uint8 weights with a zero point, one scale a tensor" if weights else ""


def _joins(net: Net) -> str:
    def scales(ends: tuple[int, ...]) -> set[float]:
        return {float(net.tensors[index].scales[0]) for index in ends if index >= 0 and net.tensors[index].is_code}

    joins = [op for op in net.ops if op.name == "CONCATENATION" and len(scales(op.inputs + op.outputs)) > 1]
    return f"{len(joins)} CONCATENATION of different scales: the kernel recounts, XNNPACK does not" if joins else ""


def _half(net: Net) -> str:
    halves = sum(tensor.dtype == "float16" and tensor.is_constant for tensor in net.tensors)
    return f"{halves} float16 constants, made float32 when it is loaded" if halves else ""


def _open_shapes(net: Net) -> str:
    shapes = sum(op.name == "SHAPE" for op in net.ops)
    return f"{shapes} SHAPE operations: sizes are computed while it runs" if shapes else ""


def _edge_tpu(net: Net) -> str:
    compiled = sum(op.name == "edgetpu-custom-op" for op in net.ops)
    return "compiled for the Edge TPU: what is inside cannot be looked into" if compiled else ""


def _packed(net: Net) -> str:
    return "files are packed behind the model (zip)" if _ends_in_zip(net.data) else ""


def _ends_in_zip(data: Buffer) -> bool:
    return b"PK\x05\x06" in bytes(data[-65_557:])


_LOOKS: tuple[Callable[[Net], str], ...] = (
    _toco,
    _old_codes,
    _signatures,
    _metadata,
    _implied,
    _weights,
    _joins,
    _half,
    _open_shapes,
    _edge_tpu,
    _packed,
)
