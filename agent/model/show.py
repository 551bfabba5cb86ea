"""One file told as a :class:`~agent.model.page.Page`. Pure but for reading the file."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

from agent.errors import ModelError
from agent.model import speed
from agent.model.card import POSTPROCESS, card_of, printable
from agent.model.flat import Buffer
from agent.model.graph import mapped
from agent.model.groups import Group, groups, implied
from agent.model.net import CODE_RANGES, Net, Op, Tensor
from agent.model.page import Detector, GroupLine, OpLine, Output, Page, Scales, Sizes, TensorLine
from agent.model.patch import Scale, range_of
from agent.model.quirks import quirks
from agent.records import ModelCard


def show(path: Path) -> Page:
    """Look into one file; one that is no detector, or cannot be changed, is told as well.

    Raises:
        ModelError: it cannot be read, or is damaged.
    """
    data = mapped(path)
    try:
        return _page(path, data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def _page(path: Path, data: Buffer) -> Page:
    net = Net(data)
    card, not_detector = _card(path, net)
    found, no_groups = _groups(net)
    codes = [code.integer(2, "i", 1) for code in net.graph.root.tables(1)]
    place = {index: number for number, group in enumerate(found) for index in group.tensors}
    return Page(
        sha256=hashlib.sha256(data).hexdigest(),
        sizes=_sizes(net),
        description=printable(net.graph.root.text(3)),
        kind=_kind(net),
        detector=_detector(net, card) if card else None,
        not_detector=not_detector,
        inputs=net.inputs,
        outputs=tuple(_output(net, index, card) for index in net.outputs),
        ops=tuple(_op(net, op, codes[op.table.integer(0, "I")]) for op in net.ops),
        tensors=tuple(_tensor(net, tensor, place.get(tensor.index)) for tensor in net.tensors),
        groups=tuple(_group(number, group) for number, group in enumerate(found)),
        no_groups=no_groups,
        quirks=quirks(net),
    )


def _card(path: Path, net: Net) -> tuple[ModelCard | None, str]:
    try:
        return card_of(path, net.data, net.graph), ""
    except ModelError as error:
        return None, str(error)


def _groups(net: Net) -> tuple[tuple[Group, ...], str]:
    try:
        return groups(net), ""
    except ModelError as error:
        return (), str(error)


def _sizes(net: Net) -> Sizes:
    constants = {tensor.buffer: len(tensor.data) for tensor in net.tensors if tensor.is_constant}
    size = sum(constants.values())
    return Sizes(file=len(net.data), constants=size, rest=max(0, len(net.data) - size))


def _kind(net: Net) -> str:
    """``int8 (weights int8)``: types of what is computed, then of what is stored and read by it."""
    activations = {tensor.dtype for tensor in net.tensors if not tensor.is_constant}
    stored = {tensor.dtype for tensor in net.tensors if tensor.is_constant and math.prod(tensor.shape) > 1}
    shown = ("int8", "uint8", "int16", "float32", "float16")
    said, weights = (" and ".join(name for name in shown if name in names) for names in (activations, stored))
    return f"{said or 'unknown'} (constants {weights})" if weights else said or "unknown"


def _detector(net: Net, card: ModelCard) -> Detector:
    maps = card.heads.maps if card.heads else ()
    anchors = sum(item.rows * item.cols * len(item.sizes) for item in maps) or _anchors(net, card)
    classes = card.num_classes
    if classes is None and len(card.scores.shape) == 3 and not card.is_decoded:
        classes = card.scores.shape[-1] - bool(card.heads and card.heads.background)
    return Detector(
        form="decoded" if card.is_decoded else "raw",
        num_classes=classes,
        anchors=anchors,
        maps=tuple(f"{item.rows} x {item.cols} cells of {len(item.sizes)}" for item in maps),
        labels=len(card.embedded_labels),
        mean=card.mean,
        std=card.std,
    )


def _anchors(net: Net, card: ModelCard) -> int | None:
    boxes = card.boxes.shape
    for op in net.ops:
        if op.name == POSTPROCESS and op.inputs and op.inputs[0] >= 0:
            boxes = net.tensors[op.inputs[0]].shape
    return boxes[1] if len(boxes) >= 3 and boxes[1] > 1 else None


def _output(net: Net, index: int, card: ModelCard | None) -> Output:
    tensor = net.tensors[index]
    roles = {
        spec.index: role
        for role in ("count", "classes", "scores", "boxes")
        if card is not None and (spec := getattr(card, role)) is not None
    }
    name = printable(tensor.name)
    return Output(role=roles.get(index, ""), tensor=index, name=name, shape=tensor.shape, dtype=tensor.dtype)


def _op(net: Net, op: Op, version: int) -> OpLine:
    has_output = bool(op.outputs) and op.outputs[0] >= 0
    return OpLine(
        position=op.position,
        name=printable(op.name),
        version=version,
        inputs=op.inputs,
        outputs=op.outputs,
        fused=op.fused,
        implied=implied(net, net.tensors[op.outputs[0]], op) if has_output else "",
        litert=speed.by_xnnpack(net, op),
        tflite_runtime=speed.by_xnnpack(net, op, quantized=False),
        edge_tpu=speed.not_on_edge_tpu(net, op),
    )


def _tensor(net: Net, tensor: Tensor, group: int | None) -> TensorLine:
    role = "input" if tensor.index in net.inputs else "output" if tensor.index in net.outputs else "activation"
    return TensorLine(
        index=tensor.index,
        name=printable(tensor.name),
        shape=tensor.shape,
        dtype=tensor.dtype,
        role="constant" if tensor.is_constant else role,  # type: ignore[arg-type]  # one of the three
        size_bytes=len(tensor.data),
        scales=scales_of(tensor),
        group=group,
    )


def scales_of(tensor: Tensor) -> Scales | None:
    """How a tensor's codes mean real values; None where it has no scale."""
    if not len(tensor.scales):
        return None
    many = len(tensor.scales) > 1
    low, high = tensor.range if not many and tensor.dtype in CODE_RANGES else (math.inf, math.inf)
    return Scales(
        per="channel" if many else "tensor",
        count=len(tensor.scales),
        least=float(tensor.scales.min()),
        most=float(tensor.scales.max()),
        zero_point=int(tensor.zero_points[0]) if len(tensor.zero_points) else 0,
        low=_finite(low),
        high=_finite(high),
    )


def _group(number: int, group: Group) -> GroupLine:
    low, high = range_of(Scale(group.scale, group.zero_point), group.dtype)
    return GroupLine(
        number=number,
        tensors=group.tensors,
        dtype=group.dtype,
        scale=group.scale,
        zero_point=group.zero_point,
        low=low,
        high=high,
        floor=_finite(group.floor),
        ceiling=_finite(group.ceiling),
        frozen=printable(group.frozen),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
