"""What ``edge-agent model show`` tells of a file, as records; ``docs/schemas/model-show.json`` is made from them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Real = Annotated[float | None, Meta(description="A real value; null where there is no bound.")]


class Scales(Struct, frozen=True, kw_only=True):
    """How codes mean real values: real = scale * (code - zero_point)."""

    per: Literal["tensor", "channel"]
    count: Annotated[int, Meta(description="Scales: 1, or one for each channel.")]
    least: Annotated[float, Meta(description="The smallest scale.")]
    most: Annotated[float, Meta(description="The largest scale.")]
    zero_point: Annotated[int, Meta(description="Of the first scale.")]
    low: Annotated[Real, Meta(description="The real value of the lowest 8-bit code; null per channel.")] = None
    high: Annotated[Real, Meta(description="The real value of the highest 8-bit code; null per channel.")] = None


class TensorLine(Struct, frozen=True, kw_only=True):
    """One tensor."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    role: Literal["input", "output", "constant", "activation"]
    size_bytes: Annotated[int, Meta(description="Of a constant, in the file; 0 for what is computed.")]
    scales: Scales | None = None
    group: Annotated[int | None, Meta(description="Number of the group that it shares its scale with.")] = None


class OpLine(Struct, frozen=True, kw_only=True):
    """One operation."""

    position: int
    name: str
    version: int
    inputs: Annotated[tuple[int, ...], Meta(description="Tensor indices; -1 for an optional one that is not there.")]
    outputs: tuple[int, ...]
    fused: Annotated[str, Meta(description="Its fused activation; empty for none.")] = ""
    implied: Annotated[str, Meta(description="An activation that the output's range alone stands for.")] = ""
    litert: Annotated[bool, Meta(description="LiteRT hands it to XNNPACK, by rule.")] = False
    tflite_runtime: Annotated[bool, Meta(description="tflite-runtime 2.14 hands it to XNNPACK, by rule.")] = False
    edge_tpu: Annotated[str, Meta(description="Why edgetpu_compiler leaves it to the CPU; empty: it takes it.")] = ""


class GroupLine(Struct, frozen=True, kw_only=True):
    """Tensors that share one scale."""

    number: int
    tensors: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    low: float
    high: float
    floor: Annotated[Real, Meta(description="The least value that its producers can give.")] = None
    ceiling: Annotated[Real, Meta(description="The largest value that its producers can give.")] = None
    frozen: Annotated[str, Meta(description="Why its range is not to be changed; empty when it may be.")] = ""


class Detector(Struct, frozen=True, kw_only=True):
    """The file as an SSD detector."""

    form: Annotated[Literal["decoded", "raw"], Meta(description="Boxes decoded in the graph, or raw heads.")]
    num_classes: Annotated[int | None, Meta(description="Without the background; null: the file does not say.")]
    anchors: Annotated[int | None, Meta(description="null: the file leaves their number open.")]
    maps: Annotated[tuple[str, ...], Meta(description="Anchors that the file itself describes, a line a map.")] = ()
    labels: Annotated[int, Meta(description="Lines of the label file packed into the model.")] = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


class Output(Struct, frozen=True, kw_only=True):
    """One output in the file's own order."""

    role: Annotated[str, Meta(description="boxes, scores, classes, count; empty when it is none of them.")]
    tensor: int
    name: str
    shape: tuple[int, ...]
    dtype: str


class Sizes(Struct, frozen=True, kw_only=True):
    """Bytes."""

    file: int
    constants: Annotated[int, Meta(description="Weights, biases and other constants, each once.")]
    rest: Annotated[int, Meta(description="Names, scales, operations, metadata, packed files.")]


class Page(Struct, frozen=True, kw_only=True):
    """All that is told of one file."""

    v: Annotated[int, Meta(description="Of this format.")] = 1
    sha256: str
    sizes: Sizes
    description: str
    kind: Annotated[str, Meta(description="Types of activations and weights.")]
    detector: Detector | None
    not_detector: Annotated[str, Meta(description="Why it is no detector that this agent runs; empty when it is.")]
    inputs: tuple[int, ...]
    outputs: tuple[Output, ...]
    ops: tuple[OpLine, ...]
    tensors: tuple[TensorLine, ...]
    groups: tuple[GroupLine, ...]
    no_groups: Annotated[str, Meta(description="Why its ranges cannot be changed; empty when they can.")]
    quirks: Annotated[tuple[str, ...], Meta(description="What is odd about it, a sentence each.")]
