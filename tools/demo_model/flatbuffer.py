"""What the converter cannot do: the post-processing operation and the anchors, put into the finished .tflite file.

``TFLite_Detection_PostProcess`` is an operation that no Keras layer becomes. It is appended to the graph here, by the
schema classes that the LiteRT package carries; its options are those of TensorFlow's object detection exporter.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import msgspec
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from agent.model import anchors
from agent.model.anchors import METADATA
from tools.demo_model import spec

POSTPROCESS = "TFLite_Detection_PostProcess"
MOST_DETECTIONS = 60
"""Detections that the operation gives; no rendered scene has more than 45 parts."""

LEAST_SCORE = 0.03
"""Below it the operation drops a box: low enough for an honest average precision."""

_OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "detection_count")


def with_heads(data: bytes) -> bytes:
    """The file with its anchors in a metadata entry, for who decodes the raw heads."""
    model = _load(data)
    model.buffers.append(_buffer(msgspec.json.encode(spec.HEADS)))
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return _save(model)


def with_pixel_input(data: bytes) -> bytes:
    """The int8 file with an input range of exactly -1 to 1, so that a pixel is its int8 value plus 128.

    A converter takes the input's range from the representative scenes, and scenes of the night would make a model
    that cannot be shown a white pixel. The first convolution's biases are rescaled with it.
    """
    model = _load(data)
    graph = model.subgraphs[0]
    picture = graph.tensors[graph.inputs[0]]
    old, new = float(picture.quantization.scale[0]), 2 / 255
    picture.quantization.scale, picture.quantization.zeroPoint = [new], [-1]
    picture.quantization.min, picture.quantization.max = [-1.0], [1.0]
    for operator in graph.operators:
        if operator.inputs[0] == graph.inputs[0]:
            bias = graph.tensors[operator.inputs[2]]
            values = np.frombuffer(bytes(model.buffers[bias.buffer].data), np.int32) * (old / new)
            model.buffers[bias.buffer] = _buffer(np.rint(values).astype(np.int32).tobytes())
            bias.quantization.scale = [float(scale) * new / old for scale in bias.quantization.scale]
    return _save(model)


def with_postprocess(data: bytes) -> bytes:
    """The file with the operation behind its two float outputs, which have 4 numbers and a class score an anchor.

    Raises:
        ValueError: the outputs are others.
    """
    model = _load(data)
    graph = model.subgraphs[0]
    found = {graph.tensors[index].shape[-1]: index for index in graph.outputs}
    if set(found) != {4, spec.NUM_CLASSES} or any(graph.tensors[index].type for index in graph.outputs):
        raise ValueError(f"two float32 outputs are needed, of 4 and of {spec.NUM_CLASSES} numbers an anchor")
    own = anchors(spec.HEADS)[:, [1, 0, 3, 2]]  # the operation wants centre y, centre x, height, width
    model.buffers.append(_buffer(np.ascontiguousarray(own, np.float32).tobytes()))
    anchor_tensor = _tensor(graph, "anchors", list(own.shape), len(model.buffers) - 1)
    many = MOST_DETECTIONS
    outputs = [
        _tensor(graph, name, shape, 0)
        for name, shape in zip(_OUTPUTS, ([1, many, 4], [1, many], [1, many], [1]), strict=True)
    ]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = POSTPROCESS, 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [found[4], found[spec.NUM_CLASSES], anchor_tensor], outputs
    operator.customOptions, operator.customOptionsFormat = list(_options()), schema.CustomOptionsFormat.FLEXBUFFERS
    graph.operators.append(operator)
    graph.outputs = outputs
    _sign(model, outputs)
    return _save(model)


def _options() -> bytes:
    options: dict[str, Any] = {
        "max_detections": MOST_DETECTIONS,
        "max_classes_per_detection": 1,
        "detections_per_class": MOST_DETECTIONS,
        # Class by class: parts of two classes lie on each other, and the fast way would drop one of them.
        "use_regular_nms": True,
        "nms_score_threshold": LEAST_SCORE,
        "nms_iou_threshold": spec.IOU_THRESHOLD,
        "num_classes": spec.NUM_CLASSES,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    return bytes(flexbuffers.Dumps(options))


def _sign(model: Any, outputs: list[int]) -> None:
    """Name the new outputs in the signature, in place of the old ones."""
    signature = model.signatureDefs[0]
    signature.outputs = []
    for name, index in zip(_OUTPUTS, outputs, strict=True):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        signature.outputs.append(entry)


def _tensor(graph: Any, name: str, shape: list[int], buffer: int) -> int:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.FLOAT32, buffer
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _buffer(content: bytes) -> Any:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    return buffer


def _load(data: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))


def _save(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
